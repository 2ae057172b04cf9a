from django.apps import AppConfig


class MentionsConfig(AppConfig):
    name = "mentions"
    verbose_name = "Moderation"

    def ready(self) -> None:
        from accounts.budgets import register_history
        from accounts.signals import account_changed
        from mentions.models.audit import record_account_change
        from mentions.outbox.metering import list_departures
        from mentions.outbox.wake import wake_waiting

        account_changed.connect(record_account_change, dispatch_uid="mentions.audit")
        account_changed.connect(wake_waiting, dispatch_uid="mentions.outbox")
        register_history(list_departures)
