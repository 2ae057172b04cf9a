import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.api.authentication import issue_access_token
from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from mentions.ingest.poll import poll_account
from mentions.models import Message
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.dispatch import find_due

Client = Callable[[User], APIClient]
FIRST_POST_AT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
def client_of(db: None) -> Client:
    """An API client with the person's own access token."""

    def make(person: User) -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_access_token(person)}")
        return client

    return make


def store_message(account: TwitterAccount | None, number: int, **values: Any) -> Message:
    message = build_message(account, number, **values)
    message.save(force_insert=True)
    return message


def build_message(account: TwitterAccount | None, number: int, **values: Any) -> Message:
    """A message as ingest stores it; a higher number is a newer post."""
    defaults: dict[str, Any] = {
        "id": str(1_900_000_000_000_000_000 + number),
        "timestamp": FIRST_POST_AT + timedelta(minutes=number),
        "user": "7001",
        "author_username": "lena",
        "author_name": "Lena",
        "text": f"@acme question {number}",
        "is_replyable": True,
        "raw": {"id": str(number), "text": "the untouched JSON"},
    }
    fields = {**defaults, **values}
    fields.setdefault("post_id", fields["id"].partition(":")[0])
    fields.setdefault("conversation_id", fields["post_id"])
    return Message(account=account, **fields)


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    """A real mention of the sandbox, polled."""
    sandbox.control.create_mention(account="acme", author="lena", text="@acme Is the shop open?")
    result = poll_account(acme, now=timezone.now())
    return Message.objects.get(pk=result.new_message_ids[0])


@pytest.fixture
def path(mention: Message) -> str:
    return f"/api/v1/messages/{mention.pk}"


@pytest.fixture
def short_wait(settings: Any) -> None:
    settings.REPLY_WAIT_SECONDS = 8.0


@pytest.fixture
def sender(db: None) -> Iterator[None]:
    """Delivers due replies from a thread of its own, as the worker does."""
    is_over = threading.Event()

    def deliver() -> None:
        try:
            while not is_over.wait(0.02):
                for reply_id in find_due(now=timezone.now()):
                    deliver_reply(reply_id, now=timezone.now())
        finally:
            connection.close()

    thread = threading.Thread(target=deliver, daemon=True)
    thread.start()
    yield
    is_over.set()
    thread.join(timeout=30)
