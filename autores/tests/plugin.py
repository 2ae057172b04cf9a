"""pytest plugin: real MongoDB, Valkey, MariaDB and sandbox for the tests that ask for them.

Loaded with ``-p`` (see pyproject.toml), because the settings are read before any conftest.py and
the servers' addresses must be in the environment by then. The servers themselves start when the
first test needs one, so that a run of pure tests does not pay for them.
"""

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from autores.tests.services import TestServices

if TYPE_CHECKING:
    from autores.sandbox.server import RunningSandbox

_DATABASE_FIXTURES = {"db", "transactional_db", "live_server", "admin_user", "admin_client"}
_SERVICE_FIXTURES = {"services", "mongodb_url", "valkey_url", "child_environ"}
# Rows that migrations make and tests only read; making them anew takes 0.2 s per test.
_KEPT_COLLECTIONS = {"django_migrations", "django_content_type", "auth_permission"}
# Starting a browser takes longer than most of its tests.
_BROWSER_TESTS = "autores/tests/browser/"
# Files of half a minute and more, by name.
_LONGEST = frozenset(
    {
        *("test_demo.py", "test_story.py", "test_killed_worker.py", "test_api_walk.py"),
        *("test_desk.py", "test_csp.py", "test_compose.py", "test_checks.py"),
        *(
            "test_kills.py",
            "test_follow.py",
            "test_importer.py",
            "test_token_races.py",
            "test_outages.py",
        ),
    }
)

_services = TestServices()
os.environ.update(_services.list_environment())
# As a last resort, for instance when loading the settings ends the run.
atexit.register(_services.stop)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """A worker more than cores: a third of the tests' time is waiting for other processes."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests stay together, as with ``loadfile``; those of a browser share one worker's."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return _BROWSER_TESTS if file.startswith(_BROWSER_TESTS) else file

    return Scheduling(config, log)


def pytest_configure() -> None:
    """Property tests try so many examples each; AUTORES_EXAMPLES asks for more."""
    from hypothesis import settings

    examples = int(os.environ.get("AUTORES_EXAMPLES", "20"))
    settings.register_profile("autores", max_examples=examples, deadline=None)
    settings.load_profile("autores")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: one begun last would be run by one worker alone."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector need not walk it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if not _needs_services(item):
        return
    if _services.is_started:
        _services.empty_redis()
        _forget_kept()
        return
    _services.start()
    _use_fast_flush()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    _services.stop()


@pytest.fixture(scope="session")
def services() -> TestServices:
    """The servers of this run, MongoDB and Valkey started."""
    _services.start()
    return _services


@pytest.fixture
def valkey_url(services: TestServices) -> str:
    """URL of a real Valkey; it is empty when the test begins."""
    return services.redis_url


@pytest.fixture
def mongodb_url(services: TestServices) -> str:
    """URL of the real replica set, for tests that work below Django."""
    return services.mongodb_url


@pytest.fixture(scope="session")
def mariadb() -> str:
    """URL of a MariaDB or MySQL server, ``mysql+pymysql://user[:password]@host:port/``."""
    return _services.start_mariadb()


@pytest.fixture
def child_environ(services: TestServices, transactional_db: None) -> dict[str, str]:
    """Environment for real child processes (a worker, a management command) on the test database.

    Give it to ``autores.embedded.processes.Child``; the settings it leads to are this run's own.
    """
    from django.db import connection

    return {**os.environ, "MONGODB_DB_NAME": str(connection.settings_dict["NAME"])}


@pytest.fixture(scope="session")
def running_sandbox() -> "Iterator[RunningSandbox]":
    """The stand-in X and OpenAI, serving where this run's settings look for them."""
    from autores.sandbox.server import start_in_thread

    with start_in_thread(port=_services.sandbox_port.port) as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: "RunningSandbox") -> "RunningSandbox":
    """The sandbox without users, posts, tokens, faults or calls; script it by ``.control``."""
    running_sandbox.control.reset()
    # A reset keeps the registered apps, and a test may have registered other callbacks.
    running_sandbox.control.register_client(callbacks=[os.environ["TWITTER_CALLBACK_URL"]])
    return running_sandbox


def _needs_services(item: pytest.Item) -> bool:
    names = set(getattr(item, "fixturenames", ()))
    if names & (_DATABASE_FIXTURES | _SERVICE_FIXTURES):
        return True
    if item.get_closest_marker("django_db") is not None:
        return True
    test_class = getattr(item, "cls", None)
    # Django's own test classes with a database; told by an attribute, to import Django only
    # when a test does.
    return test_class is not None and hasattr(test_class, "_fixture_teardown")


def _forget_kept() -> None:
    """What a process remembers for seconds would outlive the rows and keys it came from."""
    if "accounts.verified" in sys.modules:
        sys.modules["accounts.verified"].sign_ins.forget_all()
    if "accounts.api.throttling" in sys.modules:
        sys.modules["accounts.api.throttling"].requests_per_minute.forget()


def _find_filled(database: Any) -> list[str]:
    """The collections that hold anything, of those that a test may write; in one question."""
    names = [
        name
        for name in database.list_collection_names()
        if name not in _KEPT_COLLECTIONS and not name.startswith("system.")
    ]
    if not names:
        return []
    looks = [
        [{"$limit": 1}, {"$project": {"_id": {"$literal": number}}}] for number in range(len(names))
    ]
    unions = [
        {"$unionWith": {"coll": name, "pipeline": look}}
        for name, look in zip(names[1:], looks[1:], strict=True)
    ]
    return [names[found["_id"]] for found in database[names[0]].aggregate(looks[0] + unions)]


def _use_fast_flush() -> None:
    from django.db import connections
    from django.test import TransactionTestCase

    def delete_rows(self: Any) -> None:
        for alias in self._databases_names(include_mirrors=False):
            database = connections[alias].database
            for name in _find_filled(database):
                database[name].delete_many({})

    # Django's flush re-creates permissions and content types after every test, because the
    # backend has no rollback to offer it.
    TransactionTestCase._fixture_teardown = delete_rows
