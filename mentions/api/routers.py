"""Routes that answer with and without the trailing slash, each itself: no POST meets a redirect."""

from typing import Any

from django.urls import URLPattern, re_path
from rest_framework.routers import SimpleRouter


class BothSlashesRouter(SimpleRouter):
    """DRF's router; each route has a twin whose path differs by the trailing slash.

    The contract's form (lists with the slash, everything else without) has the name and is in
    the OpenAPI document; the twin has neither.
    """

    def __init__(self) -> None:
        super().__init__(trailing_slash=False)

    def get_urls(self) -> list[URLPattern]:
        urls: list[URLPattern] = []
        for url in super().get_urls():
            without = str(url.pattern)
            with_slash = without.removesuffix("$").removesuffix("\\Z") + "/$"
            is_list = str(url.name).endswith("-list")
            canonical, twin = (with_slash, without) if is_list else (without, with_slash)
            urls.append(re_path(canonical, url.callback, name=url.name))
            urls.append(re_path(twin, _without_schema(url.callback)))
        return urls


def _without_schema(callback: Any) -> Any:
    return callback.cls.as_view(callback.actions, **{**callback.initkwargs, "schema": None})
