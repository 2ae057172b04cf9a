from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_token_fence'),
    ]

    operations = [
        migrations.AddField(
            model_name='twitteraccount',
            name='closed_endpoints',
            field=models.JSONField(blank=True, default=list, editable=False),
        ),
    ]
