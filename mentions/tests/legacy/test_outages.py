"""Either database goes away in the middle of a load and comes back; then the same command again.

AUTORES_IMPORT_ROWS sets how large the table is; with AUTORES_IMPORT_OUTAGES=all each database also
goes down in good order, and hangs for longer.
"""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from django.conf import settings
from pymongo import MongoClient

from autores.embedded.mariadb import find_mariadb, start_mariadb
from autores.embedded.mongod import find_mongod, start_mongod
from autores.embedded.ports import reserve_port
from mentions.legacy.lease import LEASES
from mentions.management.commands.migrate_from_mysql import EXIT_AGAIN
from mentions.tests.legacy.comparison import find_differences
from mentions.tests.legacy.database import LegacyDatabase

ROWS = int(os.environ.get("AUTORES_IMPORT_ROWS", "1500"))
IS_LONG = os.environ.get("AUTORES_IMPORT_OUTAGES") == "all"
_PATIENCE_SECONDS = 120
_SENTENCES = {
    "mongod": "MongoDB failed",
    # Which of the two depends on whether it was read from just then, or connected to anew.
    "mariadb": "The connection to .* was lost|No MySQL server answers at",
}


class Servers:
    """A mongod and a MariaDB of this file's own, which may be killed and started again."""

    def __init__(self, folder):
        self._folder = folder
        self._ports = {name: reserve_port(purpose=name) for name in ("mongod", "mariadb")}
        self.start("mongod")
        self.start("mariadb")

    def start(self, name):
        log_path = self._folder / f"{name}.log"
        if name == "mongod":
            self.mongod = start_mongod(
                find_mongod(),
                data_folder=self._folder / "mongo",
                log_path=log_path,
                port=self._ports[name],
            )
        else:
            self.mariadb = start_mariadb(
                find_mariadb(),
                folder=self._folder / "maria",
                log_path=log_path,
                port=self._ports[name],
            )

    def send(self, name, number):
        os.kill(getattr(self, name).child.pid, number)

    def restart(self, name):
        getattr(self, name).child.stop()
        self.start(name)

    def stop(self):
        self.mariadb.child.stop()
        self.mongod.child.stop()


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    found = Servers(tmp_path_factory.mktemp("outages"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def migrated(servers):
    values = {
        **os.environ,
        "MONGODB_URL": servers.mongod.url,
        "MONGODB_DB_NAME": "outages",
        "TOKEN_ENCRYPTION_KEYS": settings.TOKEN_ENCRYPTION_KEYS[0],
    }
    command = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(command, cwd=settings.BASE_DIR, env=values, check=True)
    return values


@pytest.fixture
def environ(servers, migrated):
    with MongoClient(servers.mongod.url) as client:
        database = client["outages"]
        for name in database.list_collection_names():
            if not name.startswith(("django_", "auth_")):
                database[name].delete_many({})
    return migrated


@pytest.fixture
def source(servers):
    database = LegacyDatabase(servers.mariadb.url)
    database.add_user()
    database.add_messages(ROWS)
    database.execute("UPDATE messages SET public_response = UUID() WHERE RAND(1) < 0.1")
    return database


def start(environ, source):
    return subprocess.Popen(
        [
            *(sys.executable, "manage.py", "migrate_from_mysql", "--quiet", "--workers", "2"),
            *("--chunk-size", "25", "--source", source.url),
        ],
        cwd=settings.BASE_DIR,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_rows(servers, process):
    with MongoClient(servers.mongod.url) as client:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not client["outages"]["messages"].estimated_document_count():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)


def compare(servers, source):
    return find_differences(
        host=source.host,
        port=source.port,
        database=source.name,
        mongodb_url=servers.mongod.url,
        mongodb_name="outages",
        fernet_key=settings.TOKEN_ENCRYPTION_KEYS[0],
        account_id="account-1",
    )


def check_it_says_so(name, process):
    out, errors = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == EXIT_AGAIN, out + errors
    (said,) = [line for line in errors.splitlines() if line.strip()]
    assert re.search(_SENTENCES[name], said), said
    assert "run the import again" in said


def run_again(environ, source, servers):
    process = start(environ, source)
    out, errors = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, out + errors
    assert compare(servers, source) == []
    with MongoClient(servers.mongod.url) as client:
        assert "message_time_idx" in client["outages"]["messages"].index_information()
        assert client["outages"][LEASES].count_documents({}) == 0
        assert client["outages"]["import_chunks"].count_documents({"table": "messages"}) > 1


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (name, number)
        for name in ("mongod", "mariadb")
        # Going down in good order says more on the way; it takes a run of its own.
        for number in ((signal.SIGKILL, signal.SIGTERM) if IS_LONG else (signal.SIGKILL,))
    ],
)
def test_same_command_ends_alike_when_a_database_went_away_and_came_back(
    servers, environ, source, name, number
):
    process = start(environ, source)
    wait_for_rows(servers, process)
    servers.send(name, number)
    check_it_says_so(name, process)
    # Away from the start, too.
    check_it_says_so(name, start(environ, source))

    servers.restart(name)
    source.reconnect()
    run_again(environ, source, servers)


def test_load_goes_on_when_each_database_hung_for_a_while(servers, environ, source):
    process = start(environ, source)
    wait_for_rows(servers, process)
    for name in ("mongod", "mariadb"):
        servers.send(name, signal.SIGSTOP)
        time.sleep(4 if IS_LONG else 1)
        servers.send(name, signal.SIGCONT)
    out, errors = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, out + errors
    assert compare(servers, source) == []
