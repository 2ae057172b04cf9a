"""The admin while Redis is away."""

import pytest
from django.conf import LazySettings
from django.test import Client

from accounts.models import User
from mentions.models import Message

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_desk_is_worked_on_when_redis_is_away(
    mention: Message, ana: User, client: Client, settings: LazySettings
) -> None:
    client.force_login(ana)
    away = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": away}
    desk = f"/admin/mentions/message/{mention.pk}/change/"
    for page in ("/admin/mentions/message/", desk, "/api/v1/messages/"):
        assert client.get(page).status_code == 200, page
    assert (
        "The mention is yours." in client.post(desk, {"act": "claim"}, follow=True).content.decode()
    )
    client.logout()
    assert client.get("/admin/login/").status_code == 200
