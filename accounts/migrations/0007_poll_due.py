from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_history'),
    ]

    operations = [
        migrations.AddField(
            model_name='twitteraccount',
            name='poll_due_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name='twitteraccount',
            index=models.Index(fields=['poll_due_at', 'status'], name='account_poll_due_idx'),
        ),
    ]
