from django.apps import AppConfig


class MentionsConfig(AppConfig):
    name = "mentions"
    verbose_name = "Moderation"

    def ready(self) -> None:
        from accounts.signals import account_changed
        from mentions.models.audit import record_account_change

        account_changed.connect(record_account_change, dispatch_uid="mentions.audit")
