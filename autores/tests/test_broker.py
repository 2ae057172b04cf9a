"""The queue's transport, on a real Valkey."""

from kombu import Connection

from autores.celery import app


def test_a_channel_closes_quietly_when_its_connection_was_lost_with_a_task_in_hand(
    valkey_url: str,
) -> None:
    with app.connection_for_write() as connection:
        assert connection.transport.driver_type == "redis"
        _take_without_acknowledging(connection)
        # So kombu leaves a connection that broke, before it closes its channels once more.
        connection.transport.client = None
        connection.default_channel.close()


def test_a_task_in_hand_is_given_back_when_the_worker_ends(valkey_url: str) -> None:
    with app.connection_for_write() as connection:
        _take_without_acknowledging(connection)
        connection.default_channel.close()
    with app.connection_for_write() as connection, connection.SimpleQueue("handover") as queue:
        assert queue.get(timeout=5).payload == {"id": 7}
        queue.clear()


def _take_without_acknowledging(connection: Connection) -> None:
    queue = connection.SimpleQueue("handover")
    queue.put({"id": 7})
    message = queue.get(timeout=5)
    assert not message.acknowledged
    # The channel the message came by is the one that is closed.
    assert message.channel is connection.default_channel
