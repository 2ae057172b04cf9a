"""What the tests of going back share: an export, a mention made here, a row of MySQL."""

from datetime import UTC, datetime

from mentions.legacy.address import parse_source_url
from mentions.legacy.export import export_to_mysql
from mentions.models import Message

NEW = "1790000000000000777"


def export(legacy, **options):
    report = export_to_mysql(parse_source_url(legacy.url), **options)
    return report, {table.table: table for table in report.tables}


def add_new(key=NEW, **values):
    return Message.objects.create(
        **{
            "id": key,
            "account_id": "account-1",
            "post_id": key,
            "timestamp": datetime(2026, 11, 1, 10, 0, 0, tzinfo=UTC),
            "user": "77",
            "text": "Grüße 👩‍🚀 aus Köln",
            "status": "replied",
            "public_response": "Danke 🙏",
            "credits_used": 3,
            "redirected": True,
            "created_at": datetime(2026, 11, 1, 10, 0, 1, 234000, tzinfo=UTC),
            "updated_at": None,
            **values,
        }
    )


def row_of(legacy, key):
    return legacy.execute(
        "SELECT `timestamp`, `user`, `text`, status, public_response, dm_response, credits_used, "
        "redirected, created_at, updated_at FROM messages WHERE id = %s",
        key,
    )[0]
