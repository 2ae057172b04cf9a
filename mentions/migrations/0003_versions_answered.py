from django.db import migrations, models


def fill_what_is_under_way(apps, schema_editor):
    """Replies that wait, and open drafts: what they answer was the mention as it stood then."""
    get_collection = schema_editor.connection.get_collection
    messages = get_collection("messages")
    entries = get_collection(apps.get_model("mentions", "AuditEntry")._meta.db_table)
    under_way = {
        "reply": ["queued", "sending", "unknown"],
        "draft": ["proposed", "edited", "submitted"],
    }
    for model, states in under_way.items():
        rows = get_collection(apps.get_model("mentions", model)._meta.db_table)
        for row in rows.find({"state": {"$in": states}}, {"message_id": 1, "created_at": 1}):
            message = messages.find_one(
                {"_id": row["message_id"]}, {"post_id": 1, "latest_post_id": 1}
            )
            if message is None:
                continue
            edited_since = {
                "message_id": row["message_id"],
                "action": "message.edited_on_x",
                "at": {"$gt": row["created_at"]},
            }
            is_older = entries.find_one(edited_since, {"_id": 1}) is not None
            newest = message.get("latest_post_id") or message["post_id"]
            target = message["post_id"] if is_older else newest
            rows.update_one({"_id": row["_id"]}, {"$set": {"target_post_id": target}})


class Migration(migrations.Migration):
    dependencies = [("mentions", "0002_entries_left_on_messages")]

    operations = [
        *(
            migrations.AddField(
                model,
                "target_post_id",
                models.CharField(blank=True, default="", editable=False, max_length=64),
            )
            for model in ("draft", "reply")
        ),
        migrations.AddIndex(
            "message",
            models.Index(
                fields=["latest_post_id"],
                condition=models.Q(latest_post_id__gt=""),
                name="message_latest_idx",
            ),
        ),
        migrations.RunPython(fill_what_is_under_way, migrations.RunPython.noop),
    ]
