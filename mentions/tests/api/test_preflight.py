"""“Can I answer?”, asked before anyone types."""

import ast
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from accounts.health import pause_account
from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from mentions.ingest.poll import poll_account
from mentions.models import Message
from mentions.outbox import openness
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.tests.api.conftest import Client, store_message

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ask(bruno: User, mention: Message, client_of: Client) -> Any:
    client = client_of(bruno)

    def ask(message: Message = mention, **query: Any) -> dict[str, Any]:
        answer = client.get(f"/api/v1/messages/{message.pk}/preflight", query)
        assert answer.status_code == 200, answer.content
        return dict(answer.json())

    return ask


def codes(found: dict[str, Any]) -> dict[str, bool]:
    """Refusals: code to whether it is a warning only."""
    assert all(item["sentence"].endswith((".", "?")) for item in found["refusals"])
    return {item["code"]: item["is_warning"] for item in found["refusals"]}


def test_everything_is_told_when_nothing_hinders(ask: Any, mention: Message) -> None:
    found = ask(text="Yes, until six.")
    assert (found["can_send"], found["refusals"], found["weighted_length"]) == (True, [], 15)
    assert found["eligibility"] == {
        "is_replyable": True,
        "code": "mentioned",
        "reason": "The author mentioned the account.",
        "reply_settings": "everyone",
    }
    assert found["cost"] == {"usd": "0.010", "at_most_usd": "0.010", "links": 0}
    assert found["receives_dm"] is None
    assert [budget["scope"] for budget in found["budgets"]] == ["app_day"]
    assert (found["budgets"][0]["limit"], found["budgets"][0]["remaining"]) == (10_000, 10_000)
    assert (found["account"]["status"], found["account"]["last_error_code"]) == ("active", "")


def test_link_is_counted_and_warned_of_when_the_text_has_one(ask: Any) -> None:
    found = ask(text="See https://example.com/faq and example.com 1.5")
    assert (codes(found), found["can_send"]) == ({"link_costs_more": True}, True)
    assert found["cost"] == {"usd": "0.010", "at_most_usd": "0.200", "links": 2}
    message = ask(kind="dm", text="See example.com")
    assert (codes(message), message["cost"]["usd"]) == ({}, "0.015")


def test_what_is_left_is_what_x_and_we_counted(
    ask: Any, mention: Message, acme: TwitterAccount, settings: Any
) -> None:
    settings.X_APP_POSTS_PER_DAY = 5
    reply = enqueue_reply(mention, kind="public", text="Yes.", now=timezone.now())
    deliver_reply(reply.pk, now=timezone.now())
    found = ask()
    left = {item["scope"]: (item["limit"], item["remaining"]) for item in found["budgets"]}
    assert left == {"window": (100, 99), "app_day": (5, 4)}
    assert all(item["resets_at"].endswith("Z") for item in found["budgets"])
    assert codes(found) == {"already_replied": False}


def test_spent_budget_is_a_warning_with_its_time(ask: Any, settings: Any) -> None:
    settings.X_APP_POSTS_PER_DAY = 0
    found = ask()
    assert (codes(found), found["can_send"]) == ({"budget_app_day": True}, True)


def test_answer_comes_when_redis_is_away(ask: Any, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    found = ask()
    assert (codes(found), found["budgets"]) == ({"budget_unavailable": True}, [])


def test_open_inbox_is_asked_of_x_once(ask: Any, sandbox: RunningSandbox, settings: Any) -> None:
    for _ in range(3):
        assert ask(kind="dm")["receives_dm"] is True
    assert ask(kind="public")["receives_dm"] is None
    assert len(sandbox.control.list_calls(route="users")) == 1
    # Redis forgot: asked again.
    Redis.from_url(settings.REDIS_URL).flushall()
    ask(kind="dm")
    assert len(sandbox.control.list_calls(route="users")) == 2


def test_closed_inbox_hinders_before_anyone_types(
    ask: Any, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_user("gus", receives_your_dm=False)
    sandbox.control.create_mention(account="acme", author="gus", text="@acme hm")
    poll_account(acme, now=timezone.now())
    found = ask(Message.objects.get(author_username="gus"), kind="dm")
    assert (found["receives_dm"], found["can_send"]) == (False, False)
    assert codes(found) == {"recipient_closed": False}


def test_nothing_is_claimed_when_x_does_not_say(
    ask: Any, sandbox: RunningSandbox, monkeypatch: Any
) -> None:
    sandbox.control.add_fault("users", "server_error")
    assert (ask(kind="dm")["receives_dm"], ask(kind="dm")["can_send"]) == (None, True)
    assert len(sandbox.control.list_calls(route="users")) == 1, "not asked again at once"


def test_x_is_not_asked_beyond_the_accounts_lookups(
    ask: Any, acme: TwitterAccount, sandbox: RunningSandbox, monkeypatch: Any
) -> None:
    monkeypatch.setattr(openness, "MOST_LOOKUPS", 2)
    people = [
        store_message(acme, number, user=sandbox.control.create_user(f"person{number}")["id"])
        for number in range(3)
    ]
    assert [ask(message, kind="dm")["receives_dm"] for message in people] == [True, True, None]
    assert len(sandbox.control.list_calls(route="users")) == 2


def test_account_that_cannot_send_says_why(ask: Any, acme: TwitterAccount) -> None:
    rows = TwitterAccount.objects.filter(pk=acme.pk)
    rows.update(scopes=["tweet.read", "users.read", "dm.write"])
    assert codes(ask()) == {"missing_scope": False}
    assert "dm_scope_missing" in codes(ask(kind="dm"))
    rows.update(scopes=[])
    pause_account(acme, reason="Holiday.", now=timezone.now())
    assert codes(ask()) == {"account_paused": False}
    rows.update(status="token_expired", status_reason="Revoked.")
    assert codes(ask()) == {"reconnect_needed": False}
    rows.update(status="error", status_reason="X suspended or locked this account.")
    found = ask()
    assert (codes(found), found["can_send"]) == ({"account_error": True}, True)
    assert found["account"]["status"] == "error"
    closed = [["create_post", (timezone.now() + timedelta(minutes=5)).isoformat()]]
    rows.update(status="rate_limited", closed_endpoints=closed)
    assert codes(ask()) == {"account_rate_limited": True}
    assert codes(ask(kind="dm")) == {}


def find_codes() -> set[str]:
    """Each code a refusal of the preflight is made with, out of the source."""
    found = set()
    for name in ("preflight", "outlook"):
        source = (ROOT / "mentions" / "outbox" / f"{name}.py").read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal":
                values = [n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)]
                found |= set(values)
    # By table, from X's classification, and from an error.
    found |= {"budget_window", "budget_user_day", "budget_app_day", "budget_unavailable"}
    classify = (ROOT / "mentions" / "ingest" / "classify.py").read_text()
    found |= set(re.findall(r'(?:True|False),\s*False,\s*"(\w+)"', classify))
    return found


def test_refusals_are_all_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    section = text.partition("## Can I answer")[2].partition("\n## ")[0]
    table = section.partition("| refusal |")[2]
    documented = {
        code
        for line in table.splitlines()
        if line.startswith("| `")
        for code in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert documented == find_codes()


def test_fields_are_all_documented(ask: Any) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    section = text.partition("## Can I answer")[2].partition("\n## ")[0]
    missing = {name for name in ask() if name != "kind" and f"`{name}`" not in section}
    assert missing == set()
