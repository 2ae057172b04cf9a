"""Writes below the ORM, where the driver's care for a lost answer costs as much as the write."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bson.raw_bson import RawBSONDocument
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.models import Model
from pymongo.errors import (
    AutoReconnect,
    DuplicateKeyError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteError,
)

from autores.mongo.backend.errors import describe_driver_error, described_errors
from autores.mongo.errors import OutcomeUnknownError
from autores.mongo.reads import collection_name

# A command may have 16 MB, of which some are its own.
_COMMAND_BYTES = 15_000_000
DUPLICATE_KEY = 11000


class Update(NamedTuple):
    """Of one document at most, in MongoDB's terms."""

    filter: Mapping[str, Any]
    update: Mapping[str, Any]


def update_once(source: type[Model] | str, update: Update, *, hint: str) -> bool:
    """Update one document by one command that is sent once; whether there was one that matched.

    PyMongo's ``update_one`` gives each write a number, by which the server knows it when it is sent
    again, at the cost of a sixteenth of a small update. Who can tell by other means whether a write
    was made does without.

    Raises:
        OutcomeUnknownError: no answer came, or none that a majority has it.
        DatabaseError: the server refused it; nothing was written.
    """
    outcome = update_each(source, [update], hint=hint)[0]
    assert outcome is not None
    if isinstance(outcome, WriteError):
        with described_errors(collection_name(source)):
            raise outcome
    return outcome


def update_each(
    source: type[Model] | str,
    updates: Sequence[Update],
    *,
    hint: str,
    using: str = DEFAULT_DB_ALIAS,
) -> list[bool | WriteError | None]:
    """Several as ``update_once``, in one command: for each whether a document matched it, or why
    the server refused it alone.

    None where that is not told: the server counts them all together.

    Raises:
        OutcomeUnknownError: no answer came, or none that a majority has them. Each may have been
            made, or not.
        DatabaseError: the server refused all; nothing was written.
    """
    name = collection_name(source)
    command: dict[str, Any] = {
        "update": name,
        "updates": [{"q": each.filter, "u": each.update, "hint": hint} for each in updates],
        # One that is refused keeps no other from being made.
        "ordered": False,
    }
    answer = _send(command, name, using=using)
    refused = _read_refused(answer)
    matched = answer["n"]
    others: bool | None = None
    if matched in (0, len(updates) - len(refused)):
        others = matched > 0
    return [refused.get(index, others) for index in range(len(updates))]


def insert_each(
    source: type[Model] | str,
    documents: Sequence[RawBSONDocument],
    *,
    using: str = DEFAULT_DB_ALIAS,
) -> dict[int, WriteError]:
    """Insert documents by commands that are sent once; why the server refused one, by its position.
    Of a command that it refused as a whole, each document. In a transaction, which is over then,
    the first refusal is raised.

    PyMongo's ``insert_many`` takes half as long again of the process, to look at each document and
    to know the command when it is sent again.

    Raises:
        OutcomeUnknownError: no answer came, or none that a majority has them. Each may have been
            inserted, or not.
        OperationalError: no server answered.
        DatabaseError: refused within a transaction.
    """
    name = collection_name(source)
    refused: dict[int, WriteError] = {}
    start = 0
    for count in _split_by_size(documents):
        part = documents[start : start + count]
        command = {"insert": name, "documents": part, "ordered": False}
        try:
            failures = _read_refused(_send(command, name, using=using))
        except DatabaseError as error:
            cause = error.__cause__
            if not isinstance(cause, OperationFailure) or connections[using].session is not None:
                raise
            failures = dict.fromkeys(
                range(count), WriteError(str(error), cause.code, dict(cause.details or {}))
            )
        if failures and connections[using].session is not None:
            with described_errors(name):
                raise next(iter(failures.values()))
        refused |= {start + index: failure for index, failure in failures.items()}
        start += count
    return refused


def _split_by_size(documents: Sequence[RawBSONDocument]) -> Iterator[int]:
    """How many of them fit into each command."""
    count = size = 0
    for document in documents:
        length = len(document.raw)
        if count and size + length > _COMMAND_BYTES:
            yield count
            count = size = 0
        count += 1
        size += length
    if count:
        yield count


def _send(command: dict[str, Any], name: str, *, using: str) -> Mapping[str, Any]:
    """The answer to a write that is sent once. Raises as the callers say."""
    connection = connections[using]
    # A command takes no write concern from the address; in a transaction, the commit has one.
    concern = connection.get_collection(name).write_concern.document
    if concern and connection.session is None:
        command = {**command, "writeConcern": concern}
    with described_errors(name):
        try:
            answer = connection.run_command(command)
        except ServerSelectionTimeoutError:
            # It was not even sent.
            raise
        except AutoReconnect as error:
            if connection.session is not None:
                raise
            said = describe_driver_error(error, collection=name)
            raise OutcomeUnknownError(f"Whether the write was made is not known: {said}") from error
    if "writeConcernError" in answer:
        code = answer["writeConcernError"].get("codeName", "unnamed")
        raise OutcomeUnknownError(f"The write on collection {name} may not last: {code}.")
    return dict(answer)


def _read_refused(answer: Mapping[str, Any]) -> dict[int, WriteError]:
    return {failure["index"]: _as_error(failure) for failure in answer.get("writeErrors", ())}


def _as_error(failure: Mapping[str, Any]) -> WriteError:
    code = failure.get("code")
    kind = DuplicateKeyError if code == DUPLICATE_KEY else WriteError
    return kind(failure.get("errmsg", ""), code, failure)
