from datetime import UTC, datetime
from itertools import islice

from django.db import migrations, models


def mark_messages_with_replies(apps, schema_editor):
    """A missing mark means that no reply was ever queued."""
    get_collection = schema_editor.connection.get_collection
    replies = get_collection(apps.get_model("mentions", "Reply")._meta.db_table)
    found = (row["message_id"] for row in replies.find({}, {"message_id": 1}))
    while ids := list(islice(found, 1000)):
        get_collection("messages").update_many(
            {"_id": {"$in": ids}}, {"$set": {"has_replies": True}}
        )


class Migration(migrations.Migration):
    dependencies = [("mentions", "0001_initial")]

    operations = [
        # Missing is what both mean by default: no stored message has to be written.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    "message", "has_replies", models.BooleanField(null=True, editable=False)
                ),
                migrations.AddField(
                    "message",
                    "unfiled_at",
                    models.DateTimeField(null=True, blank=True, editable=False),
                ),
            ]
        ),
        migrations.AddIndex(
            "message",
            models.Index(
                fields=["unfiled_at"],
                condition=models.Q(unfiled_at__gt=datetime(1970, 1, 1, tzinfo=UTC)),
                name="message_unfiled_idx",
            ),
        ),
        migrations.RunPython(mark_messages_with_replies, migrations.RunPython.noop),
    ]
