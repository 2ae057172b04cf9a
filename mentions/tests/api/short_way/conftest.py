"""Two clients of one person: one on the short way, one that Django alone answers."""

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import brotli
import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from rest_framework.test import APIClient

from accounts.models import TwitterAccount, User
from mentions.api import fastpath
from mentions.tests.api.conftest import Client, store_message

CHANGING = {"Date", "X-Request-ID"}


@pytest.fixture
def acme(db: None) -> TwitterAccount:
    return TwitterAccount.objects.create(twitter_id="9001", twitter_username="acme")


@pytest.fixture
def stored(acme: TwitterAccount) -> dict[str, str]:
    """Ids of messages, by what is special about them; all but ``foreign`` are acme's."""
    other = TwitterAccount.objects.create(twitter_id="9009", twitter_username="globex")
    messages = {str(number): store_message(acme, number, text="„Ä“\u2028") for number in range(6)}
    messages["one"] = store_message(acme, 7, status="replied", public_response="Yes")
    messages["colon"] = store_message(acme, 8, id="1900000000000000099:9001")
    messages["foreign"] = store_message(other, 9)
    return {name: message.pk for name, message in messages.items()}


@dataclass
class Ways:
    """Two clients of bruno, with the short way and without."""

    short: Any
    long: Any

    def ask(self, path: str, **headers: str) -> tuple[Any, Any]:
        """What the view answers, and what is answered with the short way open."""
        address = f"/api/v1/{path}"
        return self.long.get(address, headers=headers), self.short.get(address, headers=headers)


@pytest.fixture
def ways(bruno: User, stored: dict[str, str], client_of: Client, settings: Any) -> Ways:
    ways = Ways(short=open_client(client_of, bruno), long=client_of(bruno))
    ways.long.defaults["HTTP_HOST"] = "testserver"
    # Only a sign-in that was verified a moment ago may take the short way.
    for answer in ways.ask("messages/?limit=1"):
        assert not is_short(answer)
    return ways


class ShortAnswer(HttpResponse):
    """One that Django did not give."""


def open_short_way(client: APIClient) -> APIClient:
    """The client's requests come by the short way first, as the web server's do."""
    django = client.handler

    def ask(environ: dict[str, Any]) -> Any:
        left: list[Any] = []
        sent: list[Any] = []

        def leave(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            left.append(django(environ))
            return []

        short_way = fastpath.ShortWay(leave)
        short_way.__dict__.update(kept)
        parts = short_way(environ, lambda status, headers: sent.extend([status, headers]))
        if left:
            return left[0]
        status, headers = sent
        answer = ShortAnswer(b"".join(parts), status=int(status[:3]))
        del answer["Content-Type"]
        for name, value in headers:
            assert name not in answer
            answer[name] = value
        answer.wsgi_request = WSGIRequest(environ)
        return answer

    # Answers are dressed by those before them.
    kept: dict[str, Any] = {"_origins": {}, "_frames": {}}
    client.defaults["HTTP_HOST"] = "testserver"
    client.handler, client.django = ask, django
    return client


def open_client(client_of: Client, person: User) -> APIClient:
    return open_short_way(client_of(person))


def is_short(answer: Any) -> bool:
    return isinstance(answer, ShortAnswer)


def describe(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in answer.items() if name not in CHANGING}
    content = answer.content
    if headers.get("Content-Encoding") == "gzip":
        # Its length is random on purpose.
        content = gzip.decompress(content)
        del headers["Content-Length"]
    elif headers.get("Content-Encoding") == "br":
        content = brotli.decompress(content)
    return answer.status_code, content, headers
