import logging
import re
from typing import Any

import pytest
from celery import shared_task
from celery.signals import before_task_publish, task_postrun, task_prerun
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import path

from autores.celery import app
from autores.observability import context
from autores.observability.logs import ContextFilter
from autores.observability.requests import RequestIdMiddleware


def answer_with_id(request: HttpRequest) -> HttpResponse:
    logging.getLogger("autores.example").info("in the view")
    return HttpResponse(context.request_id.get())


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("refresh_token=Zm9vYmFyYmF6cXV4MTIz was in the way")


urlpatterns = [path("id", answer_with_id), path("fail", fail)]
handler500 = "autores.problems.server_error"


@pytest.mark.urls(__name__)
def test_answer_says_the_id_that_the_log_has_when_none_was_given(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(ContextFilter())
    caplog.set_level(logging.INFO, "autores.example")

    first, second = client.get("/id"), client.get("/id")

    assert re.fullmatch(r"[0-9a-f]{16}", first["X-Request-ID"])
    assert first.content.decode() == first["X-Request-ID"] != second["X-Request-ID"]
    logged = [(getattr(record, "request_id", ""), record.name) for record in caplog.records]
    # A line of the view's, and one that tells of the request.
    assert logged == [
        (answer["X-Request-ID"], logger)
        for answer in (first, second)
        for logger in ("autores.example", "autores.access")
    ]
    assert context.request_id.get() == ""


@pytest.mark.urls(__name__)
def test_id_of_the_caller_is_kept_when_it_is_well_formed(client: Client) -> None:
    answer = client.get("/id", headers={"X-Request-ID": "trace-1.a_B"})

    assert answer["X-Request-ID"] == "trace-1.a_B" == answer.content.decode()


@pytest.mark.urls(__name__)
def test_one_line_is_logged_when_a_stranger_asks_for_another_host(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get("/api/v1/messages/", headers={"host": "evil.example"})

    assert answer.status_code == 400
    (record,) = [found for found in caplog.records if found.name.startswith("django.security")]
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "evil.example" in record.getMessage()


@pytest.mark.parametrize("given", ["a b", "x" * 65, "é", "a\x1bb", '"><script>', "a\tb"])
def test_id_of_the_caller_is_replaced_when_it_is_not_fit_for_a_log(given: str) -> None:
    request = RequestFactory().get("/", HTTP_X_REQUEST_ID=given)

    answer = RequestIdMiddleware(answer_with_id)(request)

    assert re.fullmatch(r"[0-9a-f]{16}", answer["X-Request-ID"])


@pytest.mark.urls(__name__)
def test_person_gets_the_id_and_no_cause_when_something_breaks(settings: Any) -> None:
    settings.DEBUG = False
    answer = Client(raise_request_exception=False).get("/fail", headers={"X-Request-ID": "trace-2"})

    assert answer.status_code == 500
    assert answer["X-Request-ID"] == "trace-2"
    document = answer.json()
    assert document["code"] == "internal_error"
    assert "trace-2" in document["detail"]
    assert "RuntimeError" not in answer.content.decode()
    assert "Zm9v" not in answer.content.decode()


@pytest.mark.urls(__name__)
def test_page_hides_secrets_when_something_breaks_while_developing(settings: Any) -> None:
    settings.DEBUG = True
    settings.MONGODB_URL_COPY = "mongodb://autores:mongo-password@db/"
    settings.NESTED = {"inner": "token is refresh_token=Zm9vYmFyYmF6cXV4MTIz"}

    page = Client(raise_request_exception=False).get("/fail").content.decode()

    assert "RuntimeError" in page
    assert settings.SECRET_KEY not in page
    assert settings.TOKEN_ENCRYPTION_KEYS[0] not in page
    assert "mongo-password" not in page


@shared_task(name="autores.tests.note_ids")
def note_ids() -> tuple[str, str]:
    return context.request_id.get(), context.task_id.get()


def test_task_has_the_id_of_the_request_that_sent_it() -> None:
    headers: dict[str, Any] = {}
    token = context.request_id.set("trace-3")
    try:
        before_task_publish.send(sender=note_ids.name, headers=headers, body=())
    finally:
        context.request_id.reset(token)
    task = app.tasks[note_ids.name]
    task.push_request(id="task-9", **headers)
    try:
        task_prerun.send(sender=task, task_id="task-9", task=task)
        ids = task.run()
        task_postrun.send(sender=task, task_id="task-9", task=task)
    finally:
        task.pop_request()

    assert ids == ("trace-3", "task-9")
    assert (context.request_id.get(), context.task_id.get()) == ("", "")


def test_task_has_no_request_id_when_beat_sent_it() -> None:
    headers: dict[str, Any] = {}

    before_task_publish.send(sender=note_ids.name, headers=headers, body=())

    assert headers == {}
