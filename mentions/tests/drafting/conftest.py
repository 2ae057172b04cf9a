import pytest
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.sandbox.server import RunningSandbox
from mentions.ingest.poll import poll_account
from mentions.models import Message


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    """Arrived after the baseline, so it wants a draft."""
    poll_account(acme, now=timezone.now())
    sandbox.control.create_mention(account="acme", author="dora", text="@acme where is my order?")
    poll_account(acme, now=timezone.now())
    return Message.objects.get()
