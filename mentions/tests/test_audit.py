"""What happens to an account leaves a trace: what, when, by whom, and never a secret."""

import pytest
from django.db import connection
from django.utils import timezone

from accounts.health import pause_account, resume_account
from accounts.models import TwitterAccount, User
from accounts.pauses import resume_app
from accounts.tokens import access_token_for
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import connect_account
from autores.x.errors import XError
from mentions.ingest.poll import poll_account
from mentions.models import AuditEntry, record_audit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(ana: User, sandbox: RunningSandbox) -> TwitterAccount:
    """Connected through the whole flow, which leaves the first trace."""
    return connect_account(sandbox, "acme", by=ana)


def test_entry_is_stored_as_the_model_would_store_it(ana: User) -> None:
    words = {
        "action": "message.changed",
        "actor": ana.pk,
        "object_type": "message",
        "object_id": "1",
        "account_id": "a",
        "message_id": "1",
        "before": {"status": "pending", "credits_used": None},
        "after": {"status": "replied", "nested": {"list": [1, "2"]}},
        "note": "why",
    }
    record_audit(**words)
    (recorded,) = AuditEntry.objects.all()
    assert {name: getattr(recorded, name) for name in words} == words
    AuditEntry.objects.create(**words)
    stored = list(connection.get_collection(AuditEntry._meta.db_table).find())
    shapes = [{name: type(value) for name, value in entry.items()} for entry in stored]
    assert shapes[0] == shapes[1]
    assert abs(stored[0]["at"] - stored[1]["at"]).total_seconds() < 60


def trail(account: TwitterAccount) -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(account_id=account.pk, object_type="account")
    return list(entries.order_by("at").values_list("action", "actor"))


def test_connecting_pausing_and_resuming_are_recorded(acme: TwitterAccount, ana: User) -> None:
    pause_account(acme, reason="Campaign over.", now=timezone.now(), actor=ana.pk)
    resume_account(acme, now=timezone.now(), actor=ana.pk)
    assert trail(acme) == [
        ("account.connected", ana.pk),
        ("account.paused", ana.pk),
        ("account.resumed", ana.pk),
    ]


def test_a_limit_and_the_recovery_are_recorded(
    acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("mentions", "rate_limit_window")
    with pytest.raises(XError):
        poll_account(acme, now=timezone.now())
    TwitterAccount.objects.filter(pk=acme.pk).update(
        blocked_until=timezone.now(), closed_endpoints=[]
    )
    poll_account(TwitterAccount.objects.get(pk=acme.pk), now=timezone.now())
    actions = [action for action, _ in trail(acme)]
    assert actions == ["account.connected", "account.rate_limited", "account.recovered"]


def test_the_pause_of_everything_and_its_end_are_recorded(
    acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("mentions", "credits_depleted")
    with pytest.raises(XError):
        poll_account(acme, now=timezone.now())
    resume_app(actor=ana.pk)
    entries = AuditEntry.objects.filter(object_type="app").order_by("at")
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("app.paused", "system:accounts"),
        ("app.resumed", ana.pk),
    ]


def test_no_entry_holds_a_token(acme: TwitterAccount) -> None:
    token = access_token_for(acme)
    stored = TwitterAccount.objects.get(pk=acme.pk)
    for entry in AuditEntry.objects.all():
        shown = f"{entry.before}{entry.after}{entry.note}"
        for secret in (token, stored.access_token, stored.refresh_token):
            assert secret not in shown
