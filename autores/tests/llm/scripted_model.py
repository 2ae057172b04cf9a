"""A model's API that answers each request with the next step of a script, over real HTTP."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from autores.tests.scripted_server import ScriptedServer, serve_script


@dataclass
class Step:
    """One answer. `fault` is reset, silence or cut (mid-body)."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""


@dataclass
class Script:
    url: str
    server: ScriptedServer

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [
            {"path": request.path, "headers": request.headers, "json": request.json}
            for request in self.server.received
        ]


def answer_body(output: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a finished answer of the Responses API, as its reference prints it."""
    if output is None:
        output = json.dumps(
            {"language": "en", "reasons": ["A plain question."], "kind": "reply", "text": "Hi Bo!"}
        )
    body: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-test-2026-01-01",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": output, "annotations": []}],
            },
        ],
        "usage": {
            "input_tokens": 321,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 45,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 366,
        },
    }
    return body | changes


def error_body(message: str, *, code: str | None = None, kind: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@contextmanager
def serve_model(*steps: Step) -> Iterator[Script]:
    with serve_script() as server:
        for step in steps:
            _add(server, step)
        yield Script(url=f"{server.url}/v1", server=server)


def _add(server: ScriptedServer, step: Step) -> None:
    if step.fault in ("reset", "silence"):
        server.act(after={"reset": "reset", "silence": "hang"}[step.fault])
        return
    headers = {"x-request-id": "req_1"} | step.headers
    content_type = headers.pop("content-type", "application/json")
    server.answer(step.body, status=step.status, headers=headers, content_type=content_type)
    if step.fault == "cut":
        sent = server.steps[-1]
        head, _, body = sent.raw.partition(b"\r\n\r\n")
        sent.raw = head + b"\r\n\r\n" + body[: len(body) // 2]
        sent.after = "close"
