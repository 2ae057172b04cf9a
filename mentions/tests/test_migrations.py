"""Migrations that take something over from the rows of before."""

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from mentions.models import ClaimedPost, is_claimed, record_audit

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_deleted_mentions_were_told_before_is_claimed_still() -> None:
    replies = [
        {"id": "row-1", "kind": "dm", "x_post_id": "55"},
        {"id": "row-2", "kind": "public", "x_post_id": ""},
    ]
    record_audit(
        "message.deleted",
        actor="ana",
        object_type="message",
        object_id="1",
        account_id="acme",
        before={"replies": replies},
    )
    migration = import_module("mentions.migrations.0014_claimed_posts")
    for _ in range(2):
        migration.claim_deleted(apps, connection.schema_editor())
    assert [(post.pk, post.reply_id) for post in ClaimedPost.objects.all()] == [
        ("acme:55", "row-1")
    ]
    assert is_claimed(account_id="acme", x_post_id="55", by_other_than="row-1")
    assert not is_claimed(account_id="other", x_post_id="55", by_other_than="row-1")
