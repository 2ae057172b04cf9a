"""One road for every call: whose it is, whether a fault hits it, what it costs, what it answers."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Request, Response, request

from autores.sandbox import problems
from autores.sandbox.faults import DAMAGES, REFUSALS, SILENCES, Fault
from autores.sandbox.oauth import Bearer
from autores.sandbox.problems import ApiProblem
from autores.sandbox.rendering import Selection, read_selection
from autores.sandbox.world import World

DEFAULT_SILENCE_SECONDS = 60.0


class ConnectionCut(ConnectionError):
    """The connection is gone on purpose; nothing more can be answered."""


@dataclass(frozen=True)
class Route:
    """An endpoint of X. `bucket` is its rate limit's name, when it differs from `name`."""

    name: str
    scopes: frozenset[str] = frozenset()
    allows_app: bool = False
    bucket: str | None = None


@dataclass(frozen=True)
class Call:
    """What a handler needs to know about the request it answers."""

    bearer: Bearer
    selection: Selection
    args: dict[str, str]

    @property
    def user_id(self) -> int:
        assert self.bearer.user_id is not None
        return self.bearer.user_id

    @property
    def vocabulary(self) -> str:
        return self.selection.vocabulary


Handler = Callable[[Call], tuple[int, dict[str, Any]]]


def answer_x_call(world: World, route: Route, handler: Handler) -> Response:
    """Serve one call of X's v2 API."""
    bearer = world.oauth.read_bearer(request.headers.get("Authorization"))
    account_id = None if bearer is None or bearer.user_id is None else str(bearer.user_id)
    args = request.args.to_dict()
    selection = read_selection(args, default_vocabulary=str(world.store.settings["vocabulary"]))
    bucket = route.bucket or route.name

    def run(fault: Fault | None) -> Response:
        known = world.oauth.require(bearer, scopes=route.scopes, allows_app=route.allows_app)
        rate = world.limits.count(bucket, user_id=known.user_id, app_id=known.client_id)
        try:
            if fault is not None and fault.name in REFUSALS:
                if fault.name == "server_error" and fault.params.get("applied"):
                    handler(Call(known, selection, args))
                raise refusal_of(world, fault, bucket, rate.headers)
            if rate.exceeded is not None:
                problem = problems.too_many_requests()
                problem.headers = rate.headers
                raise problem
            status, body = handler(Call(known, selection, args))
        except ApiProblem as problem:
            problem.headers = rate.headers | problem.headers
            raise
        return json_response(status, body, rate.headers)

    return answer_with_faults(
        world, route.name, run, account_id=account_id, error_type="application/problem+json"
    )


def answer_with_faults(
    world: World,
    route_name: str,
    run: Callable[[Fault | None], Response],
    *,
    account_id: str | None,
    error_type: str,
) -> Response:
    """Run a call under whatever fault is armed for it, and record it.

    `run` gets the fault so that it can answer refusals in its own shape; it raises ApiProblem.
    """
    fault = world.faults.pick(route_name, account_id=account_id)
    response: Response | None = None
    shown: list[str] = []
    try:
        if fault is not None and fault.name in ("timeout_before", "reset_before"):
            pass
        else:
            if fault is not None and fault.name == "slow":
                wait(world, float(fault.params.get("seconds", 2)))
            if fault is not None and fault.name == "timeout_after":
                wait(world, float(fault.params.get("effect_after", 0)))
            try:
                response = run(fault)
            except ApiProblem as problem:
                kind = "application/json" if "error" in problem.body else error_type
                response = json_response(problem.status, problem.body, problem.headers, kind)
        if response is not None:
            shown = response.headers.pop("x-sandbox-shown", "").split()
        if fault is not None and fault.name in DAMAGES and response is not None:
            response = damage(fault, response)
    finally:
        is_silent = fault is not None and fault.name in SILENCES
        world.calls.record(
            route_name,
            method=request.method,
            path=request.path,
            query=request.args.to_dict(),
            status=None if is_silent or response is None else response.status_code,
            account_id=account_id,
            fault=None if fault is None else fault.name,
            items=int(response.headers.pop("x-sandbox-items", 0)) if response is not None else 0,
        )
        if shown and account_id is not None and (fault is None or fault.name == "slow"):
            world.calls.record_shown(route_name, account_id=account_id, post_ids=shown)
    if fault is not None and fault.name in SILENCES:
        go_silent(world, fault, response)
    assert response is not None
    return response


def json_response(
    status: int,
    body: Any,
    headers: dict[str, str] | None = None,
    content_type: str = "application/json",
) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    response = Response(text, status=status, content_type=f"{content_type}; charset=utf-8")
    response.headers.update(headers or {})
    if isinstance(body, dict) and isinstance(body.get("data"), list):
        response.headers["x-sandbox-items"] = str(len(body["data"]))
        if status == 200 and all(isinstance(item, dict) for item in body["data"]):
            ids = [str(item.get("id", "")) for item in body["data"]]
            response.headers["x-sandbox-shown"] = " ".join(ids)
    return response


def refusal_of(world: World, fault: Fault, bucket: str, headers: dict[str, str]) -> ApiProblem:
    """The answer X gives for a scripted refusal."""
    params = fault.params
    if fault.name.startswith("rate_limit_"):
        scope = fault.name.removeprefix("rate_limit_")
        return world.limits.refuse(
            "user_window" if scope == "window" else scope,
            bucket,
            reset_in_seconds=params.get("reset_in_seconds"),
            shape=str(params.get("shape", "problem")),
            headers=headers,
        )
    match fault.name:
        case "usage_cap":
            return problems.usage_cap_exceeded()
        case "credits_depleted":
            return problems.credits_depleted()
        case "credits_payment_required":
            return problems.payment_required()
        case "unauthorized":
            return problems.unauthorized()
        case "forbidden":
            return problems.forbidden(str(params.get("detail", "Forbidden")))
        case "duplicate":
            return problems.forbidden(problems.DUPLICATE)
    return problems.server_error(int(params.get("status", 503)))


def damage(fault: Fault, response: Response) -> Response:
    text = response.get_data(as_text=True)
    if fault.name == "malformed_json":
        response.set_data(text[: max(len(text) // 2, 1)])
    elif fault.name == "missing_fields":
        body = json.loads(text)
        for name in fault.params.get("fields", ["id"]):
            _drop(body, str(name))
        response.set_data(json.dumps(body, ensure_ascii=False))
    return response


def _drop(body: dict[str, Any], name: str) -> None:
    # A dotted name is a path from the top; a bare one is dropped from every object of `data`.
    if "." in name:
        *parents, last = name.split(".")
        target: Any = body
        for parent in parents:
            target = target.get(parent, {}) if isinstance(target, dict) else {}
        for item in target if isinstance(target, list) else [target]:
            item.pop(last, None)
        return
    data = body.get("data", body)
    for item in data if isinstance(data, list) else [data]:
        item.pop(name, None)


def go_silent(world: World, fault: Fault, response: Response | None) -> None:
    """Never answer: hold the connection, or cut it. Always raises ConnectionCut."""
    connection: socket.socket | None = request.environ.get("werkzeug.socket")
    if fault.name.startswith("timeout"):
        seconds = float(fault.params.get("seconds", DEFAULT_SILENCE_SECONDS))
        wait(world, seconds, connection=connection)
    elif fault.name == "reset_mid_body" and connection is not None and response is not None:
        payload = response.get_data()
        head = (
            f"HTTP/1.1 {response.status}\r\nContent-Type: {response.content_type}\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n"
        )
        connection.sendall(head.encode() + payload[: len(payload) // 2])
        time.sleep(0.05)  # let the first half arrive before the reset overtakes it
    if connection is not None:
        cut(connection)
    raise ConnectionCut(fault.name)


def cut(connection: socket.socket) -> None:
    """Close with a reset, so that the caller sees a broken connection and not an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


def wait(world: World, seconds: float, *, connection: socket.socket | None = None) -> None:
    """Sleep; ends early when the sandbox stops or the caller hangs up."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if world.stopping.wait(min(left, 0.05)):
            return
        if connection is None:
            continue
        readable, _, _ = select.select([connection], [], [], 0)
        if readable and connection.recv(1, socket.MSG_PEEK) == b"":
            return


def read_json(incoming: Request, *, vocabulary: str) -> dict[str, Any]:
    try:
        body = json.loads(incoming.get_data() or b"null")
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is not text
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise problems.invalid_request(
            "The body of the request is not a JSON object", vocabulary=vocabulary
        )
    return body
