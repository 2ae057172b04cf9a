"""What this process saw last of each message: a guess of what it is like now.

Whoever changes a message has read it just before, as a rule here. A change that names the version
it is meant for needs no second read to be right: if the guess is out of date it matches nothing,
and the message is read.
"""

from collections import OrderedDict
from threading import Lock
from typing import Any

import bson

from autores.mongo.reads import AWARE_UTC

# As many as there are messages kept as JSON, whose bytes these are.
_MOST_KEPT = 4096


class SeenMessages:
    """Documents of collection ``messages`` by their id, the latest noted; as BSON, so that nobody
    changes what another one reads.
    """

    def __init__(self, *, most: int = _MOST_KEPT) -> None:
        self._most = most
        self._stored: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def note(self, message_id: str, stored: bytes) -> None:
        with self._lock:
            self._stored[message_id] = stored
            self._stored.move_to_end(message_id)
            if len(self._stored) > self._most:
                self._stored.popitem(last=False)

    def recall(self, message_id: str) -> dict[str, Any] | None:
        """The document, out of date perhaps, with the columns that its reader asked for."""
        stored = self._stored.get(message_id)
        return None if stored is None else bson.decode(stored, AWARE_UTC)

    def forget(self, message_id: str) -> None:
        with self._lock:
            self._stored.pop(message_id, None)


seen_messages = SeenMessages()
