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
        migrations.AlterField(
            "twitteraccount",
            "voice",
            models.TextField(
                blank=True,
                default="",
                help_text="How this account speaks, and the facts, links and prices a draft may "
                "use.",
                max_length=8000,
                verbose_name="voice and facts",
            ),
        ),
    ]
