"""Errors of MongoDB that a caller can act on."""

from django.db import DatabaseError


class MongoError(DatabaseError):
    """Base of this package's errors. ``retry_after`` is in seconds, None if unknown."""

    retryable = False
    retry_after: float | None = None


class TransactionConflictError(MongoError):
    """Every attempt at a transaction met a concurrent write; nothing was written."""

    retryable = True


class CommitUnknownError(MongoError):
    """The server never confirmed a commit: the writes may be there, so do not repeat blindly."""


class OutcomeUnknownError(MongoError):
    """The answer to a write was lost: it may have been made. Look, before you make it again."""


class MongoUnavailableError(MongoError):
    """No server answered in time."""

    retryable = True
    retry_after = 5.0


class DuplicateDocumentsError(MongoError):
    """A unique index cannot be built: two documents have the same values."""
