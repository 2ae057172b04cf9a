import autores.mongo.indexes
from django.db import migrations, models
from django.db.models import F


def count_earlier_attempts(apps, schema_editor):
    """Every attempt made so far may have reached X."""
    replies = apps.get_model('mentions', 'Reply').objects
    replies.update(departures=F('attempts'), first_sending_at=F('sending_at'))


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_closed_endpoints'),
        ('mentions', '0007_import_positions'),
    ]

    operations = [
        migrations.AddField(
            model_name='reply',
            name='departures',
            field=models.IntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='reply',
            name='due_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='reply',
            name='first_sending_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='reply',
            name='has_departed',
            field=models.BooleanField(default=None, editable=False, null=True),
        ),
        migrations.RunPython(count_earlier_attempts, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name='reply',
            index=autores.mongo.indexes.UniqueIndex(condition=models.Q(('x_post_id__gt', '')), fields=['account', 'x_post_id'], name='reply_x_post_unq'),
        ),
        migrations.AddIndex(
            model_name='reply',
            index=models.Index(fields=['state', 'account', 'not_before'], name='reply_lane_idx'),
        ),
        migrations.AddIndex(
            model_name='reply',
            index=models.Index(fields=['sending_at'], name='reply_sending_idx'),
        ),
    ]
