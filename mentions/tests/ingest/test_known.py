"""Which posts of a page are stored, or not to be: the same whichever way it is looked up."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.db import connection, connections
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.mongo.plans import recorded_plans
from autores.mongo.restore import restore_indexes
from autores.mongo.transactions import run_in_transaction
from autores.tests.mongo.proxy import connected_through
from autores.tests.threads import run_together, wait_until
from autores.tests.x.bodies import page_body, post_body
from autores.x.parse import parse_post_page
from autores.x.posts import Post
from autores.x.types import RateLimits
from mentions.api.changes import delete_message
from mentions.ingest.finding import Finding
from mentions.ingest.known import find_known
from mentions.ingest.pages import store_page
from mentions.ingest.store import Stored
from mentions.models import FoundBy, Message, Tombstone, tombstone_key

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = 1853000000000000100
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def make_post(number: int, *versions: int, **changes: Any) -> dict[str, Any]:
    """The post of that number; ``versions``: the numbers of its older ones, the first first."""
    ids = [str(FIRST + each) for each in (*versions, number)]
    return post_body(**{"id": ids[-1], "edit_history_post_ids": ids, **changes})


def store(
    account: TwitterAccount, posts: Iterable[dict[str, Any]], *, newest_known: int | None
) -> Stored:
    page = parse_post_page(page_body(data=[*posts]), rate=RateLimits())
    finding = Finding(FoundBy.POLL, newest_known=newest_known)
    return store_page(account, page, finding=finding, now=timezone.now())


def newest_of(posts: Iterable[dict[str, Any]]) -> dict[str, Post]:
    page = parse_post_page(page_body(data=[*posts]), rate=RateLimits())
    return {(post.edit_history_ids or (post.id,))[0]: post for post in page.posts}


def bury(account: TwitterAccount, number: int) -> None:
    post_id = str(FIRST + number)
    key = tombstone_key(account_id=account.pk, post_id=post_id)
    Tombstone.objects.create(pk=key, message_id=post_id, deleted_by="ana")


@pytest.fixture
def page(acme: TwitterAccount, other: TwitterAccount) -> list[dict[str, Any]]:
    """Posts 0 to 11: some stored, some deleted, some of another account, one without any."""
    store(acme, [make_post(number) for number in (0, 3, 5)], newest_known=None)
    store(other, [make_post(number) for number in (1, 3, 6)], newest_known=None)
    # The former system kept the second version; another account's tombstone is nothing to us.
    store(acme, [make_post(8)], newest_known=None)
    for number in (2, 10):
        bury(acme, number)
    bury(other, 4)
    orphan = Message.objects.get(pk=str(FIRST + 0))
    orphan.pk, orphan.post_id, orphan.account_id = str(FIRST + 13), str(FIRST + 13), None
    orphan.save(force_insert=True)
    return [
        *(make_post(number) for number in range(7)),
        make_post(8, 7),
        make_post(10, 9),
        make_post(11),
        make_post(13, 12),
    ]


@pytest.fixture
def other(ana: User) -> TwitterAccount:
    return TwitterAccount.objects.create(twitter_id="5005", twitter_username="other")


STORED = {0: 0, 3: 3, 5: 5, 7: 8}
PASSED = {2, 9, 12}


@pytest.mark.parametrize("newest_known", [None, 0, FIRST - 1, FIRST + 5, FIRST + 13, FIRST + 99])
def test_what_is_known_is_told_whatever_was_thought_to_be_new(
    acme: TwitterAccount, page: list[dict[str, Any]], newest_known: int | None
) -> None:
    stored, passed = find_known(acme, newest_of(page), newest_known=newest_known)
    assert stored == {str(FIRST + id_): str(FIRST + held) for id_, held in STORED.items()}
    assert passed == {str(FIRST + number) for number in PASSED}
    result = store(acme, page, newest_known=newest_known)
    # Those of the other account get a name of their own.
    new = {number: str(FIRST + number) for number in (1, 4, 6, 11)}
    expected = {new[4], new[11], f"{new[1]}:{acme.twitter_id}", f"{new[6]}:{acme.twitter_id}"}
    assert set(result.new_ids) == expected
    assert store(acme, page, newest_known=newest_known).new_ids == ()


def test_ids_of_several_lengths_are_told_apart(acme: TwitterAccount) -> None:
    posts = [post_body(id=id_, edit_history_post_ids=[id_]) for id_ in ("998", "999", "1000")]
    store(acme, [posts[1]], newest_known=0)
    bury_key = tombstone_key(account_id=acme.pk, post_id="1000")
    Tombstone.objects.create(pk=bury_key, message_id="1000", deleted_by="ana")
    assert store(acme, posts, newest_known=0).new_ids == ("998",)


@pytest.mark.parametrize("newest_known", [None, 0])
@pytest.mark.parametrize("is_newest_first", [True, False])
def test_a_version_that_is_shown_as_a_post_of_its_own_stays_deleted(
    acme: TwitterAccount, ana: User, newest_known: int | None, is_newest_first: bool
) -> None:
    edited = make_post(3, 1, 2)
    store(acme, [edited], newest_known=newest_known)
    delete_message(str(FIRST + 1), actor=ana.pk, now=NOW)
    page = sorted([edited, make_post(2)], key=lambda post: post["id"], reverse=is_newest_first)
    assert store(acme, page, newest_known=newest_known) == Stored((), 1)
    assert not Message.objects.exists()


@pytest.mark.parametrize("newest_known", [None, 0])
@pytest.mark.parametrize("is_newest_first", [True, False])
def test_a_version_that_is_shown_as_a_post_of_its_own_is_the_same_mention(
    acme: TwitterAccount, newest_known: int | None, is_newest_first: bool
) -> None:
    # The former system kept the second version.
    store(acme, [make_post(2, text="the second")], newest_known=newest_known)
    edited = make_post(4, 1, 2, 3, text="the fourth")
    others = [make_post(2, text="the second"), make_post(3, 2, text="the third")]
    page = sorted([edited, *others], key=lambda post: post["id"], reverse=is_newest_first)
    assert store(acme, page, newest_known=newest_known) == Stored((), 1)
    message = Message.objects.get()
    assert (message.pk, message.text) == (str(FIRST + 2), "the fourth")
    assert message.latest_post_id == str(FIRST + 4)
    # Nobody has another one yet.
    later = [make_post(13), make_post(13, 12), make_post(14, 11, 12), make_post(12)]
    for posts in (later, later[::-1], later[1:] + later[:1]):
        stored = store(acme, posts, newest_known=newest_known)
        assert set(Message.objects.values_list("pk", flat=True)) == {
            str(FIRST + 2),
            str(FIRST + 11),
        }
        assert len(stored.new_ids) + stored.known == 1


def test_the_same_is_known_within_a_transaction(
    acme: TwitterAccount, page: list[dict[str, Any]]
) -> None:
    newest = newest_of(page)
    alone = find_known(acme, newest, newest_known=0)
    assert run_in_transaction(lambda: find_known(acme, newest, newest_known=0)) == alone


@pytest.mark.parametrize("levels", [190, 300])
def test_new_mentions_are_told_when_a_page_is_large_and_one_of_it_too_deep(
    acme: TwitterAccount, levels: int
) -> None:
    deep = orjson.loads(b'{"a":' * levels + b"7" + b"}" * levels)
    posts = [make_post(number, padding="x" * 9_000_000) for number in range(2)]
    stored = store(acme, [*posts, make_post(2, odd=deep)], newest_known=0)
    assert stored == Stored(tuple(str(FIRST + number) for number in range(3)), 0)
    assert Message.objects.count() == 3


def test_a_page_with_new_ones_is_one_read_by_the_unique_index(acme: TwitterAccount) -> None:
    store(acme, [make_post(number) for number in range(60)], newest_known=None)
    newest = newest_of(make_post(number) for number in range(100, 130))
    with recorded_plans() as plans:
        find_known(acme, newest, newest_known=FIRST + 60)
    assert all(plan.is_index_scan for plan in plans)
    assert "message_account_post_unq" in {name for plan in plans for name in plan.indexes}
    assert sum(plan.docs_examined for plan in plans) == 0


def test_pages_are_stored_while_an_import_has_left_the_indexes_out(acme: TwitterAccount) -> None:
    messages = connection.get_collection(Message._meta.db_table)
    store(acme, [make_post(0)], newest_known=0)
    messages.drop_indexes()
    try:
        assert store(acme, [make_post(0), make_post(1)], newest_known=0) == Stored(
            (str(FIRST + 1),), 1
        )
    finally:
        restore_indexes(Message)


def test_new_mentions_are_told_though_the_answer_was_lost(acme: TwitterAccount) -> None:
    known = store(acme, [make_post(0)], newest_known=None).new_ids
    with connected_through(b"\x02insert\0") as proxy:
        for is_cut_before, numbers in ((False, (0, 1, 2)), (True, (0, 3, 4))):
            proxy.is_cut_before, proxy.cuts_left = is_cut_before, 1
            # What is known is said to be new, so that it meets its row.
            stored = store(acme, [make_post(number) for number in numbers], newest_known=0)
            assert proxy.cuts_left == 0
            assert stored == Stored(tuple(str(FIRST + number) for number in numbers[1:]), 1)
    assert Message.objects.count() == len(known) + 4


def test_nothing_deleted_comes_back_when_the_answer_was_lost_before(
    acme: TwitterAccount, ana: User
) -> None:
    def delete() -> None:
        try:
            delete_message(str(FIRST + 1), actor=ana.pk, now=NOW)
        finally:
            connections.close_all()

    posts = [make_post(number) for number in range(3)]
    with connected_through(b"\x02insert\0") as proxy:
        proxy.on_cut, proxy.cuts_left = delete, 1
        stored = store(acme, posts, newest_known=0)
        assert proxy.cuts_left == 0
    assert stored == Stored((str(FIRST), str(FIRST + 2)), 1)
    assert store(acme, posts, newest_known=0) == Stored((), 3)
    assert set(Message.objects.values_list("pk", flat=True)) == {str(FIRST), str(FIRST + 2)}


def test_nothing_deleted_comes_back_when_polls_and_a_person_race(
    acme: TwitterAccount, ana: User
) -> None:
    """Two polls that think all to be new, again and again, until a person has deleted it all."""
    posts = [make_post(number) for number in range(40)]

    def poll() -> None:
        wait_until(
            lambda: store(acme, posts, newest_known=0) and Tombstone.objects.count() == len(posts)
        )

    def delete() -> None:
        wait_until(lambda: Message.objects.count() == len(posts))
        for post in posts:
            delete_message(post["id"], actor=ana.pk, now=NOW)

    run_together(poll, poll, delete)
    assert not Message.objects.exists()
