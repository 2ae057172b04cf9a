"""Texts for the errors of the driver: django-mongodb-backend 5.2.4 raises its own with none.

A text names the collection, the index and its keys. It never carries a value, for a value may be a
token: the driver's own duplicate-key error does, so it is replaced in the chain as well.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, IntegrityError, OperationalError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

_DUPLICATE_KEY_CODES = frozenset({11000, 11001, 12582})
_INDEX_NAME = re.compile(r" index: (\S+) dup key")


def find_duplicate_key(error: BaseException | None) -> dict[str, Any] | None:
    """The server's report of the first duplicate key in ``error``; None if it has another cause."""
    if isinstance(error, BulkWriteError):
        reports = error.details.get("writeErrors", [])
        return next((r for r in reports if r.get("code") in _DUPLICATE_KEY_CODES), None)
    if isinstance(error, DuplicateKeyError):
        return {"errmsg": str(error), **(error.details or {})}
    return None


def describe_duplicate_key(report: dict[str, Any], *, collection: str) -> str:
    """``Duplicate key in collection users: index users_number_uniq (number).``; no values."""
    found = _INDEX_NAME.search(report.get("errmsg", ""))
    name = f"index {found.group(1)} " if found else ""
    keys = ", ".join(report.get("keyPattern", {})) or "keys unknown"
    return f"Duplicate key in collection {collection}: {name}({keys})."


def describe_driver_error(error: PyMongoError, *, collection: str) -> str:
    """Kind and code of ``error``; the server's words may quote values, a connection's do not."""
    kind = type(error).__name__
    if isinstance(error, ConnectionFailure):
        return f"{kind} on collection {collection}: {error}"
    if isinstance(error, OperationFailure):
        name = (error.details or {}).get("codeName", "unnamed")
        return f"{kind} on collection {collection}: code {error.code} ({name})"
    return f"{kind} on collection {collection}"


def translate_error(error: BaseException, *, collection: str) -> DatabaseError | None:
    """The described database error for a driver's error or for the backend's textless one; None for
    others.

    The driver's error stays the ``__cause__``, with its labels, unless it is a duplicate key.
    """
    if isinstance(error, PyMongoError):
        cause: BaseException | None = error
    elif isinstance(error, DatabaseError) and not error.args:
        cause = error.__cause__
    else:
        return None
    if (report := find_duplicate_key(cause)) is not None:
        text = describe_duplicate_key(report, collection=collection)
        described: DatabaseError = IntegrityError(text)
        details: dict[str, Any] = {
            key: report[key] for key in ("code", "keyPattern", "index") if key in report
        }
        described.__cause__ = DuplicateKeyError(text, report.get("code", 11000), details)
        return described
    if not isinstance(cause, PyMongoError):
        return None
    kind = OperationalError if isinstance(cause, ConnectionFailure) else DatabaseError
    described = kind(describe_driver_error(cause, collection=collection))
    described.__cause__ = cause
    return described


@contextmanager
def described_errors(collection: str) -> Iterator[None]:
    """Raise ``DatabaseError`` and its kin with a text, for the driver's and textless errors."""
    failure: DatabaseError | None = None
    try:
        yield
    except (PyMongoError, DatabaseError) as error:
        failure = translate_error(error, collection=collection)
        if failure is None:
            raise
    # Outside of the handler: the original, which quotes values, must not hang on as __context__.
    if failure is not None:
        raise failure
