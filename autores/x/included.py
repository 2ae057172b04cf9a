"""What X gave beside the posts asked for: authors, and posts they refer to. Pure."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

Read = TypeVar("Read", covariant=True)


class Included(Mapping[str, Read]):
    """Objects by id, read by ``read_all`` once one is asked for.

    Most of what a poll shows is stored already, and nobody asks.
    """

    def __init__(self, read_all: Callable[[], Mapping[str, Read]]) -> None:
        self._read_all = read_all

    def __getitem__(self, id_: str) -> Read:
        return self._objects[id_]

    def get(self, id_: str, default: Any = None) -> Any:
        return self._objects.get(id_, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    @cached_property
    def _objects(self) -> Mapping[str, Read]:
        return self._read_all()
