"""The fast path against the slow one, and runs that end in the middle."""

from collections import Counter
from datetime import datetime

import bson
import pymysql
import pytest
from django.core.management import CommandError
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from mentions.legacy.documents import TARGETS, DocumentWriter
from mentions.legacy.encode import MessageEncoder, are_texts_plain, probe_row
from mentions.legacy.mapping import MappedRow, map_message
from mentions.legacy.state import STATE_FIELD, build_state
from mentions.legacy.values import digest_values
from mentions.models import ImportReject, Message

EPOCH = datetime(1970, 1, 1)
NAMES = (
    "id",
    "timestamp",
    "user",
    "text",
    "status",
    "public_response",
    "dm_response",
    "credits_used",
    "redirected",
    "created_at",
    "updated_at",
)
PLAIN = (
    b"1790000000000000001",
    b"2025-03-04 05:06:07",
    b"2002",
    "Grüße 👩‍🚀\x00 שלום".encode(),
    b"replied",
    b"",
    None,
    b"3",
    b"1",
    b"1969-12-31 23:59:59",
    None,
)


def make_encoder(account_id):
    writer = DocumentWriter(Message, constants={"kind": "legacy", "draft_state": "none"})

    def build(row):
        document = writer.build(row.values)
        document[STATE_FIELD] = build_state("run", row.digest)
        return document

    return MessageEncoder(build(probe_row(account_id)), account_id=account_id), build


def encode_one(encoder, row, *, beside=()):
    """The row as the fast path encodes it, and its remarks; None if it is left to the slow one."""
    encoded, left = encoder.encode_rows([row, *beside])
    assert Counter(encoded.rows + left) == Counter([row, *beside])
    if row in left:
        return None
    chosen = encoded.pick([encoded.rows.index(row)])
    return bson.decode(encoder.finish(chosen)[0].raw), chosen.count_notes()


# Beside a row that needs the slow path, the others are encoded row by row instead of by column.
@pytest.mark.parametrize("beside", [(), [(b"0123", *PLAIN[1:])]], ids=["columns", "rows"])
@pytest.mark.parametrize("account_id", ["account-1", None])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {3: "ä".encode() * 2047, 2: b""},
        {3: "ä".encode() * 2048, 5: b"x" * 70_000},
        {5: "Danke 🙏".encode(), 6: b"dm", 7: None, 8: None, 9: None},
        {7: b"0", 8: b"0", 1: b"2024-02-29 00:00:00", 10: b"9999-12-31 23:59:59"},
        {
            1: b"2025-03-04 05:06:07.000000",
            9: b"1969-12-31 23:59:59.5",
            10: b"2025-03-04 05:06:07.12",
        },
        {1: b"2025-03-04 05:06:07.123456", 9: b"1969-12-31 23:59:59.999999"},
        {1: b"2025-03-04 05:06:07.123000", 9: b"1969-12-31 23:59:59.0004"},
    ],
)
def test_both_paths_give_the_same_document_when_a_row_is_plain(db, account_id, changes, beside):
    encoder, build = make_encoder(account_id)
    row = tuple(changes.get(index, value) for index, value in enumerate(PLAIN))
    found = encode_one(encoder, row, beside=beside)
    assert found is not None
    fast, notes = found
    outcome = map_message(dict(zip(NAMES, row, strict=True)), account_id=account_id)
    slow = bson.decode(bson.encode(build(outcome)))
    assert fast == slow
    assert {name: type(value) for name, value in fast.items()} == {
        name: type(value) for name, value in slow.items()
    }
    assert notes == Counter(outcome.notes)
    assert fast[STATE_FIELD]["digest"] == digest_values(
        {name: outcome.values[name] for name in outcome.compared}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {0: b"0123"},
        {0: b"a1b2c3d4-0000-4000-8000-00000000abcd"},
        {1: b"0000-00-00 00:00:00"},
        {1: b"2025-02-30 00:00:00"},
        {1: b"2025-03-04 05:06:07."},
        {1: b"2025-03-04 05:06:07.1234567"},
        {1: b"2025-03-04 05:06:07,123"},
        {1: b"2025-03-04 05:06:07.12a"},
        {1: b"2025-03-04"},
        {1: b"20_3-11-14 22:13:20"},
        {1: b"+203-11-14 22:13:20"},
        {1: b" 202-11-14 22:13:20"},
        {1: b"2023- 1- 4 22:13:20"},
        {1: b"2023-+1-04 22:13:20"},
        {1: b"2023/01/04 22:13:20"},
        {2: None},
        {3: b"\xed\xa0\x80"},
        {4: b"archived"},
        {4: None},
        {6: b"\xff"},
        {7: b"-5"},
        {7: b"1.50"},
        {8: b"2"},
        {9: b"2025-03-04 24:00:00"},
    ],
)
def test_row_is_left_to_the_slow_path_when_there_is_something_to_say(db, changes):
    encoder, _ = make_encoder("account-1")
    row = tuple(changes.get(index, value) for index, value in enumerate(PLAIN))
    assert encode_one(encoder, row) is None
    assert encode_one(encoder, PLAIN, beside=[row]) is not None


_PLAIN_TEXTS = [None, b"", b"plain", "Grüße 👩‍🚀".encode(), b"\xc3\xbc"]
_ODD_TEXTS = ["GrÃ¼ÃŸe".encode(), b"\xff", b"cut \xc3", b"\xbc end"]
_TEXTS = st.sampled_from(_PLAIN_TEXTS) | st.sampled_from(_ODD_TEXTS)


@given(st.lists(st.tuples(*[_TEXTS] * 5), max_size=4))
def test_a_chunk_is_told_from_a_plain_one_as_its_rows_are(cells):
    rows = [(*PLAIN[:2], *texts, *PLAIN[7:]) for texts in cells]
    assert are_texts_plain(rows) == all(are_texts_plain([row]) for row in rows)
    assert are_texts_plain(rows) == all(text in _PLAIN_TEXTS for texts in cells for text in texts)


_WILD_ROWS = st.tuples(
    st.sampled_from([b"1790000000000000001", b"7", b"0", b"01", b"", b"x", b"9" * 19, b"9" * 20]),
    *[st.sampled_from([b"2025-03-04 05:06:07", b"2025-03-04 05:06:07.5", b"2025-03-04", b""])],
    st.sampled_from([b"2002", b"\xff", "ü".encode(), b""]) | st.none(),
    _TEXTS | st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"pending", b"replied", b"error", b"archived", b"", None]),
    _TEXTS,
    _TEXTS,
    st.sampled_from([None, b"0", b"17", b"9999", b"10000", b"-1", b"007", b"1.5", b""]),
    st.sampled_from([None, b"0", b"1", b"2", b""]),
    *[
        st.sampled_from(
            [None, b"1969-12-31 23:59:59", b"0000-00-00 00:00:00", b"2025-13-01 00:00:00"]
        )
    ]
    * 2,
)


_PLAIN_ROWS = st.tuples(
    st.integers(1, 10**19 - 1).map(lambda number: str(number).encode()),
    st.sampled_from([b"2025-03-04 05:06:07", b"1969-12-31 23:59:59", b"9999-12-31 00:00:00"]),
    st.sampled_from([b"2002", b"", "ü".encode()]),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from([b"pending", b"replied", b"error"]),
    *[st.sampled_from(_PLAIN_TEXTS)] * 2,
    st.sampled_from([None, b"0", b"17", b"9999"]),
    st.sampled_from([None, b"0", b"1"]),
    *[
        st.sampled_from([None, b"2024-02-29 13:59:00", b"2024-02-29 13:59:00.123456"])
        | st.just(b"2025-03-04 05:06:07")
    ]
    * 2,
)


@given(st.lists(_PLAIN_ROWS, min_size=1, max_size=5) | st.lists(_PLAIN_ROWS | _WILD_ROWS))
def test_the_fast_path_gives_the_slow_ones_documents_when_rows_are_wild(rows):
    encoder, build = make_encoder("account-1")
    encoded, left = encoder.encode_rows(rows)
    assert Counter(encoded.rows + left) == Counter(rows)
    notes = Counter()
    for row, fast in zip(encoded.rows, encoder.finish(encoded), strict=True):
        outcome = map_message(dict(zip(NAMES, row, strict=True)), account_id="account-1")
        assert isinstance(outcome, MappedRow)
        assert bson.decode(fast.raw) == bson.decode(bson.encode(build(outcome)))
        notes.update(outcome.notes)
    assert encoded.count_notes() == notes
    assert encoded.keys == [row[0].decode() for row in encoded.rows]


def list_documents(url, database):
    """What both sides hold, read without anything of the importer's."""
    source = pymysql.connect(
        host=url.host, port=url.port, user="root", database=url.name, charset="utf8mb4"
    )
    with source, source.cursor() as cursor:
        cursor.execute(
            "SELECT id, text, status, public_response, credits_used, redirected, "
            "UNIX_TIMESTAMP(CONVERT_TZ(`timestamp`, '+00:00', @@session.time_zone)) FROM messages "
            "WHERE `timestamp` > '1970-01-02'"
        )
        legacy = {
            row[0]: (*row[1:5], None if row[5] is None else bool(row[5]), int(row[6]))
            for row in cursor.fetchall()
        }
    here = {
        found["_id"]: (
            found["text"],
            found["status"],
            found["public_response"],
            found["credits_used"],
            found["redirected"],
            int((found["timestamp"] - EPOCH).total_seconds()),
        )
        for found in database["messages"].find()
    }
    return legacy, here


def test_workers_give_the_same_as_one_process_when_the_table_is_mixed(legacy, run_import):
    legacy.add_user()
    legacy.add_messages(500)
    legacy.add_message("zero", timestamp="0000-00-00 00:00:00")
    report = run_import("--workers", "2", "--chunk-size", "50")
    counts = report["tables"]["messages"]
    assert (counts["created"], counts["rejected"], counts["in_mongodb"]) == (500, 1, 500)
    there, here = list_documents(legacy, connection.database)
    assert "zero" not in there
    assert here == there


def test_run_stops_when_more_rows_are_refused_than_allowed(legacy, run_import):
    legacy.add_user()
    for number in range(3):
        legacy.add_message(f"bad-{number}", timestamp="0000-00-00 00:00:00")
    with pytest.raises(CommandError, match="3 rows were refused, and --max-rejects allows 2"):
        run_import("--max-rejects", "2")
    assert run_import("--max-rejects", "3")["exit_code"] == 2


def test_only_refused_rows_are_read_when_retried(legacy, run_import):
    legacy.add_user()
    legacy.add_message("1", timestamp="0000-00-00 00:00:00")
    legacy.add_message("2", timestamp="0000-00-00 00:00:00")
    run_import()
    reject = ImportReject.objects.get(legacy_id="1")
    assert (reject.rules, len(reject.hints)) == (["zero_date"], 1)
    legacy.execute("UPDATE messages SET `timestamp` = '2025-01-01' WHERE id = '1'")
    legacy.add_message("3")

    report = run_import("--retry-rejects")

    assert report["tables"]["messages"]["created"] == 1
    assert set(Message.objects.values_list("pk", flat=True)) == {"1"}
    assert list(ImportReject.objects.values_list("legacy_id", flat=True)) == ["2"]


def test_conflict_shows_both_values_when_changed_on_both_sides(legacy, run_import):
    legacy.add_user()
    legacy.add_message("7")
    run_import()
    Message.objects.update(status="ignored")
    kept = run_import()["tables"]["messages"]["kept_list"]
    assert kept == [{"id": "7", "values": {"status": {"legacy": "pending", "here": "ignored"}}}]
    legacy.execute("UPDATE messages SET status = 'replied'")
    conflict = run_import()["tables"]["messages"]["conflict_list"][0]
    assert conflict["values"]["status"] == {"legacy": "replied", "here": "ignored"}


def test_indexes_are_back_when_a_large_load_was_interrupted(legacy, run_import):
    messages = next(target for target in TARGETS if target.model is Message)
    collection = connection.get_collection(messages.model._meta.db_table)
    before = set(collection.index_information())
    collection.drop_index("message_time_idx")
    legacy.add_user()
    run_import()
    assert set(collection.index_information()) == before
    assert isinstance(probe_row(None), MappedRow)


def test_memory_stays_flat_when_rows_are_large(legacy, run_import):
    legacy.add_user()
    for number in range(60):
        legacy.add_message(str(10**18 + number), text="🎈" * 15_000, public_response="x" * 60_000)
    report = run_import()
    assert report["tables"]["messages"]["created"] == 60
    assert Message.objects.filter(text="🎈" * 15_000).count() == 60


def test_fractions_are_cut_and_noted_alike_when_loaded_and_when_met_again(legacy, run_import):
    legacy.add_user()
    for column in ("timestamp", "created_at"):
        legacy.execute(f"ALTER TABLE messages MODIFY `{column}` DATETIME(6) NOT NULL")
    legacy.add_message("1", timestamp="2025-03-04 05:06:07.123456")
    legacy.add_message("2", timestamp="2025-03-04 05:06:07.120000")
    legacy.add_message("3", created_at="2025-03-04 05:06:07.000001")

    first, second = run_import(), run_import()

    assert first["tables"]["messages"]["created"] == 3
    assert second["tables"]["messages"]["unchanged"] == 3
    for report in (first, second):
        assert report["tables"]["messages"]["notes"] == {
            "timestamp has microseconds, cut to milliseconds": 1,
            "created_at has microseconds, cut to milliseconds": 1,
        }
    assert Message.objects.get(pk="1").timestamp.microsecond == 123_000
    assert Message.objects.get(pk="2").timestamp.microsecond == 120_000
