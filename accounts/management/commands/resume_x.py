"""``manage.py resume_x``: let calls to X go out again, now."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import AppPause
from accounts.pauses import resume_app


class Command(BaseCommand):
    help = (
        "End the pause of all calls to X, whoever or whatever set it. What waits goes out, and if "
        "X still refuses (credits, a cap), the pause is there again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        pause = AppPause.standing()
        if resume_app(actor="system:command"):
            reason = f" It was: {pause.reason}" if pause is not None else ""
            self.stdout.write(f"Calls to X go out again.{reason}")
        else:
            self.stdout.write("Nothing was paused.")
