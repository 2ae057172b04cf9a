"""What runs all day runs on an index, in its order: shown by MongoDB's own explain."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.mongo.plans import Plan, recorded_plans
from autores.sandbox.server import RunningSandbox
from mentions.drafting.queue import draft_wanted, find_wanted
from mentions.ingest.poll import poll_account
from mentions.ingest.sweep import find_search_due, search_account, sweep_account
from mentions.models import Draft, Message, Reply, find_ids_of_posts
from mentions.outbox.deliver import deliver_reply, recover_abandoned
from mentions.outbox.dispatch import find_due, find_unknown
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.preflight import check_reply
from mentions.outbox.reconcile import reconcile_reply
from mentions.recheck.check import check_account
from mentions.recheck.redact import resume_redactions
from mentions.review import approve_draft, write_draft

pytestmark = pytest.mark.django_db(transaction=True)

# Small by design: one row per connected account, read whole by the tasks that fan out.
SMALL = {"users", "mentions_cursor", "accounts_apppause", "django_content_type", "auth_permission"}


@pytest.fixture
def mentions(acme: TwitterAccount, sandbox: RunningSandbox) -> list[Message]:
    """Enough rows of several states for the planner to have a choice."""
    poll_account(acme, now=timezone.now())
    sandbox.control.create_mentions(account="acme", count=150)
    poll_account(acme, now=timezone.now())
    rows = list(Message.objects.all())
    for number, status in enumerate(["replied", "ignored", "error"]):
        ids = [row.pk for row in rows[number * 30 : number * 30 + 30]]
        Message.objects.filter(pk__in=ids).update(status=status)
    return list(Message.objects.filter(status="pending"))


def assert_all_indexed(act: Callable[[], object], *, at_least: int = 1) -> list[Plan]:
    with recorded_plans() as plans:
        act()
    assert len(plans) >= at_least, "nothing was recorded: the test looks at nothing"
    scans = [plan for plan in plans if not plan.is_index_scan and not _is_small(plan)]
    assert not scans, f"collection scans: {scans}"
    return plans


def _is_small(plan: Plan) -> bool:
    return any(name in plan.description for name in SMALL)


def test_a_poll_reads_and_writes_by_index(
    acme: TwitterAccount, mentions: list[Message], sandbox: RunningSandbox
) -> None:
    posts = sandbox.control.create_mentions(account="acme", count=20)
    assert_all_indexed(lambda: poll_account(acme, now=timezone.now()), at_least=3)
    sandbox.control.edit_post(posts[0]["id"], "@acme said otherwise")
    plans = assert_all_indexed(lambda: poll_account(acme, now=timezone.now()), at_least=4)
    (update,) = [plan for plan in plans if "'x_state': {'$nin'" in plan.description]
    assert update.docs_examined == 1
    lookups = [plan for plan in plans if "'post_id': {'$in'" in plan.description]
    assert lookups, "no plan tells which mentions are known"
    examined = sorted(plan.docs_examined for plan in lookups)
    assert examined == [*[0] * (len(lookups) - 1), 1], "all but the edited told by the index alone"


def test_the_nets_and_lookups_go_by_index(acme: TwitterAccount, mentions: list[Message]) -> None:
    later = timezone.now() + timedelta(hours=21)
    for read in (sweep_account, search_account, check_account):
        assert_all_indexed(lambda read=read: read(acme, now=later), at_least=3)
    for find in (find_search_due, resume_redactions):
        assert_all_indexed(lambda find=find: find(now=later))


def test_queues_are_read_by_index(mentions: list[Message]) -> None:
    now = timezone.now()
    for read in (find_due, find_unknown, find_wanted, recover_abandoned):
        assert_all_indexed(lambda read=read: read(now=now))
    new_ids = [message.pk for message in mentions[:20]]
    assert_all_indexed(lambda: find_wanted(now=now, among=new_ids))


def test_drafting_and_review_go_by_index(mentions: list[Message], ana: User, bruno: User) -> None:
    message = mentions[0]
    assert_all_indexed(lambda: draft_wanted(message.pk, now=timezone.now()), at_least=4)
    # The model's words are by chance, and the gate may hold them back.
    other = mentions[1]
    assert_all_indexed(
        lambda: write_draft(other, text="Hello", user=bruno, now=timezone.now()), at_least=0
    )
    draft = Draft.objects.get(message=other)
    assert_all_indexed(lambda: approve_draft(draft, user=ana, now=timezone.now()), at_least=4)


def test_sending_goes_by_index(mentions: list[Message], ana: User, sandbox: RunningSandbox) -> None:
    message = mentions[0]
    assert_all_indexed(
        lambda: check_reply(message, kind="public", text="Hi", now=timezone.now()), at_least=2
    )
    assert_all_indexed(
        lambda: enqueue_reply(
            message, kind="public", text="Hi!", requested_by=ana, now=timezone.now()
        ),
        at_least=3,
    )
    reply = Reply.objects.get()
    sandbox.control.add_fault("create_post", "reset_after")
    assert_all_indexed(lambda: deliver_reply(reply.pk, now=timezone.now()), at_least=5)
    later = timezone.now() + timedelta(minutes=1)
    assert_all_indexed(lambda: reconcile_reply(reply.pk, now=later), at_least=5)
    reply.refresh_from_db()
    assert reply.state == "sent"


def test_a_session_is_found_by_index(db: None) -> None:
    for number in range(30):
        store = SessionStore()
        store["n"] = number
        store.save()
    plans = assert_all_indexed(lambda: SessionStore(session_key=store.session_key).load())
    assert plans[0].docs_examined <= 1


def test_the_admins_queue_is_read_in_index_order(
    mentions: list[Message], bruno: User, client: Client
) -> None:
    client.force_login(bruno)
    for query in ("", "?status__exact=pending", f"?account={mentions[0].account_id}"):
        with recorded_plans() as plans:
            answer = client.get(f"/admin/mentions/message/{query}")
        assert answer.status_code == 200
        lists = [plan for plan in plans if "'messages'" in plan.description]
        assert lists, "the list was not recorded"
        for plan in lists:
            assert plan.is_index_scan, plan
            assert not plan.has_sort, plan


def test_the_items_of_posts_are_found_by_their_keys(
    acme: TwitterAccount, mentions: list[Message]
) -> None:
    post_id = mentions[0].post_id
    ours = {name: value for name, value in vars(mentions[0]).items() if not name.startswith("_")}
    other = TwitterAccount.objects.create(twitter_id="5005", twitter_username="other")
    for number, (key, post) in enumerate(
        [(f"{post_id}:5005", post_id), (f"{post_id}:note", f"{post_id}:note"), ("1-2", "1-2")]
    ):
        account_id = other.pk if number == 0 else None
        Message(**{**ours, "id": key, "post_id": post, "account_id": account_id}).save()
    # A third one, whose id begins as the first one's does.
    Message(**{**ours, "id": post_id[:-1], "post_id": post_id[:-1], "account_id": None}).save()
    found = {}
    plans = assert_all_indexed(
        lambda: found.update(find_ids_of_posts([post_id, "1-2", "unheard of", "a\0b", "*"]))
    )
    assert found == {post_id: post_id, f"{post_id}:5005": post_id, "1-2": "1-2"}
    assert sum(plan.keys_examined for plan in plans) < 12
