"""One import at a time: a lease in MongoDB that its holder renews, and that runs out without him.

Two imports at once would not spoil a document, for every write is conditional, but each would
take what the other writes for somebody's change, and both would drop and build the indexes.
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import DatabaseError, OperationalError, connection
from django.utils import timezone
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError

from mentions.legacy.errors import LegacyImportError
from mentions.tallies import CountersChangedError, distrust_counters, reconcile_counters

LEASES = "import_leases"
# After a kill on another machine, the next import waits for so long at most.
_LEASE_SECONDS = 12.0
_RENEW_SECONDS = 3.0
_POLL_SECONDS = 0.5
_ID = "import"
# The server's clock, which all importers share.
_HAS_RUN_OUT = {"$expr": {"$lte": ["$expires_at", "$$NOW"]}}
_EXPIRES_AT = {"$add": ["$$NOW", int(_LEASE_SECONDS * 1000)]}


def is_mongodb_away(error: BaseException | None) -> bool:
    """Whether nothing can be noted in MongoDB any more: each attempt would wait for it again."""
    return isinstance(error, ConnectionFailure | OperationalError) or getattr(
        error, "is_mongodb_away", False
    )


class ImportBusyError(LegacyImportError):
    """Another import is running on the same MongoDB."""

    retryable = True
    retry_after = _LEASE_SECONDS


class LeaseLostError(LegacyImportError):
    """This process stood still for so long that another import may have begun."""

    retryable = True


class ImportLease:
    """Held while the context lasts; renewed by a thread.

    Raises ImportBusyError on entry when another import runs, naming it. A lease that is not
    renewed any more is waited for, and taken over when it runs out or its process is gone.
    """

    def __init__(self, purpose: str) -> None:
        """``purpose`` tells the one who is refused what is running."""
        self._purpose = purpose
        self._token = uuid.uuid4().hex
        self._leases = connection.get_collection(LEASES)
        self._renewed_at = 0.0
        self._is_lost = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="import-lease", daemon=True)

    def __enter__(self) -> "ImportLease":
        self._acquire()
        # What imports write bears no marks for the counters.
        distrust_counters()
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if is_mongodb_away(error):
            # The lease ends with this process, or runs out by itself.
            self._stop()
            return
        if not self._is_lost:
            # If it does not come to that, beat's task does it.
            with contextlib.suppress(PyMongoError, DatabaseError, CountersChangedError):
                reconcile_counters()
        self._stop()
        with contextlib.suppress(PyMongoError):
            self._leases.delete_one({"_id": _ID, "token": self._token})

    def _stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def name_run(self, run_id: str) -> None:
        """Let those who are refused know which run is in their way."""
        self._leases.update_one({"_id": _ID, "token": self._token}, {"$set": {"run_id": run_id}})

    def check(self) -> None:
        """Call it before anything is written. Raises LeaseLostError, and what PyMongo raises."""
        if time.monotonic() - self._renewed_at > _LEASE_SECONDS:
            self._renew()
        if self._is_lost:
            raise LeaseLostError(
                f"This import stood still for over {_LEASE_SECONDS:.0f} seconds, and another one "
                "began meanwhile: this one ends. What it stored stays. When the other has ended, "
                "run the import again if anything is left to do."
            )

    def _acquire(self) -> None:
        seen: datetime | None = None
        while not self._try():
            held = self._leases.find_one({"_id": _ID})
            if held is None or self._take_over(held):
                continue
            if seen is not None and held["expires_at"] > seen:
                raise ImportBusyError(_describe(held))
            seen = held["expires_at"]
            time.sleep(_POLL_SECONDS)

    def _try(self) -> bool:
        began = time.monotonic()
        try:
            # By its token nothing is found, so that it is inserted, unless there is another.
            self._leases.update_one(
                {"_id": _ID, "token": self._token},
                [{"$set": {**self._spell(), "expires_at": _EXPIRES_AT}}],
                upsert=True,
            )
        except DuplicateKeyError:
            return False
        self._renewed_at = began
        return True

    def _take_over(self, held: dict[str, Any]) -> bool:
        """Remove a lease that has run out, or whose process is gone."""
        condition = {"_id": _ID, "token": held["token"]}
        if not _is_gone(held):
            condition |= _HAS_RUN_OUT
        return bool(self._leases.delete_one(condition).deleted_count)

    def _spell(self) -> dict[str, Any]:
        return {
            "purpose": {"$literal": self._purpose},
            "run_id": "",
            "place": _name_place(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "taken_at": "$$NOW",
        }

    def _keep(self) -> None:
        while not self._is_over.wait(_RENEW_SECONDS):
            # While MongoDB is away, nobody else can take the lease either.
            with contextlib.suppress(PyMongoError):
                self._renew()

    def _renew(self) -> None:
        began = time.monotonic()
        found = self._leases.update_one(
            {"_id": _ID, "token": self._token}, [{"$set": {"expires_at": _EXPIRES_AT}}]
        )
        if found.matched_count:
            self._renewed_at = began
        else:
            self._is_lost = True


def _is_gone(held: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that ended without giving it back."""
    if held.get("place") != _name_place():
        return False
    try:
        os.kill(int(held["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _name_place() -> str:
    """Where a process id means something: the machine, since it was started, and the container."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _describe(held: dict[str, Any]) -> str:
    since = timezone.make_naive(timezone.now()) - held["taken_at"]
    run = f"run {held['run_id']}, " if held.get("run_id") else ""
    return (
        f"Another import is running into this MongoDB: {held['purpose']} ({run}process "
        f"{held['pid']} on {held['host']}, since {held['taken_at']:%H:%M:%S} UTC, "
        f"{max(since.total_seconds(), 0):.0f} s ago). Wait until it has ended, or end it; then "
        "run this command again."
    )


def is_import_running() -> bool:
    """Whether somebody holds the lease, or did until he died within the last seconds."""
    held = connection.get_collection(LEASES).find_one({"_id": _ID})
    return held is not None and not _is_gone(held)
