from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and X accounts"

    def ready(self) -> None:
        from accounts.verified import listen

        listen()
