"""Replies that were queued before a column came that says what they answer."""

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from accounts.models import TwitterAccount
from mentions.models import Message, Reply, record_audit
from mentions.tests.outbox.conftest import make_replies


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_edited", [True, False])
def test_replies_that_wait_know_what_they_answer_when_the_column_comes(
    acme: TwitterAccount, is_edited: bool
) -> None:
    """Rows of before had no version; those whose mention was edited since must not be sent."""
    migration = import_module("mentions.migrations.0003_versions_answered")
    (reply,) = make_replies(acme, 1)
    Reply.objects.update(target_post_id="")
    Message.objects.update(latest_post_id="77")
    if is_edited:
        record_audit(
            "message.edited_on_x",
            actor="system:polling",
            object_type="message",
            object_id=reply.message_id,
            account_id=acme.pk,
            message_id=reply.message_id,
        )
    with connection.schema_editor() as editor:
        migration.fill_what_is_under_way(apps, editor)
    reply.refresh_from_db()
    message = Message.objects.get()
    assert reply.target_post_id == (message.post_id if is_edited else "77")
    assert message.is_edited_since(reply.target_post_id) == is_edited
