from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import LazySettings

from autores.tests.scripted_server import serve_script


@pytest.fixture
def answer_lookups(settings: LazySettings) -> Iterator[Callable[[dict[str, Any]], None]]:
    """From here on X is a server that gives this body to any request: what the sandbox does not
    say of posts.
    """
    with serve_script() as script:

        def script_answers(body: dict[str, Any]) -> None:
            for _ in range(5):
                script.answer(body)
            settings.X_API_BASE_URL = script.url

        yield script_answers
