"""The default connection, led to another server for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

ALIAS = "default"


@contextmanager
def connected_to(url: str, **settings: Any) -> Iterator[None]:
    """Lead the connection to ``url``; ``settings`` replace others of its, such as OPTIONS.

    The run's own client is put aside, not closed: a live server's threads, kept by a browser's
    open connections, hold it and would answer with errors from then on.
    """
    wrapper: Any = connections[ALIAS]
    wrapper.ensure_connection()
    client = wrapper._connection_pools.pop(ALIAS)
    _forget_client(wrapper)
    former = dict(wrapper.settings_dict)
    wrapper.settings_dict.update(HOST=url, **settings)
    try:
        yield
    finally:
        if wrapper.connection is not None:
            wrapper.close_pool()
        wrapper.settings_dict.update(former)
        wrapper._connection_pools[ALIAS] = client
        _forget_client(wrapper)


def _forget_client(wrapper: Any) -> None:
    """The wrapper takes the pool's client when it is asked next."""
    wrapper.connection = None
    wrapper.__dict__.pop("database", None)
