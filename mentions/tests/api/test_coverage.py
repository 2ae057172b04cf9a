"""What was seen, as the API and the admin tell it."""

from datetime import timedelta

import pytest
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.mongo.plans import recorded_plans
from autores.sandbox.server import RunningSandbox
from mentions.ingest.coverage import read_days
from mentions.ingest.poll import poll_account
from mentions.ingest.sweep import search_account
from mentions.models import Gap
from mentions.tests.api.conftest import Client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gapped(acme: TwitterAccount, sandbox: RunningSandbox) -> TwitterAccount:
    """@acme after a burst that X did not show whole."""
    poll_account(acme, now=timezone.now())
    sandbox.control.create_mentions(account="acme", count=810)
    poll_account(acme, now=timezone.now())
    return acme


def test_a_gap_and_its_filling_are_told_when_a_burst_was_not_shown(
    gapped: TwitterAccount, ana: User, bruno: User, carla: User, client_of: Client
) -> None:
    address = f"/api/v1/accounts/{gapped.pk}/coverage"
    before = client_of(bruno).get(address).json()
    assert (before["open_gaps"], before["days"][0]["by_poll"]) == (1, 800)
    assert before["complete_until"] == before["gaps"][0]["from_at"]
    account = client_of(ana).get(f"/api/v1/accounts/{gapped.pk}").json()
    assert account["complete_until"] == before["complete_until"]

    search_account(gapped, now=timezone.now())
    after = client_of(bruno).get(f"{address}/").json()
    day = after["days"][0]
    assert (after["open_gaps"], day["by_poll"], day["by_search"], day["late"]) == (0, 800, 10, 0)
    assert (after["gaps"][0]["state"], after["gaps"][0]["found"]) == ("closed", 10)
    assert after["complete_until"] > before["complete_until"]
    assert client_of(carla).get(address).status_code == 404
    refused = client_of(bruno).get(address, {"since": "2026-02-02", "until": "2026-02-01"})
    assert refused.status_code == 400

    today = timezone.now().date()
    with recorded_plans() as plans:
        read_days(gapped.pk, since=today - timedelta(days=6), until=today)
    assert [plan.is_index_scan for plan in plans] == [True]
    assert plans[0].docs_examined == 0


def test_the_admin_tells_what_was_seen(gapped: TwitterAccount, ana: User, client: Browser) -> None:
    client.force_login(ana)
    page = client.get(f"/admin/accounts/twitteraccount/{gapped.pk}/change/").content.decode()
    assert "800 mentions, 0 by the first poll, 800 by polls" in page
    assert "1 gaps to be searched" in page
    listed = client.get("/admin/accounts/twitteraccount/").content.decode()
    assert "Complete up to" in listed
    gaps = client.get(f"/admin/mentions/gap/?account={gapped.pk}").content.decode()
    assert f"{Gap.objects.get().from_at:%Y}" in gaps


@pytest.mark.parametrize(
    "query",
    [
        "since=9999-12-31&until=9999-12-31",
        "until=0001-01-03",
        "since=0001-01-01&until=0001-01-01",
    ],
)
def test_days_are_refused_when_no_calendar_reaches_past_them(
    acme: TwitterAccount, ana: User, client_of: Client, query: str
) -> None:
    answer = client_of(ana).get(f"/api/v1/accounts/{acme.pk}/coverage?{query}")
    assert answer.status_code == 400
    assert "Give a day between" in answer.json()["detail"]
