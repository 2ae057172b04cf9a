"""The pause of all calls: told once, probed by one call at a time, ended by X's yes or a person."""

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.clients import XClient, call_x
from accounts.errors import AppPausedError
from accounts.models import AppPause, TwitterAccount, User
from accounts.pauses import LONGEST_PROBE_AFTER, first_probe_after, pause_app, resume_app
from accounts.tests.conftest import client_of, count_calls
from autores.x.errors import CreditsDepletedError, ServerError, UsageCapError
from autores.x.types import User as XUser

pytestmark = pytest.mark.django_db(transaction=True)
SECOND = timedelta(seconds=1)


def ask_name(client: XClient) -> XUser:
    return client.get_me()


def end_of_pause() -> datetime:
    pause = AppPause.objects.get()
    assert pause.until is not None
    return pause.until + SECOND


@pytest.fixture
def told(settings: Any) -> Any:
    """Mails to the operators; each alert's thread is over by the time it is looked at."""
    settings.ADMINS = [("", "ops@example.com")]

    def read() -> list[str]:
        for thread in threading.enumerate():
            if thread.name == "alert":
                thread.join(10)
        return [message.body for message in mail.outbox]

    return read


@pytest.mark.parametrize(
    ("fault", "error"), [("credits_depleted", CreditsDepletedError), ("usage_cap", UsageCapError)]
)
def test_told_once_however_many_calls_meet_it(
    acme: TwitterAccount, sandbox: Any, told: Any, fault: str, error: type[Exception], caplog: Any
) -> None:
    sandbox.control.add_fault("me", fault, times=None)
    barrier = threading.Barrier(4)
    met = []

    def work() -> None:
        row = TwitterAccount.objects.get(pk=acme.pk)

        def ask_together(client: XClient) -> XUser:
            barrier.wait(10)
            return client.get_me()

        try:
            call_x(row, ask_together)
        except error:
            met.append(1)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(met) == 4
    (text,) = told()
    assert "manage.py resume_x" in text
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage() for record in errors] == [f"All calls to X are paused: {fault}"]


def test_one_call_probes_and_each_failure_puts_the_next_one_off_longer(
    acme: TwitterAccount, sandbox: Any, told: Any
) -> None:
    sandbox.control.add_fault("me", "credits_depleted", times=None)
    with pytest.raises(CreditsDepletedError):
        call_x(acme, ask_name)
    waits, now = [], timezone.now()
    for _ in range(6):
        now = end_of_pause()
        with pytest.raises(CreditsDepletedError):
            call_x(acme, ask_name, now=now)
        waits.append(end_of_pause() - SECOND - now)
        with pytest.raises(AppPausedError):
            call_x(acme, ask_name, now=now)
    assert waits[0] == 2 * first_probe_after()
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_PROBE_AFTER
    assert count_calls(sandbox, "me") == 7
    assert len(told()) == 1


def test_others_wait_while_one_call_probes_and_all_go_on_when_x_takes_it(
    acme: TwitterAccount, sandbox: Any
) -> None:
    pause_app("credits_depleted", "No credits.", seconds=None, now=timezone.now())
    now = end_of_pause()
    refused = []

    def probe(client: XClient) -> XUser:
        with pytest.raises(AppPausedError) as caught:
            call_x(TwitterAccount.objects.get(pk=acme.pk), ask_name, now=now)
        refused.append(caught.value.retry_after)
        return client.get_me()

    assert call_x(acme, probe, now=now).username == "acme"
    assert len(refused) == 1
    assert not AppPause.objects.exists()


def test_next_call_probes_at_once_when_the_probe_failed_for_another_reason(
    acme: TwitterAccount, sandbox: Any
) -> None:
    pause_app("usage_cap", "The cap.", seconds=None, now=timezone.now())
    now = end_of_pause()
    sandbox.control.add_fault("me", "server_error")
    with pytest.raises(ServerError):
        call_x(acme, ask_name, now=now)
    assert AppPause.objects.exists()
    assert call_x(acme, ask_name, now=now).username == "acme"
    assert not AppPause.objects.exists()


def test_same_trouble_is_not_told_again_right_after_a_probe_went_through(
    acme: TwitterAccount, sandbox: Any, told: Any
) -> None:
    def meet() -> None:
        sandbox.control.add_fault("me", "credits_depleted")
        with pytest.raises(CreditsDepletedError):
            call_x(acme, ask_name)

    meet()
    call_x(acme, ask_name, now=end_of_pause())
    meet()
    assert len(told()) == 1
    # A person who resumes wants to know whether it helped.
    assert resume_app()
    sandbox.control.add_fault("me", "usage_cap")
    with pytest.raises(UsageCapError):
        call_x(acme, ask_name)
    assert len(told()) == 2


def test_operators_pause_is_never_probed_and_simply_ends(acme: TwitterAccount) -> None:
    now = timezone.now()
    AppPause.objects.create(code="operator", reason="Election day.", until=now + SECOND)
    assert not pause_app("credits_depleted", "No credits.", seconds=None, now=now)
    with pytest.raises(AppPausedError):
        call_x(acme, ask_name, now=now)
    assert call_x(acme, ask_name, now=now + 2 * SECOND).username == "acme"
    assert pause_app("credits_depleted", "No credits.", seconds=None, now=now + 2 * SECOND)
    assert AppPause.objects.get().code == "credits_depleted"


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Any]]]:
    """A real server that keeps what is posted to it."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    server.server_close()
    thread.join()


def test_webhook_is_told_too(settings: Any, webhook: tuple[str, list[Any]], told: Any) -> None:
    settings.ALERT_WEBHOOK_URL, received = webhook
    pause_app("credits_depleted", "No credits.", seconds=None, now=timezone.now())
    assert len(told()) == 1
    assert received[0]["text"].startswith("Autores: all calls to X are paused: No credits.")


def test_pause_stands_when_nobody_can_be_told(settings: Any, told: Any, caplog: Any) -> None:
    settings.ALERT_WEBHOOK_URL = "http://127.0.0.1:1/secret-hook"
    assert pause_app("credits_depleted", "No credits.", seconds=None, now=timezone.now())
    told()
    assert "webhook failed" in caplog.text
    assert "secret-hook" not in caplog.text


def test_resumed_by_a_command() -> None:
    pause_app("credits_depleted", "No credits.", seconds=None, now=timezone.now())
    out = StringIO()
    call_command("resume_x", stdout=out)
    call_command("resume_x", stdout=out)
    assert "go out again. It was: No credits.\nNothing was paused." in out.getvalue()
    assert not AppPause.objects.exists()


def test_seen_by_all_and_resumed_by_superusers_on_the_api(bruno: User, admin: User) -> None:
    assert client_of(bruno).get("/api/v1/pause").json()["is_paused"] is False
    pause_app("credits_depleted", "No credits.", seconds=None, now=timezone.now())
    seen = client_of(bruno).get("/api/v1/pause").json()
    assert (seen["is_paused"], seen["code"], seen["probes"]) == (True, "credits_depleted", 0)
    assert client_of().get("/api/v1/pause").status_code == 401
    assert client_of(bruno).delete("/api/v1/pause").status_code == 403
    assert client_of(admin).delete("/api/v1/pause").json()["is_paused"] is False


def test_banner_is_on_every_page_of_the_admin_while_it_lasts(admin: User, client: Any) -> None:
    client.force_login(admin)
    page = "/admin/accounts/twitteraccount/"
    assert "All calls to X are paused" not in client.get(page).content.decode()
    pause_app("credits_depleted", "No <b>credits</b>.", seconds=None, now=timezone.now())
    shown = client.get(page).content.decode()
    assert "All calls to X are paused" in shown
    assert "No &lt;b&gt;credits&lt;/b&gt;." in shown
    client.logout()
    assert "credits" not in client.get("/admin/login/").content.decode()
