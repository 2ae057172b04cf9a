"""What each legacy column must have become, said once more and apart from the import's mapping.

A comparison that asked the mapping would find every fault of the mapping right. So this module
reads the server's bytes by itself, and shares only the cipher with the import. Pure.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from bson.int64 import Int64

RawRow = tuple[bytes | None, ...]

# A value in a report: long ones are cut, with their length and digest.
_SHOWN_CHARACTERS = 200
_NOTHING = type(None)
_ABSENT = object()


@dataclass(frozen=True)
class FieldDifference:
    """One field whose two values disagree, both as text fit for a report."""

    field: str
    in_mysql: str
    in_mongodb: str
    why: str = ""


@dataclass(frozen=True)
class FieldRule:
    """One column: ``name`` is its key in the document, ``read`` makes the expected value."""

    column: str
    name: str
    read: Callable[[bytes], Any]
    types: frozenset[type]
    is_secret: bool = False
    # Without a value there the import had to find one: any value of the type will do.
    has_own_default: bool = False


@dataclass(frozen=True)
class TableRule:
    """One table. ``extra`` names further keys of the document that the comparison looks at."""

    table: str
    collection: str
    key: str
    fields: tuple[FieldRule, ...]
    extra: tuple[str, ...]
    # Documents of the collection that no import made; the others must have a row.
    is_born_here: Callable[[Mapping[str, Any]], bool]
    # The document's key is the SHA-256 of the row's, which MySQL computes: it never leaves there.
    is_key_hashed: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(rule.column for rule in self.fields)

    @property
    def projection(self) -> dict[str, int]:
        return dict.fromkeys((*(rule.name for rule in self.fields), *self.extra), 1)


# UTF-8, strictly; the method itself, since a function around it costs as much again.
read_text = bytes.decode


def read_moment(value: bytes) -> datetime:
    """A naive UTC time in whole milliseconds, as MongoDB keeps them. Raises ValueError."""
    moment = datetime.fromisoformat(value.decode("ascii"))
    if moment.tzinfo is not None:
        raise ValueError("has a time zone")
    if moment.microsecond:
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return moment


def read_truth(value: bytes) -> bool:
    return int(value) != 0


_TEXT = frozenset({str})
_MOMENT = frozenset({datetime})
_WHOLE = frozenset({int, Int64})
_TRUTH = frozenset({bool})


def _was_not_imported(document: Mapping[str, Any]) -> bool:
    return not document.get("imported")


def _was_polled(document: Mapping[str, Any]) -> bool:
    return document.get("kind") != "legacy"


def _text(column: str, name: str = "", *, is_secret: bool = False) -> FieldRule:
    return FieldRule(column, name or column, read_text, _TEXT, is_secret=is_secret)


def _moment(column: str, *, has_own_default: bool = False) -> FieldRule:
    return FieldRule(column, column, read_moment, _MOMENT, has_own_default=has_own_default)


USERS = TableRule(
    "users",
    "users",
    "id",
    (
        _text("id", "_id"),
        _text("twitter_id"),
        _text("access_token", is_secret=True),
        _text("refresh_token", is_secret=True),
        _moment("token_expires_at"),
        _moment("created_at", has_own_default=True),
        _moment("updated_at", has_own_default=True),
    ),
    extra=("imported",),
    is_born_here=_was_not_imported,
)
MESSAGES = TableRule(
    "messages",
    "messages",
    "id",
    (
        _text("id", "_id"),
        _moment("timestamp"),
        _text("user"),
        _text("text"),
        _text("status"),
        _text("public_response"),
        _text("dm_response"),
        FieldRule("credits_used", "credits_used", int, _WHOLE),
        FieldRule("redirected", "redirected", read_truth, _TRUTH),
        _moment("created_at"),
        _moment("updated_at"),
        # The post's id is the row's own, a second time.
        _text("id", "post_id"),
    ),
    extra=("kind", "account_id"),
    is_born_here=_was_polled,
)
OAUTH_STATES = TableRule(
    "oauth_states",
    "oauth_states",
    "state",
    (
        _text("state", "_id"),
        _text("code_verifier", is_secret=True),
        _moment("created_at"),
    ),
    extra=("imported",),
    is_born_here=_was_not_imported,
    is_key_hashed=True,
)


class RowReader:
    """Reads the rows and documents of one table into tuples that can be compared at once.

    ``decrypt`` turns a stored secret into its plain text, or raises ValueError.
    """

    def __init__(self, rule: TableRule, *, decrypt: Callable[[str], str]) -> None:
        self.rule = rule
        self._decrypt = decrypt
        self._readers = tuple(item.read for item in rule.fields)
        self._names = tuple(item.name for item in rule.fields)
        self._pick = itemgetter(*self._names)
        self._secrets = tuple(i for i, item in enumerate(rule.fields) if item.is_secret)
        # Secrets are decrypted one by one, and any value may stand for an own default.
        self.compares_columns = not any(
            item.is_secret or item.has_own_default for item in rule.fields
        )
        # Combinations of types found right before.
        self._known: set[tuple[type, ...]] = set()

    def read_row(self, row: RawRow) -> tuple[Any, ...]:
        """The expected values. Raises ValueError if a column cannot be read."""
        # A list first: twice as fast as a generator, and this runs for every row.
        return tuple(
            [
                None if value is None else read(value)
                for read, value in zip(self._readers, row, strict=True)
            ]
        )

    def are_equal(self, rows: Sequence[RawRow], documents: Sequence[Mapping[str, Any]]) -> bool:
        """Whether each row is equal to the document at its place, in values and types.

        Column by column, which takes a third of the time of ``is_equal``. False may also mean that
        only the rows one by one can tell.
        """
        if not self.compares_columns:
            return False
        for rule, column in zip(self.rule.fields, zip(*rows, strict=True), strict=True):
            try:
                if None in column:
                    expected = [None if value is None else rule.read(value) for value in column]
                else:
                    expected = [*map(rule.read, column)]
                found = [document[rule.name] for document in documents]
            except (KeyError, ValueError):
                return False
            # Equal to None is None alone: whatever else is found stands for a value.
            if found != expected or not {*map(type, found)} <= rule.types | {_NOTHING}:
                return False
        return True

    def is_equal(self, expected: tuple[Any, ...], document: Mapping[str, Any]) -> bool:
        """Whether values and types all agree; for secrets and own defaults see ``compare``."""
        try:
            found = self._pick(document)
        except KeyError:
            return False
        if self._secrets:
            return not self.compare(expected, document)
        if found != expected:
            return False
        signature = tuple(map(type, found))
        if signature in self._known:
            return True
        if self.compare(expected, document):
            return False
        self._known.add(signature)
        return True

    def compare(
        self, expected: tuple[Any, ...], document: Mapping[str, Any]
    ) -> list[FieldDifference]:
        """Every field that disagrees, in value or in type."""
        differences = []
        for rule, value in zip(self.rule.fields, expected, strict=True):
            found = document.get(rule.name, _ABSENT)
            if rule.is_secret and isinstance(found, str):
                try:
                    found = self._decrypt(found)
                except ValueError:
                    differences.append(
                        FieldDifference(
                            rule.column,
                            show_value(value, is_secret=True),
                            "(cannot be decrypted)",
                            "none of TOKEN_ENCRYPTION_KEYS fits",
                        )
                    )
                    continue
            if rule.has_own_default and value is None and type(found) in rule.types:
                continue
            why = self._judge(rule, value, found)
            if why is not None:
                name = rule.column if rule.name == "_id" else rule.name
                differences.append(
                    FieldDifference(
                        name,
                        show_value(value, is_secret=rule.is_secret),
                        show_value(found, is_secret=rule.is_secret),
                        why,
                    )
                )
        return differences

    def explain_unreadable(self, row: RawRow) -> list[FieldDifference]:
        """The columns that hold no readable value, for a row that ``read_row`` refused."""
        found = []
        for rule, value in zip(self.rule.fields, row, strict=True):
            if value is None:
                continue
            try:
                rule.read(value)
            except ValueError as error:
                what = "not UTF-8" if isinstance(error, UnicodeError) else "not readable"
                found.append(
                    FieldDifference(
                        rule.column, show_value(value, is_secret=rule.is_secret), "", what
                    )
                )
        return found

    def _judge(self, rule: FieldRule, value: Any, found: Any) -> str | None:
        if found is _ABSENT:
            return "the document has no such field"
        wanted = rule.types if value is not None else {_NOTHING}
        if type(found) not in wanted:
            return f"stored as {type(found).__name__}"
        return None if found == value else ""


def show_value(value: Any, *, is_secret: bool = False) -> str:
    """A value as a report shows it: secrets as digests, long texts cut."""
    if value is None:
        return "NULL"
    if value is _ABSENT:
        return "(no such field)"
    if is_secret:
        data = value if isinstance(value, bytes) else str(value).encode()
        return f"sha256:{hashlib.sha256(data).hexdigest()[:16]}" if data else "(empty)"
    if isinstance(value, datetime):
        shown = value.replace(tzinfo=UTC).isoformat(timespec="milliseconds")
        return shown.replace("+00:00", "Z")
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="backslashreplace")
    if isinstance(value, str):
        if len(value) > _SHOWN_CHARACTERS:
            digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            return f"{value[:_SHOWN_CHARACTERS]!r}… ({len(value)} characters, sha256:{digest})"
        return repr(value)
    return repr(value)


def show_key(rule: TableRule, key: str) -> str:
    """A row's key in a report; that of a consent flow is a digest already."""
    return f"sha256:{key[:16]}" if rule.is_key_hashed else key


def rule_of(table: str) -> TableRule:
    return {"users": USERS, "messages": MESSAGES, "oauth_states": OAUTH_STATES}[table]
