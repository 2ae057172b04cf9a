"""What a row of the legacy database becomes here. Pure: bytes in, values or reasons out.

A row arrives as the server's own text, undecoded (``{column: bytes | None}``): the mapping alone
decides what cannot be read, so that one bad value costs one row and never a page. Every reason
of a row is collected before it is refused.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from mentions.legacy.contract import LONGEST_KEY, LONGEST_TEXT
from mentions.legacy.values import digest_values

RawRow = Mapping[str, bytes | None]

KNOWN_STATUSES = ("pending", "processing", "replied", "ignored", "error")
OAUTH_STATE_LIFETIME = timedelta(minutes=10)
# Never shown, stored or written to a file, not even for a row that is refused.
SECRET_COLUMNS = frozenset({"access_token", "refresh_token", "code_verifier"})

_STATE_LENGTH = 255
_INT32 = range(-(2**31), 2**31)
_POST_ID = re.compile(r"[1-9][0-9]{0,18}")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
# UTF-8 of two bytes and more, each byte read as a character of Latin-1 or Windows-1252.
_MOJIBAKE = re.compile(
    rb"\xc3[\x82-\xb4](?:\xc2[\x80-\xbf]|\xc5[\x92\x93\xa0\xa1\xb8\xbd\xbe]|\xc6\x92|\xcb[\x86\x9c]"
    rb"|\xe2\x80[\x93\x94\x98-\x9a\x9c-\x9e\xa0-\xa2\xa6\xb0\xb9\xba]|\xe2\x82\xac|\xe2\x84\xa2)"
)
_DATETIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?", re.ASCII
)


@dataclass(frozen=True, kw_only=True)
class MappedRow:
    """``values`` by field name, times aware UTC in whole milliseconds, secrets in plain text.

    ``compared`` names the fields that tell whether a document is still what the import wrote.
    ``notes`` are remarks for the report, such as an unknown status; they do not refuse the row.
    """

    key: str
    values: dict[str, Any] = field(repr=False)
    compared: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        return digest_values({name: self.values[name] for name in self.compared})


@dataclass(frozen=True, kw_only=True)
class RejectedRow:
    """A row that cannot be taken over, with every reason. ``row`` has its secrets masked.

    ``rules`` are the keys of ``HINTS`` that were broken, one for each reason.
    """

    key: str
    reasons: tuple[str, ...]
    row: dict[str, str | None]
    rules: tuple[str, ...] = ()

    @property
    def hints(self) -> tuple[str, ...]:
        """What a person can do about it, each remedy once."""
        return tuple(dict.fromkeys(HINTS[rule] for rule in self.rules))


@dataclass(frozen=True, kw_only=True)
class SkippedRow:
    """A row that is left behind on purpose."""

    key: str
    reason: str


Outcome = MappedRow | RejectedRow | SkippedRow

HINTS = {
    "null": "Give the column a value in MySQL, or delete the row there.",
    "empty": "Give the column a value in MySQL, or delete the row there.",
    "too_long": "Shorten the value in MySQL: a document could not hold it.",
    "not_utf8": "Write the text anew in MySQL (UPDATE … SET column = CONVERT(…)): its bytes are "
    "no UTF-8, and guessing at them would alter it.",
    "zero_date": "Set a real date in MySQL, or NULL where the column allows it.",
    "not_a_date": "Set a real date in MySQL.",
    "not_a_number": "Set a whole number in MySQL.",
    "out_of_range": "Set a number from -2147483648 to 2147483647 in MySQL.",
    "duplicate": "Keep one of the rows in MySQL; the other belongs to the same X account or post.",
}

USER_COMPARED = ("twitter_id", "access_token", "refresh_token", "token_expires_at")
MESSAGE_COMPARED = (
    "account_id",
    "timestamp",
    "user",
    "text",
    "status",
    "public_response",
    "dm_response",
    "credits_used",
    "redirected",
    "created_at",
    "updated_at",
)
OAUTH_STATE_COMPARED = ("code_verifier", "created_at")


def cut_note(name: str) -> str:
    """The remark about a time of more than milliseconds, which MongoDB does not keep."""
    return f"{name} has microseconds, cut to milliseconds"


def is_mojibake(value: bytes) -> bool:
    """Whether a text in UTF-8 looks like UTF-8 that was once read as Latin-1: ``GrÃ¼ÃŸe``."""
    return b"\xc3" in value and _MOJIBAKE.search(value) is not None


def map_user(row: RawRow, *, now: datetime) -> Outcome:
    """A row of ``users``: an X account. ``created_at`` stays None when the row has none."""
    reader = _Reader(row)
    key = reader.read_key("id", longest=LONGEST_KEY)
    twitter_id = reader.read_text("twitter_id")
    access_token = reader.read_text("access_token")
    refresh_token = reader.read_text("refresh_token")
    expires_at = reader.read_moment("token_expires_at")
    created_at = reader.read_optional("created_at", reader.read_moment)
    updated_at = reader.read_optional("updated_at", reader.read_moment)
    if twitter_id is not None and not twitter_id.strip():
        reader.refuse("empty", "twitter_id is empty: the account cannot be told apart")
    if reader.problems or expires_at is None:
        return reader.reject("id")
    # An expired access token is renewed with the refresh token before the first call.
    is_usable = bool(refresh_token) or (bool(access_token) and expires_at > now)
    if twitter_id and not _POST_ID.fullmatch(twitter_id):
        reader.notes.append("users.twitter_id that is no X user id")
    return MappedRow(
        key=key,
        values={
            "id": key,
            "twitter_id": twitter_id,
            "access_token": access_token,
            "refresh_token": refresh_token,
            "token_expires_at": expires_at,
            "status": "active" if is_usable else "token_expired",
            "status_reason": ""
            if is_usable
            else "The token taken over from the former system has expired: connect it again.",
            "created_at": created_at,
            "updated_at": updated_at,
        },
        compared=USER_COMPARED,
        notes=tuple(reader.notes),
    )


def map_message(row: RawRow, *, account_id: str | None) -> Outcome:
    """A row of ``messages``, given to ``account_id`` (None: to no account)."""
    reader = _Reader(row)
    key = reader.read_key("id", longest=LONGEST_KEY)
    values: dict[str, Any] = {
        "id": key,
        "account_id": account_id,
        "post_id": key,
        "timestamp": reader.read_moment("timestamp"),
        "user": reader.read_text("user"),
        "text": reader.read_text("text"),
        "status": reader.read_text("status"),
        "public_response": reader.read_optional("public_response", reader.read_text),
        "dm_response": reader.read_optional("dm_response", reader.read_text),
        "credits_used": reader.read_optional("credits_used", reader.read_integer),
        "redirected": reader.read_optional("redirected", reader.read_boolean),
        "created_at": reader.read_optional("created_at", reader.read_moment),
        "updated_at": reader.read_optional("updated_at", reader.read_moment),
    }
    if reader.problems:
        return reader.reject("id")
    if values["status"] not in KNOWN_STATUSES:
        reader.notes.append(f"unknown status {values['status']!r}, kept")
    if values["credits_used"] is not None and values["credits_used"] < 0:
        reader.notes.append("negative credits_used, kept")
    if not _POST_ID.fullmatch(key):
        reader.notes.append("messages.id that is no X post id, kept")
    reader.notes += [
        f"{name} looks like UTF-8 read as Latin-1 (Ã¼ for ü), kept as it is"
        for name in ("text", "public_response", "dm_response")
        if is_mojibake(row[name] or b"")
    ]
    values.update(_judge_replyable(key, account_id=account_id))
    return MappedRow(key=key, values=values, compared=MESSAGE_COMPARED, notes=tuple(reader.notes))


def map_oauth_state(row: RawRow, *, now: datetime) -> Outcome:
    """A row of ``oauth_states``; one begun over ten minutes before ``now`` is skipped.

    Its key is the state's hash, as the callback looks flows up; see ``hash_state``.
    """
    reader = _Reader(row)
    reader.read_key("state", longest=_STATE_LENGTH)
    key = hash_state(row["state"])
    created_at = reader.read_moment("created_at")
    if created_at is not None and created_at <= now - OAUTH_STATE_LIFETIME:
        return SkippedRow(key=key, reason="expired")
    code_verifier = reader.read_text("code_verifier")
    if reader.problems or created_at is None:
        return reader.reject("state", key=key)
    reader.notes.append(
        "flow of the former system: it can renew an account that whoever is signed in here "
        "manages; others are told to begin again"
    )
    return MappedRow(
        key=key,
        values={
            "state": key,
            "code_verifier": code_verifier,
            "created_at": created_at,
            # A clock that was ahead must not lengthen the ten minutes.
            "expires_at": min(created_at, now) + OAUTH_STATE_LIFETIME,
        },
        compared=OAUTH_STATE_COMPARED,
        notes=tuple(reader.notes),
    )


def hash_state(value: bytes | None) -> str:
    """What stands for a consent flow's state, which lets its bearer in while it lives."""
    return hashlib.sha256(value or b"").hexdigest()


def show_key(value: bytes | None) -> str:
    """A key as text, whatever its bytes."""
    return "" if value is None else value.decode("utf-8", errors="backslashreplace")


def mask_row(row: RawRow) -> dict[str, str | None]:
    """The row as text a person may see: secrets masked, unreadable bytes spelled out."""
    shown: dict[str, str | None] = {}
    for name, value in row.items():
        if value is None:
            shown[name] = None
        elif name in SECRET_COLUMNS:
            shown[name] = f"[redacted, {len(value)} bytes]"
        elif name == "state":
            shown[name] = show_key(value)[:8] + "…"
        else:
            shown[name] = show_key(value)
    return shown


def _judge_replyable(key: str, *, account_id: str | None) -> dict[str, Any]:
    if not _POST_ID.fullmatch(key):
        return {
            "is_replyable": False,
            "replyable_code": "legacy_not_a_post",
            "replyable_reason": "Made by hand in the former system: there is no post to answer.",
        }
    if account_id is None:
        return {
            "is_replyable": False,
            "replyable_code": "legacy_unattributed",
            "replyable_reason": "It is not known which account this post mentions.",
        }
    return {
        "is_replyable": True,
        "replyable_code": "legacy_unverified",
        "replyable_reason": "From the former system: only X can tell whether it may be answered.",
    }


class _Reader:
    """Reads the columns of one row and collects what is wrong with them."""

    def __init__(self, row: RawRow) -> None:
        self._row = row
        self._rules: list[str] = []
        self.problems: list[str] = []
        self.notes: list[str] = []

    def refuse(self, rule: str, reason: str) -> None:
        self._rules.append(rule)
        self.problems.append(reason)

    def reject(self, key_column: str, *, key: str = "") -> RejectedRow:
        return RejectedRow(
            key=key or show_key(self._row[key_column]),
            reasons=tuple(self.problems),
            row=mask_row(self._row),
            rules=tuple(self._rules),
        )

    def read_key(self, name: str, *, longest: int) -> str:
        value = self.read_text(name)
        if value is not None and not value:
            self.refuse("empty", f"{name} is empty")
        if value is not None and len(value) > longest:
            self.refuse("too_long", f"{name} has {len(value)} characters; at most {longest} fit")
        return value or ""

    def read_optional(self, name: str, read: Callable[[str], Any]) -> Any:
        return None if self._row[name] is None else read(name)

    def read_text(self, name: str) -> str | None:
        value = self._row[name]
        if value is None:
            self.refuse("null", f"{name} is NULL")
            return None
        if len(value) > LONGEST_TEXT:
            self.refuse("too_long", f"{name} has {len(value)} bytes; at most {LONGEST_TEXT} fit")
            return None
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            self.refuse("not_utf8", f"{name} is not UTF-8 text at byte {error.start}")
            return None

    def read_moment(self, name: str) -> datetime | None:
        text = self.read_text(name)
        if text is None:
            return None
        found = _DATETIME.fullmatch(text)
        if found is None:
            self.refuse("not_a_date", f"{name} is no date and time: {text[:40]!r}")
            return None
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        if not (year and month and day):
            self.refuse("zero_date", f"{name} is a zero date: {text!r}")
            return None
        # MongoDB keeps milliseconds.
        milliseconds, rest = divmod(int((found[7] or "").ljust(6, "0")), 1000)
        if rest:
            self.notes.append(cut_note(name))
        try:
            return datetime(year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=UTC)
        except ValueError:
            self.refuse("not_a_date", f"{name} is no date and time: {text!r}")
            return None

    def read_integer(self, name: str) -> int | None:
        text = self.read_text(name)
        if text is None:
            return None
        if not _INTEGER.fullmatch(text):
            self.refuse("not_a_number", f"{name} is no whole number: {text[:40]!r}")
            return None
        number = int(text)
        if number not in _INT32:
            self.refuse("out_of_range", f"{name} is too large: {text}")
            return None
        return number

    def read_boolean(self, name: str) -> bool | None:
        number = self.read_integer(name)
        if number is None:
            return None
        if number not in (0, 1):
            self.notes.append(f"{name} is {number}, taken as true")
        return bool(number)
