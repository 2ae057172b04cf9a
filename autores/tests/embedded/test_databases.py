"""The real servers, found and started as the demo and the tests do."""

import os
import signal
from pathlib import Path

import pymysql
import pytest
from pymongo import MongoClient
from redis import Redis

from autores.embedded import mariadb, mongod, valkey
from autores.embedded.errors import MissingServerError, ServerStartError
from autores.embedded.mongod import Mongod, find_mongod, start_mongod
from autores.embedded.ports import PortReservation, reserve_port
from autores.embedded.valkey import Valkey, find_valkey, start_valkey


def run_mongod(folder: Path, port: int | None = None) -> Mongod:
    return start_mongod(
        find_mongod(),
        data_folder=folder / "mongod",
        log_path=folder / "mongod.log",
        port=reserve_port(port),
    )


def run_valkey(folder: Path) -> Valkey:
    return start_valkey(
        find_valkey(),
        data_folder=folder / "valkey",
        log_path=folder / "valkey.log",
        port=reserve_port(),
    )


def test_mongod_is_primary_and_keeps_data_when_killed_and_started_on_another_port(
    tmp_path: Path,
) -> None:
    first = run_mongod(tmp_path)
    with MongoClient(first.url) as client:
        hello = client.admin.command("hello")
        assert (hello["isWritablePrimary"], hello["setName"]) == (True, "rs0")
        # A transaction is what a standalone server would refuse.
        with client.start_session() as session, session.start_transaction():
            client.team.people.insert_one({"_id": "ana"}, session=session)
    os.kill(first.child.pid, signal.SIGKILL)
    first.child.stop()

    second = run_mongod(tmp_path)
    try:
        assert second.url != first.url
        with MongoClient(second.url) as client:
            assert client.admin.command("hello")["isWritablePrimary"]
            assert client.team.people.find_one() == {"_id": "ana"}
    finally:
        second.child.stop()


def test_mongod_start_says_why_when_its_data_is_in_use(tmp_path: Path) -> None:
    running = run_mongod(tmp_path)
    try:
        with pytest.raises(ServerStartError, match=r"(?s)mongod ended with exit code.*DBPathInUse"):
            start_mongod(
                find_mongod(),
                data_folder=tmp_path / "mongod",
                log_path=tmp_path / "second.log",
                port=reserve_port(),
            )
    finally:
        running.child.stop()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_valkey_keeps_data_when_ended_by(tmp_path: Path, ending: signal.Signals) -> None:
    first = run_valkey(tmp_path)
    with Redis.from_url(first.url) as client:
        client.set("cursor", "1900")
        # The append-only file reaches the disk each second; the operating system has it at once.
    os.kill(first.child.pid, ending)
    first.child.stop()

    second = run_valkey(tmp_path)
    try:
        with Redis.from_url(second.url) as client:
            assert client.get("cursor") == b"1900"
    finally:
        second.child.stop()


def test_missing_mongod_is_said_in_one_sentence_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mongod.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingServerError) as caught:
        find_mongod()

    assert "\n" not in str(caught.value)
    assert "install MongoDB 6.0 or newer" in str(caught.value)
    assert "MONGODB_URL" in str(caught.value)


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("echo db version v5.0.9", "is version 5.0, older than 6.0"),
        (
            "echo 'mongod: error while loading shared libraries: libcurl.so.4: cannot open shared "
            "object file: No such file or directory' >&2; exit 127",
            "needs libcurl.so.4: on Debian, apt-get install libcurl4",
        ),
    ],
)
def test_unusable_mongod_is_named_with_its_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, fault: str
) -> None:
    monkeypatch.setattr(mongod.importlib.util, "find_spec", lambda name: None)
    binary = tmp_path / "mongod"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))  # also hides apt-get, which root may use

    with pytest.raises(MissingServerError) as caught:
        find_mongod()

    assert f"{binary} {fault}" in str(caught.value)


def test_mongod_on_path_is_taken_when_there_is_no_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = find_mongod()
    (tmp_path / "mongod").symlink_to(real)
    monkeypatch.setattr(mongod.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_mongod() == tmp_path / "mongod"


def test_missing_valkey_is_said_in_one_sentence_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(valkey.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingServerError, match=r"apt-get install redis-server.*REDIS_URL"):
        find_valkey()


def test_missing_mariadb_is_said_in_one_sentence_when_it_may_not_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mariadb, "_find_binaries", lambda: None)
    monkeypatch.setattr(mariadb, "may_install", lambda: False)

    with pytest.raises(MissingServerError, match=r"apt-get install mariadb-server.*MYSQL_TEST_URL"):
        mariadb.find_mariadb()


def test_mariadb_logs_rows_when_started_for_the_import(mariadb: str) -> None:
    port = int(mariadb.rsplit(":", 1)[1].strip("/"))
    with (
        pymysql.connect(host="127.0.0.1", port=port, user="root") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT @@log_bin, @@binlog_format, @@binlog_row_metadata, @@character_set_server"
        )
        assert cursor.fetchone() == (1, "ROW", "FULL", "utf8mb4")


def test_mongod_start_fails_when_a_stranger_took_its_port(tmp_path: Path) -> None:
    stranger = run_mongod(tmp_path / "stranger")
    port = int(stranger.url.split(":")[2].split("/")[0])
    try:
        with pytest.raises(ServerStartError, match=r"(?s)mongod (was )?ended.*in use"):
            start_mongod(
                find_mongod(),
                data_folder=tmp_path / "mongod",
                log_path=tmp_path / "mongod.log",
                port=PortReservation(port),
            )
    finally:
        stranger.child.stop()


def test_valkey_start_fails_when_a_stranger_took_its_port(tmp_path: Path) -> None:
    stranger = run_valkey(tmp_path / "stranger")
    port = int(stranger.url.split(":")[2].split("/")[0])
    try:
        with pytest.raises(ServerStartError, match=r"(?s)valkey ended with exit code 1.*in use"):
            start_valkey(
                find_valkey(),
                data_folder=tmp_path / "valkey",
                log_path=tmp_path / "valkey.log",
                port=PortReservation(port),
            )
    finally:
        stranger.child.stop()
