"""Writes below the ORM, where the driver's care for a lost answer costs as much as the write."""

from collections.abc import Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError, WriteError

from autores.mongo.backend.errors import describe_driver_error, described_errors
from autores.mongo.errors import OutcomeUnknownError
from autores.mongo.reads import collection_name


def update_once(
    source: type[Model] | str,
    *,
    filter: Mapping[str, Any],
    update: Mapping[str, Any],
    hint: str,
    using: str = DEFAULT_DB_ALIAS,
) -> bool:
    """Update one document by one command that is sent once; whether there was one that matched.

    PyMongo's ``update_one`` gives each write a number, by which the server knows it when it is sent
    again, at the cost of a sixteenth of a small update. Who can tell by other means whether a write
    was made does without.

    Raises:
        OutcomeUnknownError: no answer came, or none that a majority has it.
        DatabaseError: the server refused it; nothing was written.
    """
    name = collection_name(source)
    connection = connections[using]
    command: dict[str, Any] = {
        "update": name,
        "updates": [{"q": filter, "u": update, "hint": hint}],
    }
    # A command takes no write concern from the address; in a transaction, the commit has one.
    concern = connection.get_collection(name).write_concern.document
    if concern and connection.session is None:
        command["writeConcern"] = concern
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
        for failure in answer.get("writeErrors", ()):
            raise WriteError(failure.get("errmsg", ""), failure.get("code"), failure)
    if "writeConcernError" in answer:
        code = answer["writeConcernError"].get("codeName", "unnamed")
        raise OutcomeUnknownError(f"The write on collection {name} may not last: {code}.")
    return bool(answer["n"])
