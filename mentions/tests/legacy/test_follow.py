"""Following a real MariaDB's binary log into a real MongoDB, until the cut-over."""

import hashlib
import io
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.models import OAuthState, TwitterAccount
from mentions.legacy.position import POSITIONS
from mentions.legacy.rollback import roll_back
from mentions.models import ImportReject, ImportRun, Message
from mentions.tests.legacy.comparison import compare


@pytest.fixture
def frozen(legacy):
    """The server is read-only: only privileged users, such as the tests', may write."""
    legacy.execute("SET GLOBAL read_only = 1")
    yield
    legacy.execute("SET GLOBAL read_only = 0")


@pytest.fixture
def follow(legacy, frozen, transactional_db):
    """Runs the command until what is in the log is here; gives its report and exit code."""

    def run(*arguments):
        out = io.StringIO()
        code = 0
        try:
            call_command(
                "migrate_from_mysql",
                "--json",
                "--follow",
                "--until-drained",
                "--source",
                legacy.url,
                *arguments,
                stdout=out,
                stderr=io.StringIO(),
            )
        except CommandError as error:
            if error.returncode != 2:
                raise
            code = error.returncode
        return {**json.loads(out.getvalue()), "exit_code": code}

    return run


def test_changes_arrive_when_made_after_the_load(legacy, follow):
    legacy.add_user()
    for key in ("1", "2", "3", "4"):
        legacy.add_message(key)
    first = follow()
    assert (first["is_drained"], first["exit_code"], first["row_count"]) == (True, 0, 0)
    assert compare(legacy) == []

    legacy.add_message("5", text="👩‍🚀 neu", credits_used=None, redirected=1)
    legacy.execute("UPDATE messages SET status = 'replied', dm_response = 'x' WHERE id = '1'")
    legacy.execute("UPDATE messages SET id = '22' WHERE id = '2'")
    legacy.execute("DELETE FROM messages WHERE id = '3'")
    legacy.execute("DELETE FROM messages WHERE id = '4'")
    legacy.add_message("4", text="again")
    legacy.execute("UPDATE users SET refresh_token = 'newer', access_token = 'newest'")
    report = follow()

    assert report["exit_code"] == 0
    assert compare(legacy) == []
    assert report["counts"]["messages"]["deleted"] == 2
    run = ImportRun.objects.get(report__kind="follow")
    assert (run.state, run.report["is_drained"]) == ("done", True)


def test_downtime_begins_anew_when_the_source_was_written_to_after_a_drain(legacy, follow):
    legacy.add_user()
    first = follow()
    # It was frozen before it was looked at: nobody knows since when.
    assert first["downtime_at_most_seconds"] is None
    hour = timedelta(hours=1)
    frozen_at = datetime.fromisoformat(first["frozen_at"]) - hour
    positions = connection.get_collection(POSITIONS)
    positions.update_one({}, {"$set": {"frozen_at": frozen_at, "writable_at": frozen_at}})
    again = follow()
    assert again["downtime_seconds"] >= hour.total_seconds()

    legacy.add_message("1")
    report = follow()
    assert report["downtime_seconds"] <= report["downtime_at_most_seconds"] < 60
    assert ImportRun.objects.get(report__kind="follow").state == "done"


def test_everything_comes_back_when_a_following_was_rolled_back(legacy, follow):
    legacy.add_user()
    for key in ("1", "2", "3"):
        legacy.add_message(key)
    follow()
    for run in ImportRun.objects.order_by("-started_at"):
        roll_back(run.pk)
    assert Message.objects.count() == 0
    assert follow()["exit_code"] == 0
    assert compare(legacy) == []
    assert Message.objects.count() == 3


def test_row_comes_back_when_it_was_deleted_and_followed_before(legacy, follow):
    legacy.add_user()
    legacy.add_message("1")
    follow()
    legacy.execute("DELETE FROM messages")
    follow()
    assert Message.objects.count() == 0
    legacy.add_message("1", text="again")
    follow()
    assert compare(legacy) == []
    assert Message.objects.get().text == "again"


def test_values_arrive_as_in_the_load_when_they_are_unusual(legacy, follow):
    legacy.execute("ALTER TABLE messages MODIFY timestamp DATETIME(6) NOT NULL")
    legacy.execute("ALTER TABLE messages MODIFY text TEXT CHARACTER SET latin1 NOT NULL")
    legacy.add_user()
    follow()
    legacy.add_message("1", timestamp="2025-03-04 05:06:07.123999", text="é€", redirected=7)
    legacy.add_message("2", timestamp="0000-00-00 00:00:00")
    legacy.add_message("3", public_response="🙏", credits_used=-5, created_at=None)
    legacy.execute(
        "INSERT INTO messages (id, timestamp, user, text, dm_response) "
        "VALUES ('4', '2025-01-01', 'u', 't', _utf8mb4 X'EDA080')"
    )
    report = follow()

    assert report["exit_code"] == 2
    assert Message.objects.get(pk="1").timestamp == datetime(
        2025, 3, 4, 5, 6, 7, 123_000, tzinfo=UTC
    )
    assert (Message.objects.get(pk="1").text, Message.objects.get(pk="1").redirected) == (
        "é€",
        True,
    )
    assert Message.objects.get(pk="3").public_response == "🙏"
    rejected = {item.legacy_id: item.reasons for item in ImportReject.objects.all()}
    assert set(rejected) == {"2", "4"}
    assert "zero date" in rejected["2"][0]
    assert "not UTF-8" in rejected["4"][0]

    legacy.execute("UPDATE messages SET timestamp = '2025-01-02' WHERE id = '2'")
    legacy.execute("DELETE FROM messages WHERE id = '4'")
    assert follow()["exit_code"] == 0
    assert not ImportReject.objects.exists()
    assert Message.objects.count() == 3


def test_document_stays_when_deleted_there_and_changed_here(legacy, follow):
    legacy.add_user()
    for key in ("1", "2", "3"):
        legacy.add_message(key)
    follow()
    Message.objects.filter(pk="1").update(status="ignored")
    Message.objects.create(id="9", post_id="9", timestamp=timezone.now(), user="u", text="polled")
    legacy.add_message("9")
    legacy.execute("DELETE FROM messages")
    legacy.add_message("3", text="again")

    report = follow()

    assert set(Message.objects.values_list("pk", flat=True)) == {"1", "3", "9"}
    assert {item["id"]: item["reason"] for item in report["conflict_list"]} == {
        "1": "deleted there, but changed here since the import",
        "9": "deleted there; here it was not written by the import, and stays",
    }
    assert (report["conflicts"], report["exit_code"]) == (2, 2)
    # The person decided: nothing is open any more.
    Message.objects.filter(pk__in=["1", "9"]).delete()
    legacy.add_message("1")
    legacy.add_message("9")
    legacy.execute("DELETE FROM messages WHERE id IN ('1', '9')")
    assert follow()["exit_code"] == 0


def test_account_stays_when_messages_refer_to_it(legacy, follow):
    legacy.add_user()
    legacy.add_user("account-2", twitter_id="1002")
    legacy.add_message("1")
    follow("--account", "account-1")
    legacy.execute("DELETE FROM users")
    report = follow("--account", "account-1")
    assert list(TwitterAccount.objects.values_list("pk", flat=True)) == ["account-1"]
    (conflict,) = report["conflict_list"]
    assert conflict["reason"] == "deleted there, but mentions here refer to it"


def test_conflict_is_reported_when_changed_on_both_sides(legacy, follow):
    legacy.add_user()
    legacy.add_message("1")
    follow()
    Message.objects.update(status="ignored")
    legacy.execute("UPDATE messages SET status = 'replied'")
    report = follow()
    assert report["conflict_list"] == [
        {
            "table": "messages",
            "id": "1",
            "reason": "changed both there and here since the last import",
            "values": {"status": {"legacy": "replied", "here": "ignored"}},
        }
    ]
    assert Message.objects.get().status == "ignored"
    # It stays reported until it is settled.
    assert follow()["conflicts"] == 1


def test_flow_goes_when_it_was_used_there(legacy, follow):
    now = timezone.now().replace(tzinfo=None)
    legacy.add_state("live-state-1", created_at=now)
    follow()
    legacy.add_state("live-state-2", created_at=now)
    legacy.execute("DELETE FROM oauth_states WHERE state = 'live-state-1'")
    report = follow()
    hashed = hashlib.sha256(b"live-state-2").hexdigest()
    assert list(OAuthState.objects.values_list("pk", flat=True)) == [hashed]
    kept = json.dumps(list(connection.get_collection(POSITIONS).find()), default=str)
    assert "live-state" not in kept + json.dumps(report)


def test_documents_go_when_the_table_was_truncated(legacy, follow):
    legacy.add_user()
    legacy.add_messages(30)
    legacy.add_message("bad", timestamp="0000-00-00 00:00:00")
    assert follow()["exit_code"] == 2
    legacy.execute("TRUNCATE TABLE messages")
    legacy.add_message("new")
    report = follow()
    assert (report["counts"]["messages"]["deleted"], report["exit_code"]) == (30, 0)
    assert not ImportReject.objects.exists()
    assert compare(legacy) == []


def test_rows_are_read_as_a_whole_when_the_log_has_statements(legacy, follow):
    legacy.add_user()
    legacy.add_messages(30)
    follow()
    legacy.execute("SET SESSION binlog_format = 'STATEMENT'")
    legacy.execute("UPDATE messages SET status = 'replied'")
    legacy.execute("DELETE FROM messages WHERE id LIKE '%7'")
    assert follow()["exit_code"] == 0
    assert compare(legacy) == []


def test_following_goes_on_when_a_column_was_added(legacy, follow):
    legacy.add_user()
    legacy.add_messages(5)
    follow()
    legacy.execute("ALTER TABLE messages ADD COLUMN extra INT FIRST")
    legacy.execute("UPDATE messages SET status = 'replied'")
    assert follow()["exit_code"] == 0
    assert compare(legacy) == []


def test_following_stops_with_a_sentence_when_a_table_is_gone(legacy, follow):
    legacy.add_user()
    follow()
    legacy.execute("RENAME TABLE messages TO messages_old")
    with pytest.raises(CommandError, match="lacks what the import needs: table messages"):
        follow()
    legacy.execute("RENAME TABLE messages_old TO messages")
    legacy.add_message("1")
    assert follow()["exit_code"] == 0
    assert compare(legacy) == []


def test_everything_is_read_again_when_started_over(legacy, follow):
    legacy.add_user()
    legacy.add_messages(10)
    follow()
    legacy.execute("SET SESSION sql_log_bin = 0")
    legacy.execute("DELETE FROM messages WHERE id LIKE '%5'")
    legacy.execute("UPDATE messages SET status = 'replied' WHERE id LIKE '%4'")
    legacy.execute("SET SESSION sql_log_bin = 1")
    follow()
    assert len(compare(legacy)) == 2
    follow("--start-over")
    assert compare(legacy) == []


def test_sentence_names_the_command_when_the_position_is_lost(legacy, follow):
    legacy.add_user()
    follow()
    connection.get_collection(POSITIONS).update_one({}, {"$set": {"file": "gone-bin.000001"}})
    with pytest.raises(CommandError, match="migrate_from_mysql --follow --start-over"):
        follow()
    assert follow("--start-over")["exit_code"] == 0


def test_following_ends_when_the_marker_was_met_even_after_a_restart(
    legacy, transactional_db, capsys
):
    legacy.add_user()
    legacy.add_message("1")
    legacy.execute("CREATE TABLE elsewhere (id INT)")
    arguments = ("migrate_from_mysql", "--follow", "--source", legacy.url, "--marker", "cut_over")
    writer = threading.Timer(1.5, lambda: _write_and_mark(legacy))
    writer.start()
    call_command(*arguments)
    writer.join()
    assert compare(legacy) == []
    printed = capsys.readouterr()
    assert "Downtime so far" in printed.out
    assert "marker cut_over" in printed.out
    assert "behind" in printed.err
    call_command(*arguments)


def _write_and_mark(legacy):
    legacy.add_message("2")
    legacy.execute("CREATE TABLE cut_over (id INT)")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--until-drained"], "--until-drained belongs to --follow"),
        (["--marker", "x"], "--marker belongs to --follow"),
        (["--follow", "--delta"], "leave --delta away"),
        (["--follow", "--dry-run"], "rehearse with --dry-run alone"),
        (["--rollback", "RUN", "--account", "1"], "--account means nothing with --rollback"),
        (["--verify-only", "--dry-run"], "--dry-run means nothing with --verify-only"),
        (["--check-seal", "RUN", "--workers", "0"], "--workers means nothing with --check-seal"),
        (["--dry-run", "--sample", "5"], "--sample is about the comparison, which a rehearsal"),
        (["--follow", "--html", "x"], "--html is about the comparison, which --follow makes only"),
        (["--ambiguous-file", "x"], "--ambiguous-file belongs to --attribute-by"),
        (["--max-rejects", "-1"], "must be a whole number from 0 to"),
        (["--workers", "many"], "must be a whole number from 0 to 8, not 'many'"),
    ],
)
def test_options_are_refused_when_they_mean_nothing_together(arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command("migrate_from_mysql", *arguments)


@pytest.mark.parametrize("option", ["--report", "--html", "--differences-file", "--rejects-file"])
@pytest.mark.parametrize(("path", "why"), [("no/such/folder", "No such file"), ("", "director")])
def test_nothing_is_begun_when_a_file_cannot_be_written(tmp_path, option, path, why):
    with pytest.raises(CommandError, match=f"{option}.* cannot be written: .*{why}"):
        call_command("migrate_from_mysql", option, str(tmp_path / path))


def test_nothing_is_begun_when_two_options_name_one_file(tmp_path):
    path = str(tmp_path / "out")
    with pytest.raises(CommandError, match="--report and --html name the same file"):
        call_command("migrate_from_mysql", "--report", path, "--html", path)
    assert list(tmp_path.iterdir()) == []
