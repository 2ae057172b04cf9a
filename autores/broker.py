"""A fault of kombu's Redis transport, repaired: a lost broker must not end a worker."""

from kombu.transport import redis


class QoS(redis.QoS):
    """Gives unacknowledged tasks back when its channel closes.

    kombu closes a channel whose connection broke a second time, when there is nothing left to
    give them back through: an AttributeError then, which Celery takes for the end of the worker
    ("Unrecoverable error"). The tasks come again by the visibility time-out; their rows are found
    by beat before that.
    """

    def restore_unacked(self, client: object = None) -> None:
        if self.channel.connection.client is None:
            self._delivered.clear()
            return
        super().restore_unacked(client)  # type: ignore[no-untyped-call]  # kombu has no types


def repair_lost_channels() -> None:
    redis.Channel.QoS = QoS
