"""A fault of kombu's Redis transport, repaired: a lost broker must not end a worker."""

from typing import Any

from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(redis.Channel):
    """Says that its connection is gone where kombu fails with an AttributeError.

    When Redis goes away, the tasks in hand are still acknowledged, or given back, through channels
    whose connection was closed meanwhile. Celery bears a connection error there; anything else it
    takes for the end of the worker ("Unrecoverable error"). Such tasks come again by the
    visibility time-out, and beat finds their rows before that.
    """

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("The channel's connection to the broker is closed.")
        return super()._connparams(asynchronous)  # type: ignore[no-untyped-call]  # no types


def repair_lost_channels() -> None:
    redis.Transport.Channel = Channel
