"""Which accounts come over alive, and what somebody has to do about the others."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import AccountStatus, TwitterAccount
from accounts.stored_tokens import token_cipher

DEFAULT_WINDOW = timedelta(hours=2)
_TOGETHER = 500
# Accounts in the same state are told of together.
_ALIKE = 3
_SENTENCES = 20
_TOLD = (
    "twitter_id",
    "twitter_username",
    "access_token",
    "refresh_token",
    "token_expires_at",
    "status",
    "scopes",
    "fenced_since",
)
_STATES = ("lost", "unreadable", "expires_in_window", "survives")


def report_handover(
    *,
    window: timedelta = DEFAULT_WINDOW,
    now: datetime | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """JSON of the X accounts here, worst first. ``window`` is how long the cut-over may take.

    All are counted; at most ``limit`` are listed, and ``omitted`` says how many are not.

    Each account: ``account``, ``x_user``, ``state`` (lost, unreadable, expires_in_window,
    survives), ``direct_messages`` (granted, missing, unknown), ``is_fenced``, ``expires_at``,
    ``sentence``.
    """
    moment = now or timezone.now()
    listed: dict[str, list[dict[str, Any]]] = {state: [] for state in _STATES}
    counts = dict.fromkeys((*_STATES, "without_dm", "unknown_dm", "fenced"), 0)
    for account in _read_accounts():
        item = _describe(account, now=moment, window=window)
        state = item["state"]
        if limit is None or len(listed[state]) < limit:
            listed[state].append(item)
        counts[state] += 1
        counts["without_dm"] += item["direct_messages"] == "missing"
        counts["unknown_dm"] += item["direct_messages"] == "unknown"
        counts["fenced"] += item["is_fenced"]
    total = sum(counts[state] for state in _STATES)
    accounts = [item for state in _STATES for item in listed[state]][:limit]
    parts = [f"{counts['survives']} of {total} accounts survive as they are"]
    if counts["expires_in_window"]:
        parts.append(f"{counts['expires_in_window']} expire inside the window")
    if counts["lost"] + counts["unreadable"]:
        parts.append(f"{counts['lost'] + counts['unreadable']} must be connected again")
    if counts["without_dm"]:
        parts.append(f"{counts['without_dm']} lack dm.read")
    if counts["unknown_dm"]:
        parts.append(
            f"of {counts['unknown_dm']} the permissions are unknown until their first call"
        )
    if counts["fenced"]:
        parts.append(f"{counts['fenced']} are fenced until the old poller is declared stopped")
    return {
        "at": moment.isoformat(timespec="seconds"),
        "window_hours": round(window.total_seconds() / 3600, 2),
        "counts": counts,
        "sentence": "; ".join(parts) + ".",
        "accounts": accounts,
        "omitted": total - len(accounts),
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
        lines.append(f"  … and {len(alike) - _SENTENCES} more; --json lists the accounts")
    if report.get("omitted"):
        lines.append(f"  … {report['omitted']} more are not listed; --handover --json lists them")
    return "\n".join(lines)


def _read_accounts() -> Iterator[TwitterAccount]:
    """All of them by key; ``iterator()`` would hold 16 MiB of documents at a time, unpacked."""
    last = ""
    while True:
        following = TwitterAccount.objects.filter(pk__gt=last).only(*_TOLD).order_by("pk")
        accounts = list(following[:_TOGETHER])
        yield from accounts
        if len(accounts) < _TOGETHER:
            return
        last = accounts[-1].pk


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
    access, refresh = account.access_token, account.refresh_token
    if not (token_cipher().is_readable(access) and token_cipher().is_readable(refresh)):
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
