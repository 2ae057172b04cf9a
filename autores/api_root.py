"""The API's front door: what there is, as links."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

_ENTRIES = {
    "messages": "message-list",
    "accounts": "accounts",
    "me": "me",
    "personal_tokens": "personal-tokens",
    "openapi": "openapi",
    "docs": "api-docs",
}


class ApiRootView(APIView):
    """The mentions of your team's X accounts, and what you may do with them.

    Sign in with POST auth/token, a personal token, or the session of the admin.
    """

    permission_classes = (AllowAny,)

    def get_view_name(self) -> str:
        return "Autores API"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response({name: reverse(route, request=request) for name, route in _ENTRIES.items()})
