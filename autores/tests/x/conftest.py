from collections.abc import Callable, Iterator

import pytest

from autores.tests.scripted_server import ScriptedServer, serve_script
from autores.x.client import XClient
from autores.x.transport import build_session
from autores.x.types import Call

ACCESS_TOKEN = "anas-access-token-a1b2c3"


@pytest.fixture
def x() -> Iterator[ScriptedServer]:
    with serve_script() as script:
        yield script


@pytest.fixture
def calls() -> list[Call]:
    return []


@pytest.fixture
def make_client(x: ScriptedServer, calls: list[Call]) -> Iterator[Callable[..., XClient]]:
    with build_session() as session:

        def make(**options: object) -> XClient:
            defaults = {
                "base_url": x.url,
                "access_token": ACCESS_TOKEN,
                "session": session,
                "observe": calls.append,
                "connect_timeout": 1.0,
                "read_timeout": 0.5,
            }
            return XClient(**(defaults | options))

        yield make


@pytest.fixture
def client(make_client: Callable[..., XClient]) -> XClient:
    return make_client()
