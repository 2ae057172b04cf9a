import pytest

from accounts.models import TwitterAccount
from autores.sandbox.server import RunningSandbox
from mentions.tests.ingest.reading import poll


@pytest.fixture
def baselined(acme: TwitterAccount, sandbox: RunningSandbox) -> TwitterAccount:
    """@acme after its first poll, with one mention taken over."""
    sandbox.control.create_mention(account="acme", author="dora", text="@acme the first")
    poll(acme)
    sandbox.control.advance_clock(2)
    sandbox.control.clear_calls()
    return acme
