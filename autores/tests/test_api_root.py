import pytest
from django.test import Client


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/"])
def test_names_what_there_is_when_asked_for_the_root(path: str, client: Client) -> None:
    answer = client.get(path, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    links = answer.json()
    assert links["messages"].endswith("/api/v1/messages/")
    for name in ("openapi", "docs"):
        assert client.get(links[name]).status_code == 200, name
