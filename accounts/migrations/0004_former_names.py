from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_names_people_read")]

    operations = [
        migrations.AddField(
            "twitteraccount",
            "former_username",
            models.CharField(blank=True, default="", editable=False, max_length=255),
        ),
        migrations.AddField(
            "twitteraccount",
            "renamed_at",
            models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
