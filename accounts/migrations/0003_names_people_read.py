from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_oauthstate_reconnects")]

    operations = [
        migrations.AlterModelOptions("membership", {"verbose_name": "role"}),
        migrations.AlterModelOptions(
            "user", {"verbose_name": "person", "verbose_name_plural": "people"}
        ),
    ]
