import pytest

from accounts.models import Role, TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import add_account, create_person, give_role
from mentions.models import Message
from mentions.tests.api.conftest import Client

PATH = "/api/v1/messages/fetch-new"


@pytest.fixture
def globex(ana: User, sandbox: RunningSandbox) -> TwitterAccount:
    """ana's second account."""
    return add_account(sandbox, "globex", by=ana)


def test_new_mentions_are_answered_when_they_are_fetched(
    bruno: User, acme: TwitterAccount, sandbox: RunningSandbox, client_of: Client
) -> None:
    client = client_of(bruno)
    assert client.post(PATH).json() == {
        "message": "0 new messages.",
        "new_messages_count": 0,
        "messages": [],
        "errors": [],
    }
    posts = sandbox.control.create_mentions(account="acme", count=3)
    body = client.post(f"{PATH}/?account_id={acme.pk}").json()
    assert body["new_messages_count"] == 3
    assert [item["id"] for item in body["messages"]] == [post["id"] for post in reversed(posts)]
    again = client.post(PATH, {"account_id": acme.pk}).json()
    assert (again["new_messages_count"], again["messages"]) == (0, [])


def test_other_accounts_are_read_when_one_fails(
    ana: User,
    acme: TwitterAccount,
    globex: TwitterAccount,
    sandbox: RunningSandbox,
    client_of: Client,
) -> None:
    sandbox.control.create_mention(account="globex", text="@globex hello")
    sandbox.control.add_fault("mentions", "server_error", account_id=acme.twitter_id, times=None)
    answer = client_of(ana).post(PATH)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["new_messages_count"], body["message"]) == (
        1,
        "1 new message. 1 account not read.",
    )
    assert [(item["account_id"], item["code"]) for item in body["errors"]] == [
        (acme.pk, "server_error")
    ]
    assert Message.objects.get().account_id == globex.pk


@pytest.mark.parametrize("query", ["", "?account_id={id}"])
def test_problem_says_when_to_come_back_when_the_only_account_fails(
    bruno: User, acme: TwitterAccount, sandbox: RunningSandbox, client_of: Client, query: str
) -> None:
    sandbox.control.add_fault("mentions", "rate_limit_window")
    answer = client_of(bruno).post(PATH + query.format(id=acme.pk))
    assert (answer.status_code, answer.json()["code"]) == (503, "rate_limited_window")
    assert int(answer["Retry-After"]) > 0


def test_people_fetch_for_their_accounts_only_when_they_are_responders(
    acme: TwitterAccount, carla: User, sandbox: RunningSandbox, client_of: Client
) -> None:
    viewer = create_person("vera")
    give_role(viewer, acme, Role.VIEWER)
    sandbox.control.create_mention(account="acme")
    assert client_of(viewer).post(f"{PATH}?account_id={acme.pk}").status_code == 403
    assert client_of(carla).post(f"{PATH}?account_id={acme.pk}").status_code == 404
    for nobody in (viewer, carla):
        refused = client_of(nobody).post(PATH)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_too_low")
    assert not Message.objects.exists()
    assert client_of(viewer).get(PATH).status_code == 405
