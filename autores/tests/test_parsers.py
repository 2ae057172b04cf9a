import pytest
from django.test import Client


@pytest.mark.django_db
def test_refused_with_a_sentence_when_json_is_nested_too_deeply(client: Client) -> None:
    answer = client.post(
        "/api/v1/auth/token", "[" * 100_000 + "]" * 100_000, content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "parse_error"


@pytest.mark.django_db
def test_read_as_ever_when_json_is_plain(client: Client) -> None:
    body = {"username": "nobody", "password": "wrong"}
    answer = client.post("/api/v1/auth/token", body, content_type="application/json")
    assert answer.status_code == 401
