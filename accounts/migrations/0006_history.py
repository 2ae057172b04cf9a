import accounts.models
import autores.mongo.indexes
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_completeness'),
    ]

    operations = [
        migrations.AddField(
            model_name='twitteraccount',
            name='last_error',
            field=models.TextField(blank=True, default='', editable=False, verbose_name='last error of X'),
        ),
        migrations.CreateModel(
            name='AccountEvent',
            fields=[
                ('id', models.CharField(db_column='_id', default=accounts.models.new_id, editable=False, max_length=64, primary_key=True, serialize=False)),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('event', models.CharField(max_length=32)),
                ('before', models.CharField(choices=[('active', 'Active'), ('paused', 'Paused'), ('rate_limited', 'Rate limited'), ('token_expired', 'Reconnect needed'), ('error', 'Error')], max_length=20)),
                ('after', models.CharField(choices=[('active', 'Active'), ('paused', 'Paused'), ('rate_limited', 'Rate limited'), ('token_expired', 'Reconnect needed'), ('error', 'Error')], max_length=20)),
                ('code', models.CharField(blank=True, default='', max_length=64)),
                ('reason', models.TextField(blank=True, default='')),
                ('actor', models.CharField(max_length=64)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='accounts.twitteraccount')),
            ],
            options={
                'ordering': ['-at'],
                'indexes': [models.Index(fields=['account', '-at'], name='account_event_idx'), autores.mongo.indexes.TTLIndex(fields=['at'], name='account_event_ttl', seconds=15552000)],
            },
        ),
    ]
