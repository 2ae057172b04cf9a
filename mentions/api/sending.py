"""From an API call to the outbox, and back: queue the row, wait for X's word, answer."""

import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework import status
from rest_framework.response import Response

from autores.problems import ApiProblem
from autores.renderers import ready_json
from mentions.api.access import load_document
from mentions.api.encoding import encode_document
from mentions.api.refusals import problem_of_failed_reply, problem_of_refusal, reply_url
from mentions.api.serializers import ReplySerializer, ResponseSerializer, message_json
from mentions.models import Message, Reply, ReplyState
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.tasks import nudge_delivery

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.4


def read_response(request: Any, body: str | None) -> str:
    """The text: query parameter ``response``, as the old client sends it, or the body's field."""
    query = request.query_params.get("response")
    if query is not None and body is not None and query != body:
        raise ApiProblem(
            "response_given_twice",
            "The query parameter response and the body's response differ: give one of them.",
            status_code=400,
        )
    return (query if query is not None else body) or ""


def read_undo_seconds(request: Any, body: float | None) -> float:
    """How long it waits to be undone: query parameter ``undo_seconds``, or the body's field."""
    query = request.query_params.get("undo_seconds")
    if query is None:
        return body or 0.0
    given = ResponseSerializer(data={"undo_seconds": query})
    given.is_valid(raise_exception=True)
    return given.validated_data["undo_seconds"] or 0.0


def send_reply(
    request: Any, message: Message, *, kind: str, text: str, undo_seconds: float = 0.0
) -> Response:
    """Queue it, nudge the worker, and wait for X for ``REPLY_WAIT_SECONDS`` at most.

    What can be undone is not waited for: the caller needs its address to undo it.
    """
    now = timezone.now()
    not_before = now + timedelta(seconds=undo_seconds) if undo_seconds else None
    try:
        reply = enqueue_reply(
            message,
            kind=kind,
            text=text,
            requested_by=request.user,
            idempotency_key=request.headers.get("Idempotency-Key"),
            not_before=not_before,
            now=now,
        )
    except OutboxRefusedError as error:
        raise problem_of_refusal(error, kind=kind, text=text, field="response") from error
    if not_before is not None and reply.state == ReplyState.QUEUED:
        nudge_delivery(reply)
    else:
        reply = deliver_and_wait(reply)
    document = load_document(request.user, message.pk)
    if reply.state == ReplyState.SENT:
        shown = encode_document(document)
        return Response(ready_json(request, shown.content), headers={"ETag": shown.etag})
    return Response(
        {"message": message_json(document), "reply": ReplySerializer(reply).data},
        status=status.HTTP_202_ACCEPTED,
        headers=pending_headers(reply),
    )


def pending_headers(reply: Reply) -> dict[str, str]:
    wait = (reply.not_before - timezone.now()).total_seconds()
    return {"Location": reply_url(reply), "Retry-After": str(max(1, min(3600, round(wait))))}


def deliver_and_wait(reply: Reply) -> Reply:
    """The row once it is settled, or as it stands when the time is up.

    Waits for nothing that cannot come in time: a row put off until later, an outcome that only
    reading X back can settle. Raises ApiProblem for a failed row.
    """
    deadline = timezone.now() + timedelta(seconds=settings.REPLY_WAIT_SECONDS)
    if _is_worth_waiting(reply, deadline):
        nudge_delivery(reply)
    pause = _FIRST_PAUSE_SECONDS
    while _is_worth_waiting(reply, deadline) and timezone.now() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        reply.refresh_from_db()
    if reply.state == ReplyState.FAILED:
        raise problem_of_failed_reply(reply)
    return reply


def _is_worth_waiting(reply: Reply, deadline: Any) -> bool:
    if reply.state == ReplyState.QUEUED:
        return reply.not_before < deadline
    return reply.state == ReplyState.SENDING
