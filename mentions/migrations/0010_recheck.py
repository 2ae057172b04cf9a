import datetime
from django.db import migrations, models
from django.utils import timezone


def check_what_is_open(apps, schema_editor):
    """Mentions stored before are looked up as far as they are still worked on."""
    messages = apps.get_model('mentions', 'Message').objects.exclude(account_id=None)
    open_ones = messages.filter(status__in=['pending', 'processing', 'error'])
    open_ones.update(recheck_at=timezone.now())


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_completeness'),
        ('mentions', '0009_coverage'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='deleted_found_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='recheck_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='redacted_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='x_checked_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='x_state',
            field=models.CharField(blank=True, choices=[('hidden', 'Not shown to the account'), ('missing', 'Not found; looked up again before it counts as deleted'), ('deleted', 'Deleted on X; what is stored of it is being removed'), ('redacted', 'Deleted on X; only ids and times are left')], default='', editable=False, max_length=16, verbose_name='on X'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('recheck_at__gt', datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc))), fields=['account', 'recheck_at', 'status', '-timestamp'], name='message_recheck_idx'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('x_state__gt', '')), fields=['x_state', 'account', 'recheck_at'], name='message_x_state_idx'),
        ),
        migrations.RunPython(check_what_is_open, migrations.RunPython.noop),
    ]
