"""What the binary log of a real MariaDB says, and which servers cannot be followed."""

import time

import pytest

from mentions.legacy import binlog
from mentions.legacy.address import parse_source_url
from mentions.legacy.binlog import ChangeLog, PositionLostError
from mentions.legacy.binlog_server import (
    BinlogError,
    LogPosition,
    check_settings,
    read_committed_position,
    read_log_end,
)
from mentions.legacy.current import CurrentSource
from mentions.legacy.rowimages import list_keys

SERVER_ID = 4_000_000_001


@pytest.fixture
def current(legacy):
    with CurrentSource(parse_source_url(legacy.url)) as source:
        yield source


def open_log(current, *, position=None, marker=None):
    return ChangeLog(
        current,
        position=position or read_committed_position(current),
        server_id=SERVER_ID,
        marker=marker,
    )


def read_all(log, *, limit=1000):
    batches = list(log.read_batches(limit=limit))
    keys, unclear = {}, {}
    for batch in batches:
        unclear.update(batch.unclear)
        for table, found in batch.keys.items():
            keys.setdefault(table, set()).update(found)
    return batches, keys, unclear


def test_every_changed_key_is_told_when_rows_change(legacy, current):
    legacy.add_message("before")
    log = open_log(current)
    legacy.add_message("1")
    legacy.add_message("2", text="👩‍🚀", timestamp="0000-00-00 00:00:00", redirected=7)
    legacy.execute("UPDATE messages SET id = '3' WHERE id = '1'")
    legacy.execute("DELETE FROM messages WHERE id = 'before'")
    legacy.add_user()

    batches, keys, unclear = read_all(log)

    assert keys == {"messages": {b"before", b"1", b"2", b"3"}, "users": {b"account-1"}}
    assert unclear == {}
    assert batches[-1].is_at_end
    assert batches[-1].position.order == read_log_end(current).order
    assert read_all(log)[1] == {}


def test_nothing_is_lost_when_taken_up_in_the_middle(legacy, current):
    log = open_log(current)
    legacy.execute("BEGIN")
    legacy.add_messages(300)
    legacy.add_messages(300, first=1_600_000_000_000_000_000)
    legacy.execute("COMMIT")
    legacy.add_message("last")

    whole = read_all(open_log(current, position=log._position))[1]["messages"]
    assert len(whole) == 601
    for taken in range(1, 8):
        batches = open_log(current, position=log._position).read_batches(limit=100)
        seen = set()
        for _, batch in zip(range(taken), batches, strict=False):
            seen |= batch.keys.get("messages", set())
        batches.close()
        rest = read_all(open_log(current, position=batch.position))[1].get("messages", set())
        assert seen | rest == whole


def test_keys_are_utf8_when_the_column_is_not(legacy, current):
    legacy.execute("ALTER TABLE messages MODIFY id VARCHAR(36) CHARACTER SET latin1 NOT NULL")
    log = open_log(current)
    legacy.add_message("é€1")
    assert read_all(log)[1]["messages"] == {"é€1".encode()}
    assert current.find_existing(_table("messages"), {"é€1".encode(), b"other"}) == {"é€1".encode()}


def test_keys_are_bytes_when_they_are_broken_utf8(legacy, current):
    log = open_log(current)
    legacy.execute(
        "INSERT INTO messages (id, timestamp, user, text) "
        "VALUES (_utf8mb4 X'EDA080', '2025-01-01', 'u', _utf8mb4 X'EDA080')"
    )
    assert read_all(log)[1]["messages"] == {b"\xed\xa0\x80"}
    (page,) = current.read_rows(_table("messages"), {b"\xed\xa0\x80"})
    assert page[0]["text"] == b"\xed\xa0\x80"


def test_keys_are_exact_when_they_are_integers(legacy, current):
    legacy.execute("ALTER TABLE messages MODIFY id BIGINT NOT NULL")
    log = open_log(current)
    legacy.add_message("1790000000000000001")
    assert read_all(log)[1]["messages"] == {b"1790000000000000001"}


def test_key_is_found_by_place_when_the_log_has_no_names(legacy, current, set_global):
    set_global("binlog_row_metadata", "NO_LOG")
    (remark,) = check_settings(current, server_id=SERVER_ID)
    assert "binlog_row_metadata is NO_LOG" in remark
    legacy.execute("ALTER TABLE messages ADD COLUMN note VARCHAR(9) CHARACTER SET latin1 FIRST")
    current.read_keys()
    log = open_log(current)
    legacy.add_message("é1", note="ü")
    assert read_all(log)[1] == {"messages": {"é1".encode()}}


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB"])
def test_keys_are_told_when_the_row_image_is_partial(legacy, current, image):
    legacy.add_message("1")
    log = open_log(current)
    legacy.execute(f"SET SESSION binlog_row_image = '{image}'")
    legacy.execute("UPDATE messages SET status = 'replied' WHERE id = '1'")
    assert read_all(log)[1] == {"messages": {b"1"}}


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("TRUNCATE TABLE messages", {"messages"}),
        ("ALTER TABLE `users` ADD COLUMN extra INT", {"users"}),
        ("/* a note */ truncate oauth_states", {"oauth_states"}),
        ("CREATE TABLE messages_old (id INT)", set()),
        ("CREATE INDEX ix ON messages (status)", {"messages"}),
        ("DROP TABLE oauth_states", {"oauth_states"}),
    ],
)
def test_table_is_unclear_when_a_statement_touches_it(legacy, current, statement, tables):
    log = open_log(current)
    legacy.execute(statement)
    assert set(read_all(log)[2]) == tables


def test_tables_are_unclear_when_a_session_logs_statements(legacy, current):
    legacy.add_message("1")
    log = open_log(current)
    legacy.execute("SET SESSION binlog_format = 'STATEMENT'")
    legacy.execute("UPDATE messages SET status = 'replied'")
    assert read_all(log)[2] == {"messages": "UPDATE MESSAGES in the binary log"}


def test_other_databases_are_left_alone_when_they_change(legacy, current):
    log = open_log(current)
    other = f"{legacy.name}_other"
    legacy.execute(f"CREATE DATABASE {other}")
    try:
        legacy.execute(f"CREATE TABLE {other}.messages (id INT PRIMARY KEY)")
        legacy.execute(f"INSERT INTO {other}.messages VALUES (1)")
        legacy.execute(f"USE {other}")
        legacy.execute("TRUNCATE messages")
    finally:
        legacy.execute(f"USE {legacy.name}")
        legacy.execute(f"DROP DATABASE {other}")
    assert read_all(log)[1:] == ({}, {})


def test_reading_ends_when_the_marker_is_met(legacy, current):
    log = open_log(current, marker="cut_over")
    legacy.add_message("1")
    legacy.execute("CREATE TABLE cut_over_later (id INT)")
    legacy.execute("CREATE TABLE cut_over (id INT)")
    legacy.add_message("2")
    batches, keys, _ = read_all(log)
    assert keys == {"messages": {b"1"}}
    assert batches[-1].marked_at


def test_log_is_followed_when_the_file_changes(legacy, current):
    log = open_log(current)
    legacy.add_message("1")
    legacy.execute("FLUSH BINARY LOGS")
    legacy.add_message("2")
    batches, keys, _ = read_all(log)
    assert keys["messages"] == {b"1", b"2"}
    position = batches[-1].position
    assert position.file == read_log_end(current).file
    time.sleep(1.1)
    legacy.add_message("3")
    assert read_all(open_log(current, position=position))[1]["messages"] == {b"3"}


def test_sentence_says_start_over_when_the_position_was_purged(legacy, current):
    log = open_log(current)
    legacy.execute("FLUSH BINARY LOGS")
    legacy.execute("FLUSH BINARY LOGS")
    with pytest.raises(PositionLostError, match="--follow --start-over"):
        read_all(open_log(current, position=LogPosition("gone-bin.000001", 4)))
    with pytest.raises(PositionLostError, match="purged or reset"):
        read_all(open_log(current, position=LogPosition(log._position.file, 4_000_000_000)))


def test_sentence_says_start_over_when_the_log_is_another_one(legacy, current):
    log = open_log(current)
    batches, _, _ = read_all(log)
    position = batches[-1].position
    assert position.made_at
    other = LogPosition(position.file, position.offset, position.made_at - 60)
    with pytest.raises(PositionLostError, match="not the one that was followed"):
        read_all(open_log(current, position=other))


def test_server_is_refused_when_it_logs_statements(current, set_global):
    set_global("binlog_format", "MIXED")
    with pytest.raises(BinlogError, match=r"binlog_format is MIXED.*--delta"):
        check_settings(current, server_id=SERVER_ID)


def test_server_is_refused_when_it_compresses_the_log(current, set_global):
    set_global("log_bin_compress", 1)
    with pytest.raises(BinlogError, match="log_bin_compress is on"):
        check_settings(current, server_id=SERVER_ID)


def test_reading_ends_with_a_sentence_when_rows_are_compressed(legacy, current, set_global):
    log = open_log(current)
    set_global("log_bin_compress", 1)
    legacy.add_message("1", text="x" * 5000)
    with pytest.raises(BinlogError, match="compressed rows"):
        read_all(log)


def test_server_id_is_refused_when_it_is_the_servers_own(current):
    with pytest.raises(BinlogError, match="choose another with --server-id"):
        check_settings(current, server_id=1)


@pytest.mark.parametrize(
    ("grants", "lacks"),
    [
        ([], "REPLICATION CLIENT and REPLICATION SLAVE"),
        (["REPLICATION SLAVE"], "REPLICATION CLIENT"),
        (["BINLOG MONITOR"], "REPLICATION SLAVE"),
        (["REPLICATION SLAVE", "REPLICATION CLIENT"], None),
    ],
)
def test_missing_privileges_are_named_when_the_user_lacks_them(legacy, grants, lacks):
    user = f"u{legacy.name[-8:]}"
    legacy.execute(f"CREATE USER {user} IDENTIFIED BY 'right'")
    legacy.execute(f"GRANT SELECT ON {legacy.name}.* TO {user}")
    for grant in grants:
        legacy.execute(f"GRANT {grant} ON *.* TO {user}")
    url = parse_source_url(legacy.url.replace("root@", f"{user}:right@"))
    try:
        with CurrentSource(url) as current:
            if lacks is None:
                assert check_settings(current, server_id=SERVER_ID) == []
                assert read_all(open_log(current))[0]
            else:
                with pytest.raises(BinlogError, match=f"lacks {lacks} "):
                    check_settings(current, server_id=SERVER_ID)
    finally:
        legacy.execute(f"DROP USER {user}")


def test_position_is_taken_under_a_lock_when_no_snapshot_tells_it(legacy, current):
    """The way of MySQL 8, which has no status of a snapshot; MariaDB can go it too."""
    expected = read_committed_position(current)
    current.is_mariadb = False
    assert read_committed_position(current).order >= expected.order
    legacy.add_message("writable-again")


def _table(name):
    from mentions.legacy.contract import TABLES

    return next(table for table in TABLES if table.name == name)


# Definition and a value of each kind of column that a drifted schema may hold.
ODD_COLUMNS = {
    "a": ("TINYINT UNSIGNED", "250"),
    "b": ("SMALLINT", "-3"),
    "c": ("MEDIUMINT", "-70000"),
    "d": ("BIGINT", "5000000000"),
    "e": ("FLOAT", "1.5"),
    "f": ("DOUBLE", "2.5"),
    "g": ("YEAR", "2024"),
    "h": ("DATE", "'2024-02-29'"),
    "i": ("TIME(3)", "'-12:13:14.567'"),
    "j": ("TIMESTAMP(6) NULL", "'2024-01-02 03:04:05.678901'"),
    "k": ("DATETIME(2)", "'2024-01-02 03:04:05.67'"),
    "l": ("CHAR(10) CHARACTER SET utf8mb3", "'ü'"),
    "m": ("CHAR(100)", "REPEAT('é', 90)"),
    "n": ("MEDIUMBLOB", "REPEAT('b', 70000)"),
    "o": ("ENUM('x','y')", "'y'"),
    "p": ("SET('q','r','s')", "'q,s'"),
    "q": ("BIT(10)", "b'1010101010'"),
    "r": ("JSON", "'{}'"),
    "s": ("BINARY(5)", "'ab'"),
    "t": ("VARBINARY(300)", "REPEAT('v', 299)"),
    "u": ("POINT", "POINT(1, 2)"),
}


@pytest.mark.parametrize(
    ("more", "is_fast"), [({}, True), ({"v": ("DECIMAL(10,3)", "1.125")}, False)]
)
def test_keys_are_as_the_library_reads_them_when_columns_are_of_every_kind(
    legacy, current, monkeypatch, more, is_fast
):
    columns = {**ODD_COLUMNS, **more}
    added = ", ".join(f"ADD COLUMN {name} {kind} FIRST" for name, (kind, _) in columns.items())
    legacy.execute(f"ALTER TABLE messages {added}")
    current.read_keys()
    start = read_committed_position(current)
    names = ", ".join(columns)
    values = ", ".join(value for _, value in columns.values())
    fixed = "`timestamp`, `user`, `text`"
    # Several rows in one event, with and without values.
    rows = ", ".join(f"('{key}', NOW(), '1', 'x', {values})" for key in ("k1", "k2", "ключ"))
    legacy.execute(f"INSERT INTO messages (id, {fixed}, {names}) VALUES {rows}")
    legacy.add_message("k3")
    legacy.execute("UPDATE messages SET text = CONCAT(text, 'y'), a = NULL, n = NULL")
    legacy.execute("UPDATE messages SET id = CONCAT(id, '-new') WHERE id IN ('k1', 'k3')")
    legacy.execute("DELETE FROM messages WHERE id = 'k2'")

    answers = []

    def listen(event, position):
        answers.append(list_keys(event, position))
        return answers[-1]

    monkeypatch.setattr(binlog, "list_keys", listen)
    batches, fast, unclear = read_all(open_log(current, position=start))
    monkeypatch.setattr(binlog, "list_keys", lambda event, position: None)
    again, slow, _ = read_all(open_log(current, position=start))

    assert {answer is not None for answer in answers} == {is_fast}
    expected = {b"k1", b"k2", "ключ".encode(), b"k3", b"k1-new", b"k3-new"}
    assert fast == slow == {"messages": expected}
    assert (
        sum(batch.row_count for batch in batches) == sum(batch.row_count for batch in again) == 11
    )
    assert unclear == {}
