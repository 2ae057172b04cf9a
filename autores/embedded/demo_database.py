"""Prepare the demo's database: ``python -m autores.embedded.demo_database``, with its settings.

Migrations and the administrator in one process, as most of its time goes into loading Django.
The login comes by environment, DEMO_USERNAME and DEMO_PASSWORD: arguments show in the process
list.
"""

import os

import django


def ensure_admin(username: str, *, password: str) -> None:
    """Create the superuser, or give an existing one this password again."""
    from django.contrib.auth import get_user_model

    user, _ = get_user_model().objects.get_or_create(
        username=username, defaults={"email": f"{username}@example.com", "first_name": "Ana"}
    )
    if user.is_superuser and user.is_staff and user.check_password(password):
        return
    user.is_staff = user.is_superuser = user.is_active = True
    user.set_password(password)
    user.save()


def prepare_database() -> None:
    """Bring the schema up to date, and see to the administrator."""
    from django.core.management import call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")
    django.setup()
    call_command("migrate", interactive=False)
    ensure_admin(os.environ["DEMO_USERNAME"], password=os.environ["DEMO_PASSWORD"])


if __name__ == "__main__":
    prepare_database()
