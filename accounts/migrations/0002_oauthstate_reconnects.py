from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.AddField(
            "oauthstate",
            "reconnects",
            models.CharField(blank=True, default="", editable=False, max_length=64),
        ),
    ]
