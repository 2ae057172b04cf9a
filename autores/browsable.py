"""The pages of the browsable API."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.status import HTTP_200_OK


class BrowsableRenderer(BrowsableAPIRenderer):
    """DRF's pages; an address and its twin with the other trailing slash are one breadcrumb."""

    def get_breadcrumbs(self, request: Any) -> list[tuple[str, str]]:
        by_address = {
            address.rstrip("/"): (name, address)
            for name, address in super().get_breadcrumbs(request)
        }
        return list(by_address.values())

    def get_raw_data_form(self, data: Any, view: Any, method: str, request: Any) -> Any:
        """What a PATCH begins with is what is there: as it comes, it changes nothing.

        DRF fills its form from the serializer that made the answer, and ours are made without.
        """
        response = (self.renderer_context or {}).get("response")
        is_shown = response is not None and response.status_code == HTTP_200_OK
        if method == "PATCH" and is_shown and isinstance(data, Mapping):
            data = SimpleNamespace(serializer=SimpleNamespace(instance=data))
        return super().get_raw_data_form(data, view, method, request)
