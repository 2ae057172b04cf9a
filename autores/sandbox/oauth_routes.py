"""The consent page and the token endpoints."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as WerkzeugResponse

from autores.sandbox.dispatch import answer_with_faults, json_response
from autores.sandbox.faults import REFUSALS, Fault
from autores.sandbox.oauth import ConsentRefusedError
from autores.sandbox.problems import ApiProblem, oauth_error, server_error
from autores.sandbox.world import World

_SCOPE_SENTENCES = {
    "tweet.read": "See posts from your timeline, including protected ones",
    "tweet.write": "Post and reply for you",
    "users.read": "See your profile and the profiles you can see",
    "offline.access": "Stay connected until you revoke access",
    "dm.read": "See your direct messages",
    "dm.write": "Send direct messages for you",
    "tweet.moderate.write": "Hide replies to your posts",
}


def make_oauth_blueprint(world: World) -> Blueprint:
    blueprint = Blueprint("oauth", __name__)

    @blueprint.route("/i/oauth2/authorize", methods=["GET", "POST"])
    def authorize() -> WerkzeugResponse:
        def run(fault: Fault | None) -> Response:
            if fault is not None and fault.name in REFUSALS:
                raise server_error(int(fault.params.get("status", 503)))
            # A redirect; only its base is no flask.Response.
            return _consent()  # type: ignore[return-value]

        return answer_with_faults(
            world, "authorize", run, account_id=None, error_type="application/problem+json"
        )

    def _consent() -> WerkzeugResponse:
        try:
            asked = world.oauth.read_authorize(request.args)
        except ConsentRefusedError as error:
            page = render_template("consent_refused.html", reason=str(error))
            return Response(page, status=400, content_type="text/html; charset=utf-8")
        if request.method == "GET":
            decided = world.oauth.take_consent(asked.client_id)
            if decided is not None:
                user, decision, scopes = decided
                return redirect(world.oauth.decide(asked, user, decision=decision, scopes=scopes))
            page = render_template(
                "consent.html",
                asked=asked,
                users=world.users.all(),
                connected={user.id for user in world.oauth.connected_users()},
                sentences=_SCOPE_SENTENCES,
            )
            return Response(page, content_type="text/html; charset=utf-8")
        chosen = request.form.get("user_id", "")
        user_found = world.users.find(int(chosen)) if chosen.isdigit() else None
        if user_found is None:
            page = render_template("consent_refused.html", reason="Pick an account first.")
            return Response(page, status=400, content_type="text/html; charset=utf-8")
        decision = "approve" if request.form.get("decision") == "approve" else "deny"
        return redirect(world.oauth.decide(asked, user_found, decision=decision, scopes=None))

    def answer_form_call(route: str) -> Response:
        def run(fault: Fault | None) -> Response:
            if fault is not None and fault.name in REFUSALS:
                raise _token_refusal(fault)
            client_id = world.oauth.authenticate_client(request.headers.get("Authorization"))
            form = request.form.to_dict()
            if route == "token":
                return json_response(200, world.oauth.token(client_id, form))
            return json_response(200, world.oauth.revoke(client_id, form.get("token", "")))

        return answer_with_faults(world, route, run, account_id=None, error_type="application/json")

    @blueprint.post("/2/oauth2/token")
    def token() -> Response:
        return answer_form_call("token")

    @blueprint.post("/2/oauth2/revoke")
    def revoke() -> Response:
        return answer_form_call("revoke")

    return blueprint


def _token_refusal(fault: Fault) -> ApiProblem:
    if fault.name == "unauthorized":
        return oauth_error(401, "unauthorized_client", "Missing valid authorization header")
    if fault.name == "server_error":
        return server_error(int(fault.params.get("status", 503)))
    if fault.name == "forbidden":
        return oauth_error(400, "invalid_request", str(fault.params.get("detail", "Forbidden")))
    problem = server_error(503)
    if fault.name.startswith("rate_limit") or fault.name == "usage_cap":
        problem = oauth_error(429, "too_many_requests", "Too Many Requests")
    return problem
