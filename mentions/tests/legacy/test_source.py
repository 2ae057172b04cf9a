"""Addresses, refusals and drifted schemas, against a real server."""

import gc
import socket
import time
from urllib.parse import quote

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from mentions.legacy.address import parse_source_url
from mentions.legacy.contract import MESSAGES, Column, Table, compare_columns
from mentions.legacy.driver import open_session
from mentions.legacy.errors import SourceError
from mentions.legacy.source import Source


def run_command(url, *arguments):
    call_command("migrate_from_mysql", "--source", url, *arguments)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "set MYSQL_DATABASE_URL"),
        ("postgres://u:hunter2@h/db", "has the form"),
        ("mysql+pymysql://u:hunter2@h", "names no database"),
        ("mysql+pymysql://u:hunter2@h:port/db", "percent-encoded"),
        ("mysql+pymysql://u:hunter2@h/db?tls=on", "does not know: tls"),
    ],
)
def test_address_is_refused_with_the_remedy_when_wrong(url, words):
    with pytest.raises(SourceError, match=words) as raised:
        parse_source_url(url)
    assert "hunter2" not in str(raised.value)


def test_parts_are_decoded_when_the_address_is_right():
    url = parse_source_url("mysql+pymysql://us%40er:p%2Fä%23@db.example:3307/old?charset=utf8mb4")
    assert (url.user, url.password, url.host, url.port) == ("us@er", "p/ä#", "db.example", 3307)
    assert "p/ä#" not in repr(url)
    assert url.label == "db.example:3307/old"


def test_one_sentence_is_given_when_no_server_answers(transactional_db):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    with pytest.raises(CommandError, match="No MySQL server answers at 127") as raised:
        run_command(f"mysql+pymysql://root:hunter2@127.0.0.1:{port}/legacy")
    assert "hunter2" not in str(raised.value)


def test_one_sentence_is_given_when_the_password_is_wrong(legacy, transactional_db):
    user = f"u{legacy.name[-8:]}"
    legacy.execute(f"CREATE USER {user} IDENTIFIED BY 'right'")
    try:
        with pytest.raises(CommandError, match="check the user, the password") as raised:
            run_command(f"mysql+pymysql://{user}:hunter2@{legacy.host}:{legacy.port}/{legacy.name}")
        assert "hunter2" not in str(raised.value)
    finally:
        legacy.execute(f"DROP USER {user}")


def test_password_works_when_it_is_not_latin1(legacy, run_import):
    user, password = f"u{legacy.name[-8:]}", "пароль/@:#ä"
    legacy.execute(f"CREATE USER {user} IDENTIFIED BY %s", password)
    legacy.execute(f"GRANT SELECT ON {legacy.name}.* TO {user}")
    try:
        report = run_import(
            "--source", legacy.url.replace("root@", f"{user}:{quote(password, safe='')}@")
        )
        assert report["exit_code"] == 0
    finally:
        legacy.execute(f"DROP USER {user}")


def test_one_sentence_is_given_when_the_database_is_missing(legacy, transactional_db):
    with pytest.raises(CommandError, match="has no database 'nowhere'"):
        run_command(legacy.url.replace(legacy.name, "nowhere"))


def test_everything_missing_is_named_when_tables_or_columns_lack(legacy, transactional_db):
    legacy.execute("DROP TABLE oauth_states")
    legacy.execute("ALTER TABLE messages DROP COLUMN redirected, DROP COLUMN dm_response")
    with pytest.raises(CommandError) as raised:
        run_command(legacy.url)
    words = str(raised.value)
    for missing in (
        "table oauth_states",
        "column messages.redirected",
        "column messages.dm_response",
    ):
        assert missing in words


def test_import_is_refused_when_the_key_is_not_unique(legacy, transactional_db):
    legacy.execute("ALTER TABLE messages DROP PRIMARY KEY, ADD KEY (id)")
    with pytest.raises(CommandError, match=r"primary or unique key on messages\.id"):
        run_command(legacy.url)


def test_differences_are_listed_when_the_schema_drifted(legacy, run_import):
    legacy.execute(
        "ALTER TABLE users ADD COLUMN notes TEXT, MODIFY access_token TEXT NOT NULL, "
        "MODIFY twitter_id VARCHAR(255) NULL"
    )
    legacy.execute("ALTER TABLE messages ENGINE = Aria")
    token = "t" * 5000
    legacy.add_user(access_token=token)
    report = run_import()
    assert report["differences"] == [
        "users.twitter_id: may be NULL here; such rows are refused",
        "users.access_token: is text instead of varchar(255): taken over whole, whatever its "
        "length",
        "users.notes: extra column (text), not taken over",
        "messages: engine Aria has no snapshot: stop the former system while the import runs",
    ]
    assert report["tables"]["users"]["created"] == 1


def test_schema_and_row_counts_are_told_when_no_row_is_read_yet(legacy, transactional_db, capsys):
    legacy.add_message("1")
    legacy.execute("ALTER TABLE messages MODIFY created_at DATE NULL")
    with pytest.raises(CommandError, match="there is not exactly one account"):
        run_command(legacy.url)
    assert "messages.created_at: is date instead of datetime: taken over as midnight UTC" in (
        capsys.readouterr().err
    )
    legacy.add_user()
    call_command("migrate_from_mysql", "--dry-run", "--source", legacy.url)
    told = capsys.readouterr().err
    assert told.index("Rows to read: 1 users, 1 messages, 0 oauth_states.") < told.index("rows/s")


@pytest.mark.parametrize(
    ("wanted", "column_type", "meaning"),
    [
        ("text", "mediumtext", "more than 2,000,000 bytes is refused"),
        ("varchar(255)", "text", "taken over whole, whatever its length"),
        ("text", "blob", "read as UTF-8"),
        ("varchar(36)", "bigint", "the text MySQL prints"),
        ("varchar(50)", "enum('pending','replied')", "the text MySQL prints"),
        ("datetime", "datetime(6)", "cut to milliseconds"),
        ("datetime", "timestamp", "read in UTC"),
        ("datetime", "varchar(32)", "no date and time is refused"),
        ("int", "bigint unsigned", "more than 32 bits"),
        ("tinyint", "decimal(10,2)", "does not print as a whole number"),
    ],
)
def test_meaning_is_told_when_a_column_was_retyped(wanted, column_type, meaning):
    table = Table("t", "c", (Column("c", wanted, is_nullable=False),))
    found = {"c": Column("c", column_type, is_nullable=False)}
    (difference,) = compare_columns(table, found)[1]
    assert meaning in difference.what


def test_a_longer_key_is_told_of_as_what_is_refused():
    table = Table("t", "id", (Column("id", "varchar(36)", is_nullable=False),))
    found = {"id": Column("id", "varchar(255)", is_nullable=False)}
    (difference,) = compare_columns(table, found)[1]
    assert "longer than 64 characters is refused" in difference.what


def test_no_difference_is_listed_when_the_schema_is_the_known_one(legacy, run_import):
    assert run_import()["differences"] == []


def test_snapshot_holds_when_rows_are_added_meanwhile(legacy):
    legacy.add_messages(6)
    with Source(parse_source_url(legacy.url)) as source:
        source.check_schema()
        pages = source.read_pages(MESSAGES, size=4)
        seen = len(next(pages))
        legacy.add_messages(5, first=1)
        legacy.add_messages(5, first=1_900_000_000_000_000_000)
        seen += sum(len(page) for page in pages)
        assert seen == source.count_rows(MESSAGES) == 6


def test_nothing_is_said_of_a_query_that_ctrl_c_left_behind(legacy, caplog):
    def interrupt():
        raise KeyboardInterrupt

    session = open_session(
        host=legacy.host,
        port=legacy.port,
        user="root",
        password="",
        database=legacy.name,
        unix_socket=None,
        ssl_ca=None,
        connect_seconds=5,
        read_seconds=5,
    )
    # Where the signal came when it was seen: the query is a task that has not begun yet.
    session._loop.call_soon(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(session.stream("SELECT 1"))
    session.close()
    gc.collect()
    assert caplog.messages == []


def test_nothing_can_be_written_when_the_snapshot_is_open(legacy):
    legacy.add_message("1")
    read_only = "Cannot execute statement in a READ ONLY transaction"
    with Source(parse_source_url(legacy.url)) as source:
        with pytest.raises(SourceError, match=read_only):
            source._fetch("DELETE FROM messages")
        assert source.count_rows(MESSAGES) == 1


def test_file_problem_is_one_sentence_when_rejects_cannot_be_written(
    legacy, transactional_db, tmp_path
):
    with pytest.raises(CommandError, match=r"missing/rejects\.ndjson .* cannot be written"):
        run_command(legacy.url, "--rejects-file", str(tmp_path / "missing" / "rejects.ndjson"))


def test_report_is_readable_when_printed(legacy, transactional_db, capsys):
    legacy.add_user()
    legacy.add_message("1")
    legacy.add_message("2", timestamp="0000-00-00 00:00:00")
    with override_settings(MYSQL_DATABASE_URL=legacy.url), pytest.raises(CommandError):
        call_command("migrate_from_mysql")
    printed = capsys.readouterr().out
    assert f"From 127.0.0.1:{legacy.port}/{legacy.name}" in printed
    assert "'2': timestamp is a zero date: '0000-00-00 00:00:00'" in printed
    assert "2 changes written" in printed


def test_little_is_held_at_once_when_rows_are_large(legacy):
    for number in range(150):
        legacy.add_message(str(10**18 + number), text="x" * 60_000, dm_response="y" * 60_000)
    with Source(parse_source_url(legacy.url)) as source:
        source.check_schema()
        sizes = [
            sum(len(value or b"") for row in chunk.rows for value in row)
            for chunk in source.read_chunks(MESSAGES, size=2000)
        ]
    # After the first page it is known how large they are.
    assert max(sizes[1:]) < 3 * 2**20
    assert sum(sizes) > 150 * 120_000


def test_table_is_cut_alike_when_read_again(legacy):
    legacy.add_messages(700)
    with Source(parse_source_url(legacy.url)) as source:
        source.check_schema()
        first, second = (
            [(chunk.after, len(chunk.rows)) for chunk in source.read_chunks(MESSAGES, size=500)]
            for _ in range(2)
        )
    assert first == second
    assert [count for _, count in first] == [100, 400, 200]


def test_reading_goes_on_after_a_pause_when_mariadb_ends_idle_transactions(legacy, set_global):
    legacy.add_message("1")
    set_global("idle_transaction_timeout", 1)
    set_global("idle_readonly_transaction_timeout", 1)
    with Source(parse_source_url(legacy.url)) as source:
        source.check_schema()
        # Idle for longer than the server allows: this time itself is what is tried.
        time.sleep(1.6)
        assert source.count_rows(MESSAGES) == 1


def test_it_is_said_when_a_column_is_spelled_otherwise_or_a_table_is_a_view(
    legacy, transactional_db
):
    legacy.execute("ALTER TABLE messages CHANGE `text` `Text` TEXT NOT NULL")
    legacy.execute("RENAME TABLE users TO people")
    legacy.execute("CREATE VIEW users AS SELECT * FROM people")
    with pytest.raises(CommandError) as raised:
        run_command(legacy.url)
    assert "column messages.text (it is spelled Text there)" in str(raised.value)
    assert "table users (it is a view)" in str(raised.value)


def test_it_is_said_when_a_foreign_key_changes_rows_behind_the_log(legacy):
    legacy.execute("CREATE TABLE authors (id VARCHAR(255) PRIMARY KEY) CHARACTER SET utf8mb4")
    legacy.execute(
        "ALTER TABLE authors CONVERT TO CHARACTER SET utf8mb4 COLLATE "
        + legacy.execute(
            "SELECT collation_name FROM information_schema.columns WHERE table_schema = DATABASE() "
            "AND table_name = 'messages' AND column_name = 'user'"
        )[0][0]
    )
    legacy.execute(
        "ALTER TABLE messages ADD CONSTRAINT author FOREIGN KEY (`user`) REFERENCES authors (id) "
        "ON DELETE CASCADE"
    )
    with Source(parse_source_url(legacy.url)) as source:
        told = [str(difference) for difference in source.check_schema()]
    assert any("the foreign key author changes rows by itself" in one for one in told)


@pytest.mark.parametrize("option", ["--rejects-file", "--report", "--html"])
def test_a_file_of_another_kind_is_not_replaced(legacy, transactional_db, tmp_path, option):
    path = tmp_path / "manage.py"
    path.write_text("import os\n")
    with pytest.raises(CommandError, match="is no earlier file of this kind"):
        run_command(legacy.url, "--dry-run", option, str(path))
    assert path.read_text() == "import os\n"
