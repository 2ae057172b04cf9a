"""The hot reads find and order by an index: nothing is sorted in memory, little more is read."""

import pytest

from accounts.models import TwitterAccount
from autores.mongo.plans import assert_index_scan, plan_of
from autores.mongo.reads import build_find
from mentions.api.queries import MessageQuery, build_count
from mentions.models import Message
from mentions.tests.api.conftest import build_message


@pytest.fixture
def accounts(db: None) -> list[str]:
    """Three accounts with 60 messages each, in three states."""
    accounts = [TwitterAccount.objects.create(twitter_id=str(index)) for index in range(3)]
    Message.objects.bulk_create(
        build_message(
            account,
            index * 1000 + number,
            status=("pending", "replied", "ignored")[number % 3],
        )
        for index, account in enumerate(accounts)
        for number in range(60)
    )
    return [account.pk for account in accounts]


@pytest.mark.parametrize(
    ("account_count", "status", "index"),
    [
        (None, "", "message_time_idx"),
        (None, "pending", "message_status_idx"),
        (1, "", "message_account_idx"),
        (1, "pending", "message_acct_status_idx"),
        (3, "", "message_account_idx"),
        (3, "pending", "message_acct_status_idx"),
    ],
)
def test_index_finds_and_orders_when_a_page_is_listed(
    accounts: list[str], account_count: int | None, status: str, index: str
) -> None:
    ids = None if account_count is None else accounts[:account_count]
    page = MessageQuery(account_ids=ids, status=status).build_page(skip=0, limit=10)
    plan = assert_index_scan(build_find(Message, **page), index=index, docs_at_most=13)
    assert plan.returned == 10


def test_key_finds_when_one_message_is_read(accounts: list[str]) -> None:
    one = build_find(Message, filter={"_id": "1900000000000000001"}, limit=1)
    assert_index_scan(one, docs_at_most=1)


@pytest.mark.parametrize("is_everything", [True, False])
def test_no_document_is_read_when_messages_are_counted(
    accounts: list[str], is_everything: bool
) -> None:
    plan = plan_of(build_count(None if is_everything else accounts[:2]))
    assert plan.is_index_scan, plan
    assert plan.docs_examined == 0, plan
