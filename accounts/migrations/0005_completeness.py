from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_app_pause_probes'),
    ]

    operations = [
        migrations.AddField(
            model_name='twitteraccount',
            name='complete_until',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='complete up to'),
        ),
    ]
