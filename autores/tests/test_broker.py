"""The queue's transport, on a real Valkey."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.message import Message
from redis import Redis

from autores.celery import app

Lose = Callable[[Connection], None]


def lose_amid_closing(connection: Connection) -> None:
    """As kombu leaves a connection when Redis was gone before its channels could be closed."""
    connection.transport.client = None


def lose_after_closing(connection: Connection) -> None:
    """As kombu leaves a channel that it replaced after a loss."""
    connection.default_channel.closed = True
    connection.default_channel.connection = None


@pytest.fixture
def connection(valkey_url: str) -> Iterator[Connection]:
    with app.connection_for_write() as connection:
        yield connection


def take(connection: Connection) -> Message:
    """A task in hand: received, and not acknowledged yet."""
    queue = connection.SimpleQueue("handover")
    queue.put({"id": 7})
    message = queue.get(timeout=5)
    assert message.channel is connection.default_channel
    return message


def test_a_channel_closes_with_a_task_in_hand_when_its_connection_was_lost(
    connection: Connection,
) -> None:
    channel = take(connection).channel
    lose_amid_closing(connection)
    connection.maybe_close_channel(channel)
    assert channel.closed


@pytest.mark.parametrize("lose", [lose_amid_closing, lose_after_closing])
def test_a_task_done_is_let_go_when_its_channel_was_lost(
    connection: Connection, lose: Lose, caplog: pytest.LogCaptureFixture
) -> None:
    message = take(connection)
    # The next command needs a connection of its own.
    message.channel._disconnect_pools()
    lose(connection)
    message.ack_log_error(logging.getLogger("worker"), connection.connection_errors)
    assert "Couldn't ack" in caplog.text
    # Or kombu would try to give it back when the tests end.
    message.channel.qos._delivered.clear()


def test_a_task_in_hand_is_given_back_when_the_worker_ends(connection: Connection) -> None:
    take(connection)
    connection.default_channel.close()
    with app.connection_for_write() as other, other.SimpleQueue("handover") as queue:
        assert queue.get(timeout=5).payload == {"id": 7}


def test_a_request_is_not_held_up_when_redis_hangs(valkey_url: str) -> None:
    """Not gone, which is told at once: stopped, as by a full host or a lost route."""
    process = Redis.from_url(valkey_url).info("server")["process_id"]
    told: list[str] = []

    def publish() -> None:
        try:
            app.send_task("mentions.deliver_reply", ("1",), expires=60, retry=False)
        except OperationalError as error:
            told.append(str(error))

    publish()
    assert told == []
    os.kill(process, signal.SIGSTOP)
    try:
        publisher = threading.Thread(target=publish, daemon=True)
        publisher.start()
        publisher.join(60)
        assert told, "the publish has not ended after a minute"
    finally:
        os.kill(process, signal.SIGCONT)
        app.pool.force_close_all()
