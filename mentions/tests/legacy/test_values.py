"""What becomes of unusual values: each kind on a real MariaDB, converted or refused by name."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import OAuthState, TwitterAccount
from accounts.stored_tokens import token_cipher
from mentions.legacy.mapping import HINTS
from mentions.models import ImportReject, Message

FAMILY = "👩‍👩‍👧‍👦 שלום \u200f𝒳"
NUL = "be\0fore\0"
# Runs a Python command and prints the KiB that its largest process had. Not asked of the test's
# own process: a child begins with its parent's memory, which counts until it is another program.
LARGEST_OF = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
GARBLED = "Grüße – “ok”".encode().decode("cp1252", errors="ignore")


def list_rejects():
    """Rule and hints of each rejected row by table and id."""
    for reject in ImportReject.objects.all():
        assert reject.hints == list(dict.fromkeys(HINTS[rule] for rule in reject.rules))
    return {
        (reject.table, reject.legacy_id): (reject.rules, reject.reasons)
        for reject in ImportReject.objects.all()
    }


def test_every_character_arrives_when_texts_are_unusual(legacy, run_import):
    legacy.add_user(access_token="a" * 255, refresh_token="🔑" * 255)
    legacy.add_message("1", text=FAMILY, public_response=FAMILY, dm_response="🙏")
    legacy.add_message("2", text=NUL, public_response="\0", dm_response=NUL, user="\0")
    legacy.add_message("3\0", text="a key that ends in NUL")
    legacy.add_message("3", text="and its neighbour")
    legacy.add_message("4", text="", public_response="", dm_response=" \t\n")
    legacy.add_message("5", text="x" * 65_535)

    report = run_import("--chunk-size", "2")

    assert report["exit_code"] == 0
    assert report["verification"]["is_proven"]
    account = TwitterAccount.objects.get()
    assert token_cipher().decrypt(account.access_token) == "a" * 255
    assert token_cipher().decrypt(account.refresh_token) == "🔑" * 255
    found = {
        message.pk: (message.user, message.text, message.public_response, message.dm_response)
        for message in Message.objects.all()
    }
    assert found == {
        "1": ("2002", FAMILY, FAMILY, "🙏"),
        "2": ("\0", NUL, "\0", NUL),
        "3\0": ("2002", "a key that ends in NUL", None, None),
        "3": ("2002", "and its neighbour", None, None),
        "4": ("2002", "", "", " \t\n"),
        "5": ("2002", "x" * 65_535, None, None),
    }


def test_characters_arrive_when_columns_have_old_character_sets(legacy, run_import):
    legacy.execute(
        "ALTER TABLE messages "
        "MODIFY `text` TEXT CHARACTER SET latin1 NOT NULL, "
        "MODIFY public_response TEXT CHARACTER SET utf8mb3 NULL, "
        "MODIFY dm_response TEXT CHARACTER SET utf16 NULL, "
        "MODIFY status VARCHAR(50) CHARACTER SET ascii NOT NULL"
    )
    legacy.add_user()
    legacy.add_message("1", text="é, €, Ÿ, ’", public_response="שלום €", dm_response="🙏")
    # A client that said latin1 and sent UTF-8: the column holds what it was told.
    legacy.execute(
        "INSERT INTO messages (id, `timestamp`, `user`, `text`, status) "
        "VALUES ('2', '2025-01-01', '2', _latin1 X'4772C3BCC39F65', 'pending')"
    )
    # All 256 bytes of a Latin-1 column are characters, also the five that Windows leaves out.
    legacy.execute(
        "INSERT INTO messages (id, `timestamp`, `user`, `text`, status) "
        "VALUES ('3', '2025-01-01', '2', _latin1 X'81E9FF', 'pending')"
    )

    report = run_import()

    assert report["exit_code"] == 0
    assert report["verification"]["is_proven"]
    texts = {m.pk: (m.text, m.public_response, m.dm_response) for m in Message.objects.all()}
    assert texts == {
        "1": ("é, €, Ÿ, ’", "שלום €", "🙏"),
        "2": ("GrÃ¼ÃŸe", None, None),
        "3": ("\x81éÿ", None, None),
    }
    notes = report["tables"]["messages"]["notes"]
    assert notes["text looks like UTF-8 read as Latin-1 (Ã¼ for ü), kept as it is"] == 1
    lost = "taken over as the characters it holds, so what it could not hold (emoji) was lost"
    for name, charset in {
        "text": "latin1",
        "public_response": "utf8mb3",
        "dm_response": "utf16",
        "status": "ascii",
    }.items():
        start = f"messages.{name}: is {charset} instead of utf8mb4: {lost}"
        assert [item for item in report["differences"] if item.startswith(start)]


def test_mojibake_is_kept_and_noted_when_it_lies_in_utf8mb4(legacy, run_import):
    legacy.add_user()
    legacy.add_message("10", text=GARBLED, public_response="ðŸ™", dm_response="fine: é à Ã")
    legacy.add_message("11", text="not garbled: Ãª is rare, Â© too — é€", status="odd")

    report = run_import()

    assert report["exit_code"] == 0
    assert Message.objects.get(pk="10").text == GARBLED
    notes = report["tables"]["messages"]["notes"]
    kept = "looks like UTF-8 read as Latin-1 (Ã¼ for ü), kept as it is"
    assert notes[f"text {kept}"] == 2
    assert f"dm_response {kept}" not in notes


@pytest.mark.parametrize(("digits", "milliseconds", "cut"), [(0, 0, 0), (3, 123, 0), (6, 123, 1)])
def test_fractions_arrive_in_milliseconds_when_columns_keep_them(
    legacy, run_import, digits, milliseconds, cut
):
    columns = ("`timestamp`", "created_at", "updated_at")
    changes = ", ".join(f"MODIFY {name} DATETIME({digits}) NULL" for name in columns)
    legacy.execute(f"ALTER TABLE messages {changes}")
    legacy.execute(f"ALTER TABLE users MODIFY token_expires_at DATETIME({digits}) NOT NULL")
    legacy.execute("SET SESSION sql_mode = 'TIME_ROUND_FRACTIONAL'")
    legacy.execute("SET SESSION sql_mode = ''")
    legacy.add_user(token_expires_at="2030-01-02 03:04:05.123999")
    moment = "2025-03-04 05:06:07.123999"
    legacy.add_message("1", timestamp=moment, created_at=moment, updated_at=moment)
    legacy.add_message("2", timestamp="2025-03-04 05:06:07.999999", created_at=None)

    report = run_import()

    assert report["exit_code"] == 0
    assert report["verification"]["is_proven"]
    message = Message.objects.get(pk="1")
    wanted = datetime(2025, 3, 4, 5, 6, 7, milliseconds * 1000, tzinfo=UTC)
    assert {message.timestamp, message.created_at, message.updated_at} == {wanted}
    # Never rounded up into the next second.
    assert Message.objects.get(pk="2").timestamp.second == 7
    notes = report["tables"]["messages"]["notes"]
    assert notes.get("timestamp has microseconds, cut to milliseconds", 0) == 2 * cut


def test_rows_are_refused_by_name_when_null_is_where_a_value_must_be(legacy, run_import):
    legacy.execute(
        "ALTER TABLE users MODIFY twitter_id VARCHAR(255) NULL, MODIFY access_token TEXT NULL, "
        "MODIFY refresh_token TEXT NULL, MODIFY token_expires_at DATETIME NULL"
    )
    legacy.execute(
        "ALTER TABLE messages MODIFY `timestamp` DATETIME NULL, MODIFY `user` VARCHAR(255) NULL, "
        "MODIFY `text` TEXT NULL, MODIFY status VARCHAR(50) NULL"
    )
    legacy.execute(
        "ALTER TABLE oauth_states MODIFY code_verifier VARCHAR(255) NULL, "
        "MODIFY created_at DATETIME NULL"
    )
    legacy.add_user()
    user_columns = ("twitter_id", "access_token", "refresh_token", "token_expires_at")
    for number, name in enumerate(user_columns):
        legacy.add_user(f"no-{name}", **{"twitter_id": str(2000 + number), name: None})
    message_columns = ("timestamp", "user", "text", "status")
    for name in message_columns:
        legacy.add_message(f"no-{name}", **{name: None})
    now = timezone.now().replace(tzinfo=None)
    legacy.add_state("no-verifier", code_verifier=None, created_at=now)
    legacy.add_state("no-created-at", created_at=None)
    # Where the contract allows NULL, it stays.
    optional = ("public_response", "dm_response", "credits_used", "redirected", "created_at")
    legacy.add_message("bare", **dict.fromkeys((*optional, "updated_at")))

    report = run_import("--account", "account-1")

    assert report["exit_code"] == 2
    assert report["verification"]["is_proven"]
    expected = {("users", f"no-{name}"): (["null"], [f"{name} is NULL"]) for name in user_columns}
    expected |= {
        ("messages", f"no-{name}"): (["null"], [f"{name} is NULL"]) for name in message_columns
    }
    expected |= {
        ("oauth_states", "no-verif…"): (["null"], ["code_verifier is NULL"]),
        ("oauth_states", "no-creat…"): (["null"], ["created_at is NULL"]),
    }
    assert list_rejects() == expected
    bare = Message.objects.get()
    assert {getattr(bare, name) for name in (*optional, "updated_at")} == {None}
    nullable = [item for item in report["differences"] if "may be NULL here" in item]
    assert len(nullable) == len(user_columns) + len(message_columns) + 2


def test_rows_are_refused_by_name_when_dates_are_zero(legacy, run_import):
    legacy.add_user()
    legacy.add_user("zero", twitter_id="2", token_expires_at="0000-00-00 00:00:00")
    legacy.add_user("month", twitter_id="3", created_at="2024-00-10 00:00:00")
    for name in ("timestamp", "created_at", "updated_at"):
        legacy.add_message(f"zero-{name}", **{name: "0000-00-00 00:00:00"})
    legacy.add_state("zero-state", created_at="0000-00-00 00:00:00")
    legacy.add_message("first", timestamp="0001-01-01 00:00:00")
    legacy.add_message("last", timestamp="9999-12-31 23:59:59")

    report = run_import("--account", "account-1")

    assert report["exit_code"] == 2
    found = list_rejects()
    assert {rules[0] for rules, _ in found.values()} == {"zero_date"}
    assert {key for _, key in found} == {
        "zero",
        "month",
        "zero-timestamp",
        "zero-created_at",
        "zero-updated_at",
        "zero-sta…",
    }
    stored = connection.get_collection("messages").find({}, {"timestamp": 1})
    assert {item["_id"]: item["timestamp"] for item in stored} == {
        "first": datetime(1, 1, 1),
        "last": datetime(9999, 12, 31, 23, 59, 59),
    }


def test_numbers_are_kept_and_noted_when_out_of_the_ordinary(legacy, run_import):
    legacy.add_user()
    for value in (-128, -1, 0, 1, 2, 127):
        legacy.add_message(f"flag{value}", redirected=value)
    for value in (-(2**31), -1, 2**31 - 1):
        legacy.add_message(f"credits{value}", credits_used=value)
    legacy.execute("ALTER TABLE messages MODIFY credits_used BIGINT NULL")
    legacy.add_message("too-many", credits_used=2**31)

    report = run_import()

    flags = dict(Message.objects.filter(pk__startswith="flag").values_list("pk", "redirected"))
    assert flags == {f"flag{value}": value != 0 for value in (-128, -1, 0, 1, 2, 127)}
    credit = dict(Message.objects.filter(pk__startswith="cr").values_list("pk", "credits_used"))
    assert credit == {f"credits{value}": value for value in (-(2**31), -1, 2**31 - 1)}
    notes = report["tables"]["messages"]["notes"]
    for value in (-128, -1, 2, 127):
        assert notes[f"redirected is {value}, taken as true"] == 1
    assert notes["negative credits_used, kept"] == 2
    rules, reasons = list_rejects()["messages", "too-many"]
    assert (rules, reasons) == (["out_of_range"], ["credits_used is too large: 2147483648"])


def test_status_is_kept_to_the_letter_when_unknown(legacy, run_import):
    legacy.add_user()
    statuses = ("archived", "Pending", "pending ", "", "gelöscht 🗑")
    for number, status in enumerate(statuses, start=1):
        legacy.add_message(str(number), status=status)

    report = run_import()

    assert tuple(Message.objects.order_by("pk").values_list("status", flat=True)) == statuses
    notes = report["tables"]["messages"]["notes"]
    assert {f"unknown status {status!r}, kept" for status in statuses} <= set(notes)
    assert report["exit_code"] == 0


@pytest.mark.parametrize("collation", ["utf8mb4_nopad_bin", "utf8mb4_general_ci"])
def test_accounts_are_told_apart_when_ids_differ_in_case_or_blanks(legacy, run_import, collation):
    """The unique key is gone, or compares by bytes: rows that the old collation calls equal."""
    legacy.execute("ALTER TABLE users DROP KEY uq_users_twitter_id")
    legacy.execute(f"ALTER TABLE users MODIFY twitter_id VARCHAR(255) COLLATE {collation} NOT NULL")
    for key, x_id in {"1": "1001", "2": "1001 ", "3": "abc", "4": "ABC", "5": "1001\t"}.items():
        legacy.add_user(key, twitter_id=x_id)
    legacy.add_message("1")

    report = run_import("--account", "1", "--chunk-size", "2")

    assert dict(TwitterAccount.objects.values_list("pk", "twitter_id")) == {
        "1": "1001",
        "3": "abc",
        "4": "ABC",
        "5": "1001\t",
    }
    # Blanks at the end are not part of an X id: two rows would spend one refresh token.
    assert list_rejects() == {
        ("users", "2"): (["duplicate"], ["twitter_id '1001 ' already belongs to '1'"])
    }
    assert report["verification"]["is_proven"]
    is_listed = any("users.twitter_id: compares by" in item for item in report["differences"])
    assert is_listed == (collation == "utf8mb4_nopad_bin")


def test_keys_keep_their_spelling_when_unusual(legacy, run_import):
    legacy.execute("ALTER TABLE messages MODIFY id VARCHAR(64) COLLATE utf8mb4_nopad_bin NOT NULL")
    legacy.add_user()
    ids = ["00123", "0", "A", "a", "a ", "6f9619ff-8b86-d011-b42d-00c04fc964ff", "x" * 64, "🙏"]
    for key in ids:
        legacy.add_message(key)
    report = run_import("--chunk-size", "3")
    assert set(Message.objects.values_list("post_id", flat=True)) == set(ids)
    assert report["exit_code"] == 0


@pytest.mark.parametrize("table", ["users", "messages", "oauth_states"])
def test_other_tables_arrive_when_one_is_empty(legacy, run_import, table):
    if table != "users":
        legacy.add_user()
    if table != "messages":
        legacy.add_message("1")
    if table != "oauth_states":
        legacy.add_state("live", created_at=timezone.now().replace(tzinfo=None))

    report = run_import(*(("--unattributed",) if table == "users" else ()))

    assert report["exit_code"] == 0
    assert report["verification"]["is_proven"]
    counts = [model.objects.count() for model in (TwitterAccount, Message, OAuthState)]
    assert counts == [int(name != table) for name in ("users", "messages", "oauth_states")]


def test_memory_stays_flat_when_the_table_is_large(legacy, child_environ):
    """AUTORES_TEST_TABLE_MIB sets how large; 1024 for the real thing."""
    size = int(os.environ.get("AUTORES_TEST_TABLE_MIB", "16"))
    legacy.add_user()
    for number in range(size):
        # Eight rows of 128 KiB, as large as two full TEXT columns make them.
        legacy.execute(
            "INSERT INTO messages (id, `timestamp`, `user`, `text`, public_response) "
            "SELECT %s + seq, '2025-01-01', '2', REPEAT('x', 65535), REPEAT('y', 65535) "
            "FROM seq_1_to_8",
            10**18 + 8 * number,
        )
    done = subprocess.run(
        [sys.executable, "-c", LARGEST_OF, "manage.py", "migrate_from_mysql", "--quiet"],
        cwd=settings.BASE_DIR,
        env={**child_environ, "MYSQL_DATABASE_URL": legacy.url},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert Message.objects.count() == 8 * size
    largest_kib = int(done.stdout.splitlines()[-1])
    assert largest_kib < 400_000
