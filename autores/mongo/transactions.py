"""Real transactions. ``django.db.transaction.atomic`` does nothing on MongoDB; these do.

    with atomic():                 # all or nothing; nested blocks join the outermost
        ...
        on_commit(task.delay)      # after the commit, never after a rollback

    run_in_transaction(fn)         # the same, done again when a concurrent write got in between

    @run_in_transaction(attempts=3)
    def move(...): ...
 A transaction needs a replica set, lasts 60 seconds at most, and has no savepoints: an error caught
inside of it, or inside one of Django's own atomic blocks in it, makes all of it roll back. Raw
pymongo calls take part only when given ``session=connection.session``.
"""

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, overload

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django_mongodb_backend import transaction as stock
from pymongo.errors import PyMongoError

from .errors import CommitUnknownError, TransactionConflictError

__all__ = [
    "Atomic",
    "atomic",
    "has_error_label",
    "is_in_transaction",
    "on_commit",
    "run_in_transaction",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_TRANSIENT = "TransientTransactionError"
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 1.0


class Atomic(stock.Atomic):
    """A block that is written as a whole or not at all; context manager and decorator."""

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        connection = connections[self.using]
        if exc_type is not None and connection.nested_atomics:
            connection.is_rollback_only = True
        super().__exit__(exc_type, exc_value, traceback)


@overload
def atomic(using: F) -> F: ...
@overload
def atomic(using: str | None = None) -> Atomic: ...
def atomic(using: Any = None) -> Any:
    """Like Django's atomic, and real. Works as ``with atomic():``, ``@atomic`` and
    ``@atomic(using=...)``.

    Raises:
        TransactionManagementError: a nested block failed and its error was caught on the way.
        CommitUnknownError: the server did not confirm the commit.
    """
    if callable(using):
        return Atomic(DEFAULT_DB_ALIAS)(using)
    return Atomic(using or DEFAULT_DB_ALIAS)


def on_commit(
    func: Callable[[], Any], using: str = DEFAULT_DB_ALIAS, *, robust: bool = False
) -> None:
    """Call ``func`` once the outermost transaction is committed; at once if there is none."""
    connections[using].on_commit(func, robust=robust)


def is_in_transaction(using: str = DEFAULT_DB_ALIAS) -> bool:
    return bool(connections[using].in_atomic_block_mongo)


def has_error_label(error: BaseException | None, label: str) -> bool:
    """Whether the driver's error that ``error`` is, or stems from, carries ``label``."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, PyMongoError) and error.has_error_label(label):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


@overload
def run_in_transaction(
    fn: Callable[[], T], *, attempts: int = 5, using: str = DEFAULT_DB_ALIAS
) -> T: ...
@overload
def run_in_transaction(
    fn: None = None, *, attempts: int = 5, using: str = DEFAULT_DB_ALIAS
) -> Callable[[F], F]: ...
def run_in_transaction(
    fn: Callable[[], Any] | None = None, *, attempts: int = 5, using: str = DEFAULT_DB_ALIAS
) -> Any:
    """Call ``fn`` in a transaction and return its result; call it again when another write got in
    between.

    ``fn`` may run several times, so whatever it does besides writing to the database belongs into
    ``on_commit``. Inside another transaction it simply runs: the outermost one repeats. Without
    ``fn`` it is a decorator.

    Raises:
        TransactionConflictError: ``attempts`` attempts met a concurrent write each; nothing was
            written.
        CommitUnknownError: the server did not confirm the commit; never repeated.
    """
    if attempts < 1:
        raise ValueError(f"run_in_transaction needs at least one attempt, got {attempts}.")
    if fn is None:

        def decorate(function: F) -> F:
            @wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return _run(lambda: function(*args, **kwargs), attempts, using)

            return wrapper  # type: ignore[return-value]  # a wrapper has the signature it wraps

        return decorate
    return _run(fn, attempts, using)


def _run(fn: Callable[[], T], attempts: int, using: str) -> T:
    if is_in_transaction(using):
        return fn()
    failure: BaseException | None = None
    for attempt in range(attempts):
        if attempt:
            longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt)
            time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, not a secret
        try:
            with atomic(using):
                return fn()
        except CommitUnknownError:
            raise
        except (PyMongoError, DatabaseError) as error:
            if not has_error_label(error, _TRANSIENT):
                raise
            failure = error
    raise TransactionConflictError(
        f"A transaction met a concurrent write in each of {attempts} attempts; nothing was written."
    ) from failure
