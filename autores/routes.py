"""Addresses that answer with and without the trailing slash, and are documented once."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from django.urls import URLPattern, path

Endpoint = tuple[str, str, str, Any]


def both_slashes(route: str, view: Callable[..., Any], *, name: str) -> list[URLPattern]:
    """``route`` as it is documented, and its twin with the other ending.

    A redirect would do for GET only: clients do not repeat a POST.
    """

    @functools.wraps(view)
    def twin(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    twin.is_undocumented_twin = True  # type: ignore[attr-defined]  # read by drop_twins
    other = route.removesuffix("/") if route.endswith("/") else f"{route}/"
    return [path(route, view, name=name), path(other, twin)]


def drop_twins(endpoints: Sequence[Endpoint], **kwargs: Any) -> list[Endpoint]:
    """drf-spectacular's PREPROCESSING_HOOK: each endpoint once."""
    return [
        endpoint
        for endpoint in endpoints
        if not getattr(endpoint[3], "is_undocumented_twin", False)
    ]
