import pytest

from accounts.models import Role, TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import add_account, create_person, give_role


@pytest.fixture
def ana(db: None) -> User:
    """Connects @acme and manages it."""
    return create_person("ana")


@pytest.fixture
def acme(ana: User, sandbox: RunningSandbox) -> TwitterAccount:
    """A connected account with real tokens of the sandbox."""
    return add_account(sandbox, "acme", by=ana, name="Acme Support")


@pytest.fixture
def bruno(acme: TwitterAccount) -> User:
    """Drafts and submits for @acme."""
    person = create_person("bruno")
    give_role(person, acme, Role.RESPONDER)
    return person


@pytest.fixture
def carla(db: None) -> User:
    """Works here, but not for @acme."""
    return create_person("carla")
