"""The whole import, from a real MariaDB into a real MongoDB."""

from datetime import UTC, datetime

from django.conf import settings

from accounts.models import TwitterAccount
from autores.crypto import cipher_for
from mentions.models import ImportRun, Message
from mentions.tests.legacy.database import ACCESS_TOKEN, REFRESH_TOKEN


def test_rows_arrive_with_every_value_when_imported(legacy, run_import):
    legacy.add_user()
    legacy.add_message(
        "1790000000000000001",
        text="Grüße 👩‍🚀🏳️‍🌈",
        status="replied",
        public_response="Danke 🙏",
        credits_used=3,
        redirected=1,
    )
    report = run_import()
    assert report["exit_code"] == 0
    assert report["tables"]["messages"]["created"] == 1
    message = Message.objects.get(pk="1790000000000000001")
    assert message.text == "Grüße 👩‍🚀🏳️‍🌈"
    assert message.public_response == "Danke 🙏"
    assert message.account_id == "account-1"
    assert message.timestamp == datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert (message.kind, message.version, message.post_id) == ("legacy", 1, message.pk)
    account = TwitterAccount.objects.get(pk="account-1")
    cipher = cipher_for(tuple(settings.TOKEN_ENCRYPTION_KEYS))
    assert cipher.decrypt(account.access_token) == ACCESS_TOKEN
    assert cipher.decrypt(account.refresh_token) == REFRESH_TOKEN
    assert ImportRun.objects.get().state == "done"
