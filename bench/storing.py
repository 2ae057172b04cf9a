"""A process that stores pages of mentions, as ours does or barely, when it is told to."""

import importlib
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import orjson

from bench.databases import Databases, connect_django

BARE = ("bare", "bare without indexes")
Documents = list[dict[str, Any]]


class StoringError(Exception):
    """A process of the benchmark ended."""

    def __str__(self) -> str:
        return "A process of the benchmark ended; what it printed says why."


class StoringProcess:
    """Runs ``Storing`` in a process of its own, on ``threads``.

    What is to be stored is handed over first, so that only the storing is timed.
    """

    def __init__(self, databases: Databases, *, account_id: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, other = context.Pipe()
        arguments = (other, databases, account_id, threads)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        # Otherwise the end of the other process would not be heard.
        other.close()
        self._receive()

    def hand_over(self, kind: str, pages: Sequence[Any]) -> None:
        self._send((kind, pages))
        self._receive()

    def begin(self, *, is_known: bool) -> None:
        self._send((None, is_known))

    def end(self) -> tuple[int, float]:
        """How many were new (0 of bare ones), and the CPU seconds it took."""
        new, seconds = self._receive()
        return new, seconds

    def stop(self) -> None:
        self._line.close()
        self._process.join(10)

    def _send(self, message: Any) -> None:
        try:
            self._line.send(message)
        except OSError:
            raise StoringError from None

    def _receive(self) -> Any:
        try:
            return self._line.recv()
        except (EOFError, OSError):
            raise StoringError from None


class Storing:
    """The real way of a page, and the collections that the same documents are written to barely.

    Django must be set up.
    """

    def __init__(self, account_id: str) -> None:
        from django.db import connection
        from pymongo import WriteConcern

        from accounts.models import TwitterAccount
        from autores.celery import keep_what_is_loaded

        self.account = TwitterAccount.objects.get(pk=account_id)
        concern = WriteConcern("majority")
        self._bare = {
            name: connection.database.get_collection(name, write_concern=concern) for name in BARE
        }
        # As a worker has loaded it by then.
        importlib.import_module("mentions.ingest.pages")
        keep_what_is_loaded()

    def store(self, polled: tuple[bytes, int]) -> int:
        """Bytes of X to stored mentions, as a poll does whose cursor stands at the id given along;
        how many were new.
        """
        from autores.x.parse import parse_post_page
        from autores.x.types import RateLimits
        from mentions.ingest.finding import Finding
        from mentions.ingest.pages import store_page
        from mentions.models import FoundBy

        body, newest_known = polled
        page = parse_post_page(orjson.loads(body), rate=RateLimits())
        finding = Finding(FoundBy.POLL, newest_known=newest_known)
        stored = store_page(self.account, page, finding=finding, now=datetime.now(UTC))
        return len(stored.new_ids)

    def write_barely(self, documents: Documents, *, name: str, is_known: bool) -> int:
        """Write the documents of one of ours' pages."""
        collection = self._bare[name]
        ids = [document["_id"] for document in documents]
        fresh = documents
        if is_known:
            found = collection.find({"_id": {"$in": ids}}, {"latest_post_id": 1})
            known = {row["_id"] for row in found}
            fresh = [document for document in documents if document["_id"] not in known]
        if fresh:
            collection.insert_many(fresh, ordered=False)
        return 0


def _serve(line: Connection, databases: Databases, account_id: str, threads: int) -> None:
    connect_django(databases)
    storing = Storing(account_id)
    work: Any = None
    with ThreadPoolExecutor(threads) as pool:
        line.send("ready")
        while True:
            try:
                kind, given = line.recv()
            except EOFError:
                return
            if kind is not None:
                work = (kind, given)
                line.send("taken")
                continue
            name, pages = work
            task = (
                storing.store
                if name == "ours"
                else partial(storing.write_barely, name=name, is_known=given)
            )
            began = time.process_time()
            new = sum(pool.map(task, pages))
            line.send((new, time.process_time() - began))
