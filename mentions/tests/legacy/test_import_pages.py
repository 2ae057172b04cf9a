"""The import's pages in the admin, after a real import with everything that can be left open."""

import io
import json

import pytest
from django.contrib.admin.utils import quote
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.tests.cast import create_person
from mentions.api.changes import delete_message
from mentions.models import ImportConflict, ImportPosition, ImportReject, ImportRun, Message
from mentions.tests.legacy.database import ACCESS_TOKEN, REFRESH_TOKEN
from mentions.tests.legacy.exporting import add_new

PAGES = ("importrun", "importreject", "importconflict", "importposition")
STATE = "state-of-a-live-flow"
SECRETS = (ACCESS_TOKEN, REFRESH_TOKEN, "the-code-verifier", STATE)


@pytest.fixture
def imported(legacy, transactional_db):
    """A following that left a reject with a script in it, a token's reject, and a conflict."""
    legacy.execute("ALTER TABLE users MODIFY token_expires_at DATETIME NULL")
    legacy.execute("ALTER TABLE oauth_states MODIFY created_at DATETIME NULL")
    legacy.add_user()
    legacy.add_user("account-2", twitter_id="1002", token_expires_at=None)
    legacy.add_message("1")
    legacy.add_message("2", text="<script>alert(1)</script>", timestamp="0000-00-00 00:00:00")
    legacy.add_state(STATE, created_at=None, code_verifier="the-code-verifier")
    legacy.execute("SET GLOBAL read_only = 1")
    arguments = ["migrate_from_mysql", "--follow", "--until-drained", "--account", "account-1"]
    try:
        for change in (None, "UPDATE messages SET status = 'replied' WHERE id = '1'"):
            if change:
                Message.objects.filter(pk="1").update(status="ignored")
                legacy.execute(change)
            with pytest.raises(CommandError):
                call_command(*arguments, "--quiet", "--source", legacy.url)
    finally:
        legacy.execute("SET GLOBAL read_only = 0")
    return ImportRun.objects.get(report__kind="follow")


@pytest.fixture
def browser(transactional_db):
    client = Client()
    client.force_login(create_person("root", is_superuser=True))
    return client


def open_page(client, path):
    answer = client.get(f"/admin/mentions/{path}")
    assert answer.status_code == 200, (path, answer.status_code)
    page = answer.content.decode()
    for secret in SECRETS:
        assert secret not in page, path
    return page


def test_every_list_and_detail_opens_without_secrets_when_much_is_left_open(imported, browser):
    counts = [model.objects.count() for model in (ImportReject, ImportConflict, ImportPosition)]
    assert counts == [3, 1, 1]
    for name, model in zip(
        PAGES, (ImportRun, ImportReject, ImportConflict, ImportPosition), strict=True
    ):
        listed = open_page(browser, f"{name}/")
        assert f"/admin/mentions/{name}/add/" not in listed
        for found in model.objects.all():
            link = f"{quote(found.pk)}/change/"
            assert f'"/admin/mentions/{name}/{link}' in listed
            page = open_page(browser, f"{name}/{link}")
            assert 'name="_save"' not in page
    menu = open_page(browser, "importrun/")
    for name in PAGES:
        assert f"/admin/mentions/{name}/" in menu


def test_runs_show_verdict_seal_and_report_when_opened_and_filtered(imported, browser):
    listed = open_page(browser, "importrun/")
    assert "incomplete" in listed
    assert "intact" in listed
    page = open_page(browser, f"importrun/{imported.pk}/change/")
    assert "Not proven" in page or "Proven" in page
    assert f"importrun/{imported.pk}/report.html" in page
    assert "<script>alert" not in page

    answer = browser.get(f"/admin/mentions/importrun/{imported.pk}/report.json")
    report = json.loads(answer.content)
    assert report["is_drained"]
    assert answer["Content-Disposition"].endswith('.json"')
    html = browser.get(f"/admin/mentions/importrun/{imported.pk}/report.html").content.decode()
    for secret in SECRETS:
        assert secret not in html + json.dumps(report)
    assert browser.get(f"/admin/mentions/importrun/{imported.pk}/report.exe").status_code == 404

    ImportRun.objects.create(state="failed", source="elsewhere/old")
    assert "elsewhere/old" in open_page(browser, "importrun/")
    assert "elsewhere/old" not in open_page(browser, "importrun/?state=incomplete")
    assert "elsewhere/old" in open_page(browser, "importrun/?state=failed")

    report = {**imported.report, "row_count": 0, "is_complete": True}
    ImportRun.objects.filter(pk=imported.pk).update(report=report)
    assert "broken" in open_page(browser, "importrun/")


def test_rejects_tell_what_to_do_when_opened_filtered_or_searched(imported, browser):
    page = open_page(browser, f"importreject/{quote('messages:2')}/change/")
    assert "Set a real date in MySQL" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page
    messages = open_page(browser, "importreject/?table=messages")
    assert "zero date" in messages
    assert "token_expires_at is NULL" not in messages
    found = open_page(browser, "importreject/?q=account-2")
    assert "token_expires_at is NULL" in found
    assert "zero date" not in found


def test_conflict_and_position_are_shown_when_the_log_was_followed(imported, browser):
    conflicts = open_page(browser, "importconflict/?table=messages")
    assert "changed both there and here since the last import" in conflicts
    conflict = ImportConflict.objects.get(table="messages")
    detail = open_page(browser, f"importconflict/{quote(conflict.pk)}/change/")
    for name, found in conflict.differing.items():
        assert f"<b>{name}</b>: {found['legacy']} there, {found['here']} here" in detail
    assert conflict.differing
    position = ImportPosition.objects.get()
    page = open_page(browser, "importposition/")
    assert f"{position.file}:{position.offset}" in page
    assert position.phase == "following"


def test_pages_are_refused_when_the_person_is_no_superuser(acme, ana):
    run = ImportRun.objects.create(state="done")
    client = Client()
    for name in PAGES:
        client.logout()
        assert client.get(f"/admin/mentions/{name}/").status_code == 302
        # She manages an account, and may see its mentions; imports hold everybody's.
        client.force_login(ana)
        assert client.get(f"/admin/mentions/{name}/").status_code == 403
    assert client.get(f"/admin/mentions/importrun/{run.pk}/report.json").status_code == 403


def test_nothing_is_changed_when_posted(browser):
    reject = ImportReject.objects.create(id="messages:1", table="messages", run_id="run")
    for name in PAGES:
        assert browser.post(f"/admin/mentions/{name}/add/", {"run_id": "x"}).status_code == 403
    path = f"/admin/mentions/importreject/{quote(reject.pk)}"
    assert browser.post(f"{path}/change/", {"run_id": "x"}).status_code == 403
    assert browser.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    reject.refresh_from_db()
    assert reject.run_id == "run"


def test_export_tells_on_its_page_what_went_back_and_what_did_not(legacy, run_import, browser):
    legacy.add_user()
    for key in ("1", "2"):
        legacy.add_message(key)
    run_import("--quiet")
    TwitterAccount.objects.update(fenced_since=None)
    Message.objects.filter(pk="1").update(status="ignored", version=2)
    add_new("9", text="<b>x</b>" * 10_000)
    delete_message("2", actor="ana", now=timezone.now())

    with pytest.raises(CommandError, match="could not go back"):
        call_command(
            "migrate_from_mysql", "--export-to-mysql", "--source", legacy.url, stdout=io.StringIO()
        )

    run = ImportRun.objects.first()
    assert run.state == "exported_in_part"
    assert "1 rows written back to MySQL, some rows could not be" in open_page(
        browser, "importrun/"
    )
    page = open_page(browser, f"importrun/{run.pk}/change/")
    for told in (
        "What went back to MySQL",
        "1 accounts are fenced",
        "Data too long",
        "Deleted here, and still in MySQL (1)",
    ):
        assert told in page
