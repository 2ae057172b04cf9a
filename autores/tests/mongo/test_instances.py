"""Instances read below the ORM are the ORM's."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.models import Model
from django.forms.models import model_to_dict

from accounts.models import AppPause, Membership, TwitterAccount
from autores.mongo.instances import find_instance, find_instances
from autores.tests.mongo.app.models import Line
from mentions.models import Cursor, Gap, Message, Reply

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def values_of(found: Model) -> dict[str, object]:
    return {field.attname: getattr(found, field.attname) for field in found._meta.concrete_fields}


@pytest.fixture
def account(db: None) -> TwitterAccount:
    return TwitterAccount.objects.create(
        id="a",
        twitter_id="7",
        scopes=["tweet.read"],
        closed_endpoints=[["create_post", MOMENT.isoformat()]],
        blocked_until=MOMENT,
        drafts_automatically=False,
    )


def test_instance_is_the_one_of_the_orm_when_read_by_one_find(account: TwitterAccount) -> None:
    Cursor.objects.create(id="a", account=account, last_poll_seen=3, complete_until=MOMENT)
    AppPause.objects.create(reason="Out of credits")
    Message.objects.create(id="1", account=account, timestamp=MOMENT, user="2", text="@acme hi")
    for model in (TwitterAccount, Cursor, AppPause, Message):
        expected = model.objects.get()
        found = find_instance(model, {"_id": expected.pk})
        assert found is not None
        assert values_of(found) == values_of(expected)
        assert model_to_dict(found) == model_to_dict(expected)
        for name, value in values_of(found).items():
            assert type(value) is type(getattr(expected, name)), name
        # Known to be stored: saved, it is updated.
        found.save()
        assert model.objects.count() == 1


def test_missing_column_is_none_when_the_document_is_older_than_the_field(
    account: TwitterAccount,
) -> None:
    connection.get_collection("users").update_one({"_id": "a"}, {"$unset": {"voice": 1}})
    found = find_instance(TwitterAccount, {"_id": "a"})
    assert found is not None
    assert found.voice is TwitterAccount.objects.get().voice is None


def test_nothing_is_found_when_no_document_fits(account: TwitterAccount) -> None:
    assert find_instance(TwitterAccount, {"_id": "b"}) is None
    assert find_instances(Gap, filter={"account_id": "a"}, limit=5) == []


def test_instances_come_in_the_asked_order_and_number(account: TwitterAccount) -> None:
    for key in ("b", "c"):
        TwitterAccount.objects.create(id=key, twitter_id=key)
    found = find_instances(TwitterAccount, filter={}, sort={"_id": -1}, limit=2)
    assert [one.pk for one in found] == ["c", "b"]


@pytest.mark.parametrize("model", [TwitterAccount, AppPause, Cursor, Gap, Membership, Reply])
def test_every_model_that_is_read_so_can_be(model: type[Model], db: None) -> None:
    assert find_instances(model, filter={"_id": "none"}, limit=1) == []


def test_other_fields_are_refused(mongo_app: None) -> None:
    with pytest.raises(TypeError, match=r"Line\.id is a ObjectIdAutoField, which cannot be read"):
        find_instance(Line, {"_id": "o"})
