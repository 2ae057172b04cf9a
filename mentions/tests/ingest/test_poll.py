"""Polling: to the end, once, and the cursor only afterwards."""

import threading
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from accounts.models import AccountStatus, TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import add_account
from autores.tests.scripted_server import serve_script
from autores.tests.x.bodies import page_body, post_body
from autores.x.errors import RateLimitedError, XError
from mentions.ingest.poll import poll_account
from mentions.ingest.sweep import sweep_account
from mentions.models import Cursor, Message, Tombstone
from mentions.models.tombstone import tombstone_key

pytestmark = pytest.mark.django_db(transaction=True)


def poll(account: TwitterAccount):
    return poll_account(account, now=timezone.now())


@pytest.fixture
def baselined(acme: TwitterAccount) -> TwitterAccount:
    """@acme after its first poll, when nothing had been posted yet."""
    poll(acme)
    return acme


def test_takes_over_one_small_page_when_the_account_is_new(
    acme: TwitterAccount, sandbox: RunningSandbox, settings: LazySettings
) -> None:
    settings.X_BASELINE_COUNT = 10
    sandbox.control.create_mentions(account="acme", count=60)
    result = poll(acme)
    assert (result.is_baseline, result.new) == (True, 10)
    assert poll(acme).new == 0


def test_stores_every_page_when_more_came_than_one_page_holds(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    posts = sandbox.control.create_mentions(account="acme", count=250)
    result = poll(baselined)
    assert result.new == 250
    assert set(Message.objects.values_list("pk", flat=True)) == {post["id"] for post in posts}
    assert Cursor.objects.get(pk=baselined.pk).newest_post_id == posts[-1]["id"]


def test_stores_what_the_team_needs_when_a_mention_arrives(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    post = sandbox.control.create_mention(
        account="acme", author="dora", text="@acme wo bleibt mein Paket? 📦"
    )
    poll(baselined)
    message = Message.objects.get(pk=post["id"])
    assert message.text == "@acme wo bleibt mein Paket? 📦"
    assert (message.account_id, message.post_id) == (baselined.pk, post["id"])
    assert (message.author_username, message.status, message.kind) == ("dora", "pending", "direct")
    assert message.is_replyable
    assert message.raw["id"] == post["id"]
    assert abs(message.timestamp - timezone.now()) < timedelta(minutes=1)


def test_reads_as_it_was_typed_when_x_escapes_it(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mention(account="acme", author="dora", text="@acme 1 < 2 && <b>?")
    poll(baselined)
    message = Message.objects.get()
    assert message.text == "@acme 1 < 2 && <b>?"
    assert "&lt;" in message.raw["text"], "the raw post stays as X gave it"


def test_changes_nothing_when_polled_again(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=30)
    poll(baselined)
    before = list(Message.objects.values("pk", "version", "updated_at"))
    Cursor.objects.filter(pk=baselined.pk).update(newest_post_id="1")
    assert poll(baselined).new == 0
    assert list(Message.objects.values("pk", "version", "updated_at")) == before


def test_leaves_the_cursor_and_repairs_itself_when_a_later_page_fails(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    before = Cursor.objects.get(pk=baselined.pk).newest_post_id
    sandbox.control.create_mentions(account="acme", count=250)
    sandbox.control.add_fault("mentions", "server_error", after=1, times=1)
    with pytest.raises(XError):
        poll(baselined)
    assert Message.objects.count() == 100
    assert Cursor.objects.get(pk=baselined.pk).newest_post_id == before
    assert poll(baselined).new == 150
    assert Message.objects.count() == 250


def test_two_pollers_at_once_store_each_mention_once(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=200)
    barrier = threading.Barrier(2)
    results = []

    def work() -> None:
        barrier.wait()
        try:
            results.append(poll(TwitterAccount.objects.get(pk=baselined.pk)).new)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results) == 200
    assert Message.objects.count() == 200


def test_each_account_gets_its_own_item_when_one_post_mentions_two(
    baselined: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    globex = add_account(sandbox, "globex", by=ana)
    poll(globex)
    post = sandbox.control.create_mention(
        account="acme", author="dora", text="@acme @globex who of you is it?"
    )
    assert (poll(baselined).new, poll(globex).new) == (1, 1)
    ids = set(Message.objects.values_list("pk", "account_id"))
    assert ids == {
        (post["id"], baselined.pk),
        (f"{post['id']}:{globex.twitter_id}", globex.pk),
    }
    assert (poll(baselined).new, poll(globex).new) == (0, 0)


def test_stays_one_message_when_the_former_system_left_it_without_an_account(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    post = sandbox.control.create_mention(account="acme", author="dora")
    Message.objects.create(pk=post["id"], post_id=post["id"], timestamp=timezone.now(), user="1")
    new = sandbox.control.create_mention(account="acme", author="emil")
    assert poll(baselined).new_message_ids == (new["id"],)
    assert poll(baselined).new == 0
    assert set(Message.objects.values_list("pk", flat=True)) == {post["id"], new["id"]}


def test_own_posts_are_no_work_when_they_carry_the_own_handle(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mention(account="acme", author="acme", text="We are @acme!")
    assert poll(baselined).new == 0
    assert not Message.objects.exists()


def test_reposts_stay_out_of_the_queue(baselined: TwitterAccount, sandbox: RunningSandbox) -> None:
    sandbox.control.create_mention(account="acme", author="dora", kind="repost")
    poll(baselined)
    message = Message.objects.get()
    assert (message.kind, message.status, message.is_replyable) == ("repost", "ignored", False)


def test_stays_deleted_when_x_shows_it_again(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    post = sandbox.control.create_mention(account="acme", author="dora")
    Tombstone.objects.create(
        pk=tombstone_key(account_id=baselined.pk, post_id=post["id"]),
        message_id=post["id"],
        deleted_by="ana",
    )
    assert poll(baselined).new == 0


def test_an_edited_post_stays_one_item_when_its_new_version_arrives(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    post = sandbox.control.create_mention(account="acme", author="dora", text="@acme helo")
    poll(baselined)
    edited = sandbox.control.edit_post(post["id"], "@acme hello")
    poll(baselined)
    message = Message.objects.get()
    assert (message.pk, message.text) == (post["id"], "@acme hello")
    assert message.reply_target_id == edited["id"] != post["id"]


def test_a_sweep_finds_what_x_showed_late(
    baselined: TwitterAccount, sandbox: RunningSandbox, settings: LazySettings
) -> None:
    settings.X_POLL_OVERLAP = 1.0
    late = sandbox.control.create_mention(account="acme", author="dora", index_delay_seconds=600)
    sandbox.control.advance_clock(5)
    sandbox.control.create_mention(account="acme", author="emil")
    assert poll(baselined).new == 1
    assert poll_account(baselined, now=timezone.now() + timedelta(minutes=5)).new == 0
    sandbox.control.advance_clock(600)
    assert poll(baselined).new == 0
    result = sweep_account(baselined, now=timezone.now())
    assert result.new_message_ids == (late["id"],)
    assert Cursor.objects.get(pk=baselined.pk).late_count == 1


def test_says_so_when_more_passed_than_x_still_shows(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=900)
    result = poll(baselined)
    assert (result.seen, result.has_gap) == (800, True)
    assert Cursor.objects.get(pk=baselined.pk).possible_gap_at is not None


def test_says_so_when_x_withheld_some_of_the_last_posts_that_it_shows(
    baselined: TwitterAccount, settings: LazySettings
) -> None:
    top = int(Cursor.objects.get(pk=baselined.pk).newest_post_id) + 10**15
    with serve_script() as x:
        settings.X_API_BASE_URL = x.url
        for page in range(8):
            # Of a hundred posts one is withheld, and the end of X's reach is called the end.
            ids = [str(top - 10**9 * (100 * page + number)) for number in range(99)]
            posts = [post_body(id=id_, edit_history_post_ids=[id_]) for id_ in ids]
            meta = {"result_count": 99} | ({"next_token": f"t{page}"} if page < 7 else {})
            x.answer(page_body(data=posts, meta=meta))
        result = poll(baselined)
        assert [len(x.received), len(x.steps)] == [8, 0]
    assert (result.seen, result.has_gap) == (792, True)


def test_one_accounts_limit_leaves_the_other_alone(
    baselined: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    globex = add_account(sandbox, "globex", by=ana)
    poll(globex)
    sandbox.control.create_mention(account="acme", author="dora")
    sandbox.control.create_mention(account="globex", author="dora")
    sandbox.control.add_fault("mentions", "rate_limit_window", account_id=baselined.twitter_id)
    with pytest.raises(RateLimitedError) as caught:
        poll(baselined)
    assert caught.value.retry_after > 0
    assert poll(globex).new == 1
    baselined.refresh_from_db()
    assert baselined.status == AccountStatus.RATE_LIMITED
    assert baselined.blocked_until > timezone.now()


def test_our_own_budget_ends_a_poll_before_x_does(
    baselined: TwitterAccount, sandbox: RunningSandbox, settings: LazySettings
) -> None:
    settings.TWITTER_MENTIONS_RATE_LIMIT = 3
    sandbox.control.create_mentions(account="acme", count=250)
    with pytest.raises(RateLimitedError) as caught:
        poll(baselined)
    assert caught.value.code == "local_budget"
    assert len(sandbox.control.list_calls(route="mentions")) == 3
