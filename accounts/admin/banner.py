"""What every page of the admin says at its top while all calls to X are paused."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from accounts.admin.access import is_signed_in_staff
from accounts.models import AppPause


def add_pause(request: HttpRequest) -> dict[str, Any]:
    """Context processor: ``app_pause``, the pause in force or waiting to be probed, or None."""
    if not request.path.startswith(reverse("admin:index")) or not is_signed_in_staff(request):
        return {}
    return {"app_pause": SimpleLazyObject(_find_pause)}


def _find_pause() -> AppPause | None:
    pause = AppPause.standing()
    return pause if pause is not None and (pause.is_probed or pause.is_in_force()) else None
