"""The pages of the browsable API."""

from typing import Any

from rest_framework.renderers import BrowsableAPIRenderer


class BrowsableRenderer(BrowsableAPIRenderer):
    """DRF's pages; an address and its twin with the other trailing slash are one breadcrumb."""

    def get_breadcrumbs(self, request: Any) -> list[tuple[str, str]]:
        by_address = {
            address.rstrip("/"): (name, address)
            for name, address in super().get_breadcrumbs(request)
        }
        return list(by_address.values())
