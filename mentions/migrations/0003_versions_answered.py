from django.db import migrations, models


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
    ]
