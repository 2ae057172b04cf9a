from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and X accounts"

    def ready(self) -> None:
        from accounts.signals import account_changed
        from accounts.verified import listen
        from accounts.watch import tell_trouble

        listen()
        account_changed.connect(tell_trouble, dispatch_uid="accounts.watch")
