"""Keep what stands on X for deleted replies; those of earlier deletions are in the audit trail."""

from datetime import timedelta
from typing import Any

import django.utils.timezone
from django.db import migrations, models
from django.utils import timezone

# X shows direct messages for 30 days; what is older cannot be taken for another.
_SHOWN_BY_X = timedelta(days=31)


def claim_deleted(apps: Any, schema_editor: Any) -> None:
    claimed = apps.get_model("mentions", "ClaimedPost")
    entries = apps.get_model("mentions", "AuditEntry").objects.filter(
        action="message.deleted", at__gte=timezone.now() - _SHOWN_BY_X
    )
    for entry in entries.iterator():
        for reply in (entry.before or {}).get("replies", ()):
            if x_post_id := reply.get("x_post_id"):
                claimed.objects.update_or_create(
                    id=f"{entry.account_id}:{x_post_id}",
                    defaults={"reply_id": reply["id"], "claimed_at": entry.at},
                )


class Migration(migrations.Migration):
    dependencies = [
        ("mentions", "0013_swept_until"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClaimedPost",
            fields=[
                (
                    "id",
                    models.CharField(
                        db_column="_id",
                        editable=False,
                        max_length=130,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("reply_id", models.CharField(editable=False, max_length=64)),
                (
                    "claimed_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
            ],
            options={
                "verbose_name": "claimed post",
            },
        ),
        migrations.RunPython(claim_deleted, migrations.RunPython.noop),
    ]
