from django.db import migrations, models
from django.db.models import F


def probe_what_x_made_us_pause(apps, schema_editor):
    """A pause of before was for a person to end; from now on those for X's reasons are probed."""
    pauses = apps.get_model('accounts', 'AppPause').objects.exclude(code='operator')
    pauses.update(is_probed=True)
    pauses.filter(until=None).update(until=F('paused_at'))


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_closed_endpoints'),
    ]

    operations = [
        migrations.AddField(
            model_name='apppause',
            name='is_probed',
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddField(
            model_name='apppause',
            name='probes',
            field=models.IntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='apppause',
            name='probing_until',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunPython(probe_what_x_made_us_pause, migrations.RunPython.noop),
    ]
