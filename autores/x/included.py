"""What X gave beside the posts asked for: authors, and posts they refer to. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from autores.x.errors import ContractError
from autores.x.ids import is_post_id

Read = TypeVar("Read", covariant=True)


class Included(Mapping[str, Read]):
    """Objects by id, each read when it is asked for: most of what a poll shows is stored already.

    One that cannot be read (``read`` raises ContractError) is not there.
    """

    def __init__(self, entries: Sequence[object], read: Callable[[object], Read]) -> None:
        self._entries = entries
        self._read = read
        self._found: dict[str, Read | None] = {}

    def __getitem__(self, id_: str) -> Read:
        if id_ not in self._found:
            self._found[id_] = self._read_one(self._by_id[id_])
        found = self._found[id_]
        if found is None:
            raise KeyError(id_)
        return found

    def __iter__(self) -> Iterator[str]:
        return (id_ for id_ in self._by_id if id_ in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @cached_property
    def _by_id(self) -> dict[str, Any]:
        return {
            id_: entry
            for entry in self._entries
            if isinstance(entry, dict) and is_post_id(id_ := entry.get("id"))
        }

    def _read_one(self, entry: object) -> Read | None:
        try:
            return self._read(entry)
        except ContractError:
            return None
