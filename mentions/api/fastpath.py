"""The short way to the two hot reads, past what most requests need and these do not.

A read of messages by a signed-in program needs no session, no CSRF check, no form, no parser and
no page for people: two thirds of its time went into them. Here it is answered by the functions
that DRF's view calls; whatever is not quite plain is left to that view, and so are all refusals.
"""

import re
from collections.abc import Callable

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import resolve
from django.views import View
from rest_framework.exceptions import ValidationError

from accounts.api.throttling import count_once
from accounts.verified import sign_ins
from autores.problems import ApiProblem, answer_error
from mentions.api import listing, reading

_PREFIX = "/api/v1/messages"
_PATH = re.compile(rf"{_PREFIX}(?:/(?P<id>[0-9]+(?::[0-9]+)?))?/?", re.ASCII)
# By each of these, DRF's negotiation gives plain JSON.
_JSON = frozenset({"", "*/*", "application/json", "application/json, text/plain, */*"})


class FastReadsMiddleware:
    """Answers plain reads of messages by itself. What follows it in the chain must not be missed by
    those: it stands behind all that shapes an answer, and in front of what knows a person.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._allow: dict[bool, str] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "GET" and request.path_info.startswith(_PREFIX):
            answer = self._answer(request)
            if answer is not None:
                return answer
        return self._get_response(request)

    def _answer(self, request: HttpRequest) -> HttpResponse | None:
        """None if the view has to."""
        meta = request.META
        path = _PATH.fullmatch(request.path_info)
        query_string = meta.get("QUERY_STRING", "")
        if (
            path is None
            or meta.get("HTTP_ACCEPT", "") not in _JSON
            # Another form asked for, or bytes that may be no UTF-8.
            or "format" in query_string
            or "%" in query_string
            or not query_string.isascii()
        ):
            return None
        known = sign_ins.peek(meta.get("HTTP_AUTHORIZATION", "").encode("latin-1"))
        if known is None:
            return None
        # Refuses a host that is not ours, as Django does further on.
        request.get_host()
        user, auth = known
        message_id = path["id"]
        try:
            wanted = None if message_id else listing.read_query(query_string)
            if not count_once(request, user=user, auth=auth):
                return None
            if wanted is None:
                found = reading.read_one(request, user, message_id)
            else:
                found = reading.read_page(request, user, wanted)
        except (ValidationError, ApiProblem):
            return None
        except DatabaseError as error:
            # The view would wait for the database once more, and fail as well.
            return answer_error(error)
        response = HttpResponse(found.content, content_type="application/json")
        if found.is_known:
            response = HttpResponse(status=304)
            del response["Content-Type"]
        response["Vary"] = "Accept"
        response["Allow"] = self._list_methods(request.path_info, is_one=bool(message_id))
        response["Content-Length"] = str(len(response.content))
        for name, value in found.headers.items():
            response[name] = value
        return response

    def _list_methods(self, path: str, *, is_one: bool) -> str:
        """As DRF's view tells them; read from the route once, for the list and for one message."""
        if is_one not in self._allow:
            actions = resolve(path).func.actions
            # DRF answers HEAD where it answers GET.
            known = {*actions, "head", "options"}
            names = [name for name in View.http_method_names if name in known]
            self._allow[is_one] = ", ".join(name.upper() for name in names)
        return self._allow[is_one]
