from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autores.sandbox.server import RunningSandbox
from autores.tests.e2e.processes import RunningAutores

StartAutores = Callable[..., RunningAutores]


@pytest.fixture
def start_autores(
    child_environ: dict[str, str], sandbox: RunningSandbox, tmp_path: Path
) -> Iterator[StartAutores]:
    """``start_autores("web", "worker", SETTING="value")``: real processes, until the test ends."""
    started: list[RunningAutores] = []

    def start(*names: str, **settings: str) -> RunningAutores:
        autores = RunningAutores(child_environ, folder=tmp_path, sandbox=sandbox, **settings)
        started.append(autores)
        autores.start(*names)
        return autores

    yield start
    for autores in started:
        # Shown by pytest if the test failed.
        print(autores.read_tails())
        autores.stop()
