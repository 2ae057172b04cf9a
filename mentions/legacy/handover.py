"""Which accounts come over alive, and what somebody has to do about the others."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import AccountStatus, TwitterAccount
from accounts.tokens import token_cipher
from autores.crypto import CipherError

DEFAULT_WINDOW = timedelta(hours=2)
# Accounts in the same state are told of together.
_ALIKE = 3
_SENTENCES = 20
_STATES = ("lost", "unreadable", "expires_in_window", "survives")


def report_handover(
    *, window: timedelta = DEFAULT_WINDOW, now: datetime | None = None
) -> dict[str, Any]:
    """JSON of the X accounts here, worst first. ``window`` is how long the cut-over may take.

    Each account: ``account``, ``x_user``, ``state`` (lost, unreadable, expires_in_window,
    survives), ``direct_messages`` (granted, missing, unknown), ``is_fenced``, ``expires_at``,
    ``sentence``.
    """
    moment = now or timezone.now()
    accounts = [
        _describe(account, now=moment, window=window)
        for account in TwitterAccount.objects.all().order_by("pk")
    ]
    accounts.sort(key=lambda item: (_STATES.index(item["state"]), item["account"]))
    counts = {state: sum(item["state"] == state for item in accounts) for state in _STATES}
    without_dm = sum(item["direct_messages"] == "missing" for item in accounts)
    unknown_dm = sum(item["direct_messages"] == "unknown" for item in accounts)
    fenced = sum(item["is_fenced"] for item in accounts)
    parts = [f"{counts['survives']} of {len(accounts)} accounts survive as they are"]
    if counts["expires_in_window"]:
        parts.append(f"{counts['expires_in_window']} expire inside the window")
    if counts["lost"] + counts["unreadable"]:
        parts.append(f"{counts['lost'] + counts['unreadable']} must be connected again")
    if without_dm:
        parts.append(f"{without_dm} lack dm.read")
    if unknown_dm:
        parts.append(f"of {unknown_dm} the permissions are unknown until their first call")
    if fenced:
        parts.append(f"{fenced} are fenced until the old poller is declared stopped")
    return {
        "at": moment.isoformat(timespec="seconds"),
        "window_hours": round(window.total_seconds() / 3600, 2),
        "counts": {**counts, "without_dm": without_dm, "unknown_dm": unknown_dm, "fenced": fenced},
        "sentence": "; ".join(parts) + ".",
        "accounts": accounts,
    }


def render_handover(report: dict[str, Any]) -> str:
    """The report for a terminal."""
    lines = [f"Hand-over: {report['sentence']}"]
    alike: dict[str, list[str]] = {}
    for item in report["accounts"]:
        shown = f"{item['account']} (X user {item['x_user']})"
        alike.setdefault(item["sentence"], []).append(shown)
    for sentence, accounts in list(alike.items())[:_SENTENCES]:
        more = len(accounts) - _ALIKE
        ending = f", … and {more} more" if more > 0 else ""
        lines.append(f"  {', '.join(accounts[:_ALIKE])}{ending}: {sentence}")
    if len(alike) > _SENTENCES:
        lines.append(f"  … and {len(alike) - _SENTENCES} more; --json lists every account")
    return "\n".join(lines)


def _describe(account: TwitterAccount, *, now: datetime, window: timedelta) -> dict[str, Any]:
    expires_at = account.token_expires_at
    state, sentence = _judge(account, now=now, window=window)
    if not account.scopes:
        direct_messages = "unknown"
        dm_sentence = (
            "Its permissions are unknown until the first call; the former system did not ask for "
            "dm.read, so expect to connect it again before direct messages work."
        )
    elif "dm.read" in account.scopes:
        direct_messages, dm_sentence = "granted", ""
    else:
        direct_messages = "missing"
        dm_sentence = "It lacks dm.read: connect it again to send direct messages."
    return {
        "account": account.pk,
        "x_user": account.twitter_id,
        "username": account.twitter_username,
        "state": state,
        "direct_messages": direct_messages,
        "is_fenced": account.is_fenced,
        "expires_at": expires_at.astimezone(UTC).isoformat(timespec="seconds")
        if expires_at
        else None,
        "sentence": f"{sentence} {dm_sentence}".strip(),
    }


def _judge(account: TwitterAccount, *, now: datetime, window: timedelta) -> tuple[str, str]:
    try:
        access = token_cipher().decrypt(account.access_token)
        refresh = token_cipher().decrypt(account.refresh_token)
    except CipherError:
        return "unreadable", "Its tokens fit none of TOKEN_ENCRYPTION_KEYS."
    expires_at = account.token_expires_at
    is_alive = bool(access) and expires_at is not None and expires_at > now
    if account.status == AccountStatus.TOKEN_EXPIRED or not (refresh or is_alive):
        return "lost", "Connect it again: its sign-in is over."
    if not refresh:
        return "expires_in_window" if _ends(expires_at, now + window) else "survives", (
            f"There is no refresh token: connect it again before {_show(expires_at)}."
        )
    if not _ends(expires_at, now + window):
        return "survives", "Survives."
    when = "has expired" if not is_alive else f"expires {_show(expires_at)}"
    if account.is_fenced:
        return "expires_in_window", (
            f"Its access token {when}, and is refreshed only once the old poller is declared "
            "stopped; calls fail until then."
        )
    return "expires_in_window", f"Its access token {when}; the next call refreshes it."


def _ends(expires_at: datetime | None, moment: datetime) -> bool:
    return expires_at is None or expires_at <= moment


def _show(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else "at an unknown time"
