import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.utils import timezone


def search_from_now_on(apps, schema_editor):
    """Accounts that were polled before are searched, too."""
    accounts = apps.get_model('accounts', 'TwitterAccount').objects
    cursors = apps.get_model('mentions', 'Cursor').objects.exclude(newest_post_id='')
    for cursor in cursors.exclude(baseline_at=None):
        accounts.filter(pk=cursor.pk).update(complete_until=cursor.complete_until)
    cursors.update(search_due_at=timezone.now())


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_completeness'),
        ('mentions', '0008_outbox_lanes'),
    ]

    operations = [
        migrations.CreateModel(
            name='Gap',
            fields=[
                ('id', models.CharField(db_column='_id', editable=False, max_length=130, primary_key=True, serialize=False)),
                ('from_post_id', models.CharField(editable=False, max_length=32, verbose_name='after post')),
                ('to_post_id', models.CharField(editable=False, max_length=32, verbose_name='before post')),
                ('from_at', models.DateTimeField(verbose_name='after')),
                ('to_at', models.DateTimeField(verbose_name='before')),
                ('state', models.CharField(choices=[('open', 'Open: the search has not read it to its end'), ('closed', 'Closed: the search read all of it'), ('expired', 'Lost: older than what the search shows')], default='open', max_length=8)),
                ('found', models.IntegerField(default=0, verbose_name='found by search')),
                ('search_lowest_id', models.CharField(blank=True, default='', editable=False, max_length=32)),
                ('searched_at', models.DateTimeField(blank=True, null=True)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='noticed')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.AddField(
            model_name='cursor',
            name='floor_post_id',
            field=models.CharField(blank=True, default='', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='cursor',
            name='search_begun_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='cursor',
            name='search_due_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='cursor',
            name='search_lowest_id',
            field=models.CharField(blank=True, default='', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='cursor',
            name='searched_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='cursor',
            name='unfinished_begun_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='cursor',
            name='unfinished_lowest_id',
            field=models.CharField(blank=True, default='', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='cursor',
            name='unfinished_newest_id',
            field=models.CharField(blank=True, default='', editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name='cursor',
            name='unfinished_seen',
            field=models.IntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='message',
            name='found_by',
            field=models.CharField(blank=True, choices=[('baseline', 'First poll of the account'), ('poll', 'Poll'), ('sweep', 'Sweep of the timeline'), ('search', 'Search')], default='', editable=False, max_length=16),
        ),
        migrations.AddField(
            model_name='message',
            name='is_late',
            field=models.BooleanField(default=False, editable=False, verbose_name='shown late'),
        ),
        migrations.AddField(
            model_name='message',
            name='seen_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('found_by__gt', '')), fields=['account', 'timestamp', 'found_by', 'is_late'], name='message_coverage_idx'),
        ),
        migrations.AddField(
            model_name='gap',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.twitteraccount'),
        ),
        migrations.AddIndex(
            model_name='gap',
            index=models.Index(fields=['account', 'state', 'from_at'], name='gap_account_idx'),
        ),
        migrations.AddIndex(
            model_name='gap',
            index=models.Index(fields=['-created_at'], name='gap_time_idx'),
        ),
        migrations.RunPython(search_from_now_on, migrations.RunPython.noop),
    ]
