from datetime import UTC, datetime

from django.db import migrations, models


class Migration(migrations.Migration):
    """A new mention is written into every index, which is most of what storing it costs."""

    dependencies = [("mentions", "0003_versions_answered")]

    operations = [
        migrations.AddIndex(
            "message",
            models.Index(
                fields=["draft_state", "draft_not_before"],
                condition=models.Q(draft_not_before__gt=datetime(1970, 1, 1, tzinfo=UTC)),
                name="message_wanted_idx",
            ),
        ),
        migrations.RemoveIndex("message", "message_draft_idx"),
        # By the key, which begins with the post's id.
        migrations.RemoveIndex("message", "message_post_idx"),
    ]
