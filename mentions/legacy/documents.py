"""Where the rows of the legacy tables go, and what a document of each kind looks like."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models
from pymongo.write_concern import WriteConcern

from accounts.models import OAuthState, TwitterAccount
from autores.crypto import CipherError, TokenCipher
from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS, Table
from mentions.legacy.mapping import (
    MESSAGE_COMPARED,
    OAUTH_STATE_COMPARED,
    USER_COMPARED,
    MappedRow,
    Outcome,
    RawRow,
    RejectedRow,
    hash_state,
    map_message,
    map_oauth_state,
    map_user,
    show_key,
)
from mentions.legacy.values import digest_values
from mentions.models import GONE_STATES, Message

# What is acknowledged survives the loss of the primary.
WRITE_CONCERN = WriteConcern(w="majority")
# Passing through Django's fields costs more than all else that is done for a row.
_STORED_AS_IS: dict[type[models.Field], type] = {
    models.CharField: str,
    models.TextField: str,
    models.BooleanField: bool,
}


@dataclass(frozen=True)
class Target:
    """Where one legacy table goes."""

    table: Table
    model: type[models.Model]
    secrets: tuple[str, ...] = ()
    # Unique here beside the key; two rows with the same values cannot both be stored.
    unique: tuple[str, ...] = ()
    # The fields that tell whether a document is still what an import wrote.
    compared: tuple[str, ...] = ()


TARGETS = (
    Target(
        USERS,
        TwitterAccount,
        ("access_token", "refresh_token"),
        ("twitter_id",),
        compared=USER_COMPARED,
    ),
    Target(MESSAGES, Message, (), ("account_id", "post_id"), compared=MESSAGE_COMPARED),
    Target(OAUTH_STATES, OAuthState, ("code_verifier",), compared=OAUTH_STATE_COMPARED),
)


def record_key(table: Table, key: str) -> str:
    """The id of a reject; for a consent flow, ``key`` is its state's hash."""
    return f"{table.name}:{key}"


def document_key(table: Table, key: bytes) -> str:
    """The id of a row's document: for a consent flow, its state's hash."""
    return hash_state(key) if table is OAUTH_STATES else show_key(key)


class DocumentWriter:
    """Builds complete documents of one model: a field that is left out would load as None."""

    def __init__(self, model: type[models.Model], *, constants: Mapping[str, Any]) -> None:
        self._fields = {field.attname: field for field in model._meta.concrete_fields}
        instance = model(**constants)
        self._template = {
            field.column: field.get_db_prep_save(getattr(instance, name), connection)
            for name, field in self._fields.items()
        }

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The given fields alone, by column."""
        return {
            self._fields[name].column: _adapt(self._fields[name], value)
            for name, value in values.items()
        }

    def build(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A whole document: defaults, then the given fields."""
        return {**self._template, **self.encode(values)}

    def decode(self, document: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
        """Field values of a stored document; times become aware."""
        values = {}
        for name in names:
            value = document.get(self._fields[name].column)
            values[name] = value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        return values

    def column(self, name: str) -> str:
        return self._fields[name].column


def digest_document(
    target: Target,
    document: Mapping[str, Any],
    cipher: TokenCipher,
    *,
    names: Sequence[str] | None = None,
) -> str | None:
    """Digest of the compared fields of a stored document, equal to that of the row it came from.

    None when a secret cannot be decrypted or a value is of a type that no import writes.
    """
    columns = _columns_of(target.model)
    values: dict[str, Any] = {}
    for name in names or target.compared:
        value = document.get(columns[name])
        values[name] = value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
    try:
        for name in target.secrets:
            values[name] = cipher.decrypt(values[name] or "")
        return digest_values(values)
    except (CipherError, TypeError):
        # Encrypted with a key that is gone: certainly not what an import would write now.
        return None


def digest_row(table: Table, row: RawRow, document: Mapping[str, Any]) -> str | None:
    """What ``MappedRow.digest`` is of MySQL's row, for the account that its document has now.

    None for a row that cannot be taken over.
    """
    mapped = _map_row(table, row, account_id=document.get("account_id"))
    return mapped.digest if isinstance(mapped, MappedRow) else None


def is_gone_on_x(table: Table, document: Mapping[str, Any]) -> bool:
    """Whether it is a message whose author deleted it on X: nothing it said may be kept."""
    return table is MESSAGES and document.get("x_state") in GONE_STATES


def find_gone(table: Table, keys: Sequence[str]) -> set[str]:
    """Those of the keys whose message is gone on X."""
    if table is not MESSAGES:
        return set()
    rows = Message.objects.filter(pk__in=list(keys), x_state__in=GONE_STATES)
    return set(rows.values_list("pk", flat=True))


def is_refused(table: Table, row: RawRow) -> bool:
    """Whether the row, by itself, cannot be taken over."""
    return isinstance(_map_row(table, row, account_id=None), RejectedRow)


def _map_row(table: Table, row: RawRow, *, account_id: str | None) -> Outcome:
    if table is MESSAGES:
        return map_message(row, account_id=account_id)
    now = datetime.now(UTC)
    return map_user(row, now=now) if table is USERS else map_oauth_state(row, now=now)


def _adapt(field: models.Field, value: Any) -> Any:
    """What Django's field stores for ``value``."""
    kind = type(field)
    if type(value) is _STORED_AS_IS.get(kind):
        return value
    if kind is models.DateTimeField and type(value) is datetime and value.tzinfo is UTC:
        return value.replace(tzinfo=None)
    return field.get_db_prep_save(value, connection)


def _columns_of(model: type[models.Model]) -> dict[str, str]:
    return {field.attname: field.column for field in model._meta.concrete_fields}
