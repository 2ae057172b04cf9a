"""Keep when the last sweep came through; accounts read so far begin where their polls stand."""

from typing import Any

from django.db import migrations, models
from django.db.models import F


def begin_at_the_polls(apps: Any, schema_editor: Any) -> None:
    cursor = apps.get_model("mentions", "Cursor")
    cursor.objects.filter(swept_until=None).update(swept_until=F("complete_until"))


class Migration(migrations.Migration):
    dependencies = [
        ("mentions", "0012_tallies"),
    ]

    operations = [
        migrations.AddField(
            model_name="cursor",
            name="swept_until",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunPython(begin_at_the_polls, migrations.RunPython.noop),
    ]
