"""Can this be sent? Asked before anyone types, and again before a row is made."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

from accounts.models import AccountStatus, AppPause
from autores.x.endpoints import CREATE_POST, SEND_DM
from autores.x.text import MAX_WEIGHTED_LENGTH, weighted_length
from mentions.models import (
    GONE_STATES,
    Message,
    MessageStatus,
    Reply,
    ReplyKind,
    ReplyState,
)
from mentions.outbox.wanted import MentionGoneError

__all__ = [
    "MAX_DM_LENGTH",
    "MAX_WEIGHTED_LENGTH",
    "Preflight",
    "Refusal",
    "check_reply",
    "check_text",
    "clean_text",
]

# X documents no limit for v2; the former API took 10,000 characters.
MAX_DM_LENGTH = 10_000
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Cs", "Zl", "Zp", "Zs"})
# Letters and symbols by their category, and blank all the same.
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\ufe0e\ufe0f\uffa0")
_REFUSED_BY_X = frozenset("\ufeff\ufffe\uffff")
_SEND_SCOPES = CREATE_POST.scopes
_DM_SCOPES = frozenset({"dm.read", "dm.write"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """``code`` never changes; ``sentence`` says what to do. A warning does not hinder a send."""

    code: str
    sentence: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Preflight:
    """The answer. ``weighted_length`` is None when no text was given."""

    refusals: tuple[Refusal, ...]
    weighted_length: int | None
    max_weighted_length: int

    @property
    def can_send(self) -> bool:
        return not any(not refusal.is_warning for refusal in self.refusals)

    @property
    def first_refusal(self) -> Refusal | None:
        return next((item for item in self.refusals if not item.is_warning), None)


def clean_text(text: str) -> str:
    """The text as it is sent: one kind of line end, whatever browser it came from, no edges."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing: spaces, marks of direction, fillers."""
    return all(
        unicodedata.category(char) in _INVISIBLE_CATEGORIES or char in _FILLERS for char in text
    )


def check_text(kind: str, text: str) -> tuple[tuple[Refusal, ...], int]:
    """What is wrong with the text alone, and its length in X's units (DMs: characters)."""
    limit = MAX_DM_LENGTH if kind == ReplyKind.DM else MAX_WEIGHTED_LENGTH
    length = len(text) if kind == ReplyKind.DM else weighted_length(text)
    found = []
    if is_blank(text):
        found.append(Refusal("empty_text", "Write a text: it is empty."))
    if not _REFUSED_BY_X.isdisjoint(text):
        found.append(
            Refusal(
                "invalid_characters",
                "The text holds characters X refuses (U+FEFF, U+FFFE or U+FFFF): remove them.",
            )
        )
    if any(ord(c) < 32 and c not in "\n\t" for c in text) or "\x7f" in text:
        found.append(Refusal("control_characters", "The text holds control characters."))
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        found.append(Refusal("invalid_unicode", "The text holds half of a character."))
    if length > limit:
        found.append(
            Refusal("text_too_long", f"The text counts {length} of at most {limit}: shorten it.")
        )
    return tuple(found), length


def check_reply(
    message: Message, *, kind: str, text: str | None = None, now: datetime
) -> Preflight:
    """Everything that would hinder (or might hinder) this reply, in the order a person can act."""
    found: list[Refusal] = []
    length = None
    limit = MAX_DM_LENGTH if kind == ReplyKind.DM else MAX_WEIGHTED_LENGTH
    if text is not None:
        text_refusals, length = check_text(kind, text)
        found.extend(text_refusals)
    found.extend(_check_message(message, kind))
    if message.account_id is not None:
        found.extend(_check_account(message, kind, now))
    existing = Reply.objects.filter(live_key=f"{message.pk}:{kind}").first()
    if existing is not None:
        found.append(
            Refusal("already_replied", "This mention was answered already.")
            if existing.state == ReplyState.SENT
            else Refusal("reply_under_way", "A reply to this mention is under way already.")
        )
    elif _is_marked_answered(message, kind):
        found.append(
            Refusal(
                "already_replied",
                "This mention is marked as answered (by the former system, or by hand): set its "
                "status to pending to answer it again.",
            )
        )
    return Preflight(tuple(found), length, limit)


def _is_marked_answered(message: Message, kind: str) -> bool:
    """By a text of this kind, or by hand and without a word of how."""
    if message.status != MessageStatus.REPLIED:
        return False
    said = message.public_response if kind == ReplyKind.PUBLIC else message.dm_response
    return bool(said) or not (message.public_response or message.dm_response)


def _check_message(message: Message, kind: str) -> list[Refusal]:
    if message.account_id is None:
        return [
            Refusal(
                "no_account",
                "This mention belongs to no account yet: assign one before answering.",
            )
        ]
    if message.x_state in GONE_STATES:
        return [Refusal(MentionGoneError.default_code, MentionGoneError.default_sentence)]
    found = []
    if kind == ReplyKind.PUBLIC:
        if not message.reply_target_id.isdigit():
            found.append(
                Refusal("not_a_post", "This message was made by hand: there is no post on X.")
            )
        elif not message.is_replyable and message.kind != "legacy":
            found.append(
                Refusal(
                    message.replyable_code or "not_replyable",
                    message.replyable_reason or "X does not allow a reply to this post.",
                    # X does not say whether a carried-along handle counts: let a person try.
                    is_warning=message.replyable_code == "not_summoned",
                )
            )
    elif not message.user.isdigit():
        found.append(Refusal("no_recipient", "The author's X id is not known."))
    return found


def _check_account(message: Message, kind: str, now: datetime) -> list[Refusal]:
    account = message.account
    assert account is not None
    found = []
    if kind == ReplyKind.DM and account.scopes and not set(account.scopes) >= _DM_SCOPES:
        missing = ", ".join(sorted(_DM_SCOPES - set(account.scopes)))
        found.append(
            Refusal(
                "dm_scope_missing",
                f"{account} did not grant {missing}: connect it again to send messages.",
            )
        )
    missing_scopes = _SEND_SCOPES - set(account.scopes)
    if kind == ReplyKind.PUBLIC and account.scopes and missing_scopes:
        found.append(
            Refusal(
                "missing_scope",
                f"{account} did not grant {', '.join(sorted(missing_scopes))}: connect it again "
                "to reply.",
            )
        )
    if account.status == AccountStatus.TOKEN_EXPIRED:
        found.append(Refusal("reconnect_needed", f"{account} must be connected again first."))
    elif account.status == AccountStatus.PAUSED:
        found.append(Refusal("account_paused", f"{account} is paused: resume it first."))
    elif account.status == AccountStatus.ERROR:
        found.append(
            Refusal(
                "account_error",
                f"X may refuse it: {account.status_reason or 'the account is in error.'}",
                is_warning=True,
            )
        )
    endpoint = SEND_DM if kind == ReplyKind.DM else CREATE_POST
    if opens_at := account.list_closed(now=now).get(endpoint.name):
        found.append(
            Refusal(
                "account_rate_limited",
                f"X lets {account} go on at {opens_at:%H:%M} UTC: it will wait.",
                is_warning=True,
            )
        )
    pause = AppPause.current(now=now)
    if pause is not None:
        found.append(Refusal("app_paused", f"It will wait: {pause.reason}", is_warning=True))
    return found
