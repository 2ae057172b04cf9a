"""The endpoints of X's v2 API that the sandbox answers."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, request

from autores.sandbox import problems
from autores.sandbox.create_body import read_create_post, read_send_message
from autores.sandbox.dispatch import Call, Handler, Route, answer_x_call, read_json
from autores.sandbox.problems import not_found_entry
from autores.sandbox.reading import Page, read_page_request
from autores.sandbox.users import User
from autores.sandbox.world import World

_READ = frozenset({"tweet.read", "users.read"})
_WRITE = _READ | {"tweet.write"}
_DM_READ = _READ | {"dm.read"}
_DM_WRITE = _READ | {"dm.write"}

_SELECTION_PARAMETERS = {
    "tweet.fields", "post.fields", "expansions", "user.fields", "media.fields", "poll.fields",
    "place.fields",
}  # fmt: skip
_PAGE_PARAMETERS = _SELECTION_PARAMETERS | {
    "max_results", "pagination_token", "since_id", "until_id", "start_time", "end_time",
}  # fmt: skip


def check_parameters(call: Call, allowed: set[str]) -> None:
    """X refuses names of parameters it does not know (unlike names of fields)."""
    for name in call.args:
        if name not in allowed:
            raise problems.invalid_request(
                f"The query parameter [{name}] is not one of [{','.join(sorted(allowed))}]",
                parameter=name,
                value=call.args[name],
                vocabulary=call.vocabulary,
            )


def check_id(value: str, name: str, vocabulary: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", value):
        raise problems.invalid_request(
            f"The `{name}` query parameter value [{value}] is not valid",
            parameter=name,
            value=value,
            vocabulary=vocabulary,
        )
    return int(value)


def read_ids(call: Call) -> list[str]:
    ids = [value for value in call.args.get("ids", "").split(",") if value]
    if not 1 <= len(ids) <= 100:
        raise problems.invalid_request(
            f"The number of values in the `ids` query parameter list [{len(ids)}] is not between "
            "1 and 100",
            parameter="ids",
            value=call.args.get("ids", ""),
            vocabulary=call.vocabulary,
        )
    for value in ids:
        check_id(value, "ids", call.vocabulary)
    return list(dict.fromkeys(ids))


def make_x_blueprint(world: World) -> Blueprint:
    blueprint = Blueprint("x", __name__)

    def serve(route: Route, handler: Handler) -> Response:
        return answer_x_call(world, route, handler)

    def one_user(call: Call, user: User | None, *, parameter: str, value: str) -> dict[str, Any]:
        if user is None:
            missing = not_found_entry(
                "user", value=value, parameter=parameter, vocabulary=call.vocabulary
            )
            return {"errors": [missing]}
        return {"data": world.renderer.user(user, call.selection, viewer_id=call.bearer.user_id)}

    def page_body(call: Call, page: Page) -> dict[str, Any]:
        body = world.renderer.posts_with_includes(
            page.posts, call.selection, viewer_id=call.bearer.user_id
        )
        return body | {"meta": page.meta()}

    # Users ---------------------------------------------------------------------------------

    @blueprint.get("/2/users/me")
    def get_me() -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            user = world.users.find(call.user_id)
            return 200, one_user(call, user, parameter="id", value=str(call.user_id))

        return serve(Route("me", _READ), handle)

    @blueprint.get("/2/users")
    def get_users() -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            check_parameters(call, _SELECTION_PARAMETERS | {"ids"})
            ids = read_ids(call)
            found = world.users.find_many({int(value) for value in ids})
            body: dict[str, Any] = {}
            data = [
                world.renderer.user(
                    found[int(value)], call.selection, viewer_id=call.bearer.user_id
                )
                for value in ids
                if int(value) in found
            ]
            missing = [
                not_found_entry("user", value=value, parameter="ids", vocabulary=call.vocabulary)
                for value in ids
                if int(value) not in found
            ]
            if data:
                body["data"] = data
            if missing:
                body["errors"] = missing
            return 200, body

        return serve(Route("users", _READ, allows_app=True), handle)

    @blueprint.get("/2/users/<user_id>")
    def get_user(user_id: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            number = check_id(user_id, "id", call.vocabulary)
            return 200, one_user(call, world.users.find(number), parameter="id", value=user_id)

        return serve(Route("users", _READ, allows_app=True), handle)

    @blueprint.get("/2/users/by/username/<username>")
    def get_user_by_username(username: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            user = world.users.find_by_username(username)
            return 200, one_user(call, user, parameter="username", value=username)

        return serve(Route("users", _READ, allows_app=True), handle)

    # Pages of posts ------------------------------------------------------------------------

    @blueprint.get("/2/users/<user_id>/mentions")
    def get_mentions(user_id: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            check_parameters(call, _PAGE_PARAMETERS)
            number = check_id(user_id, "id", call.vocabulary)
            asked = read_page_request(call.args, vocabulary=call.vocabulary)
            if world.users.find(number) is None:
                return 200, one_user(call, None, parameter="id", value=user_id)
            return 200, page_body(call, world.reading.mentions(number, asked))

        return serve(Route("mentions", _READ, allows_app=True), handle)

    @blueprint.get("/2/users/<user_id>/tweets")
    def get_user_posts(user_id: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            check_parameters(call, _PAGE_PARAMETERS | {"exclude"})
            number = check_id(user_id, "id", call.vocabulary)
            asked = read_page_request(call.args, vocabulary=call.vocabulary)
            if world.users.find(number) is None:
                return 200, one_user(call, None, parameter="id", value=user_id)
            exclude = set(call.args.get("exclude", "").split(","))
            return 200, page_body(call, world.reading.timeline(number, asked, exclude=exclude))

        return serve(Route("timeline", _READ, allows_app=True), handle)

    @blueprint.get("/2/tweets/search/recent")
    def search_recent() -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            check_parameters(call, _PAGE_PARAMETERS | {"query", "next_token", "sort_order"})
            asked = read_page_request(
                call.args,
                vocabulary=call.vocabulary,
                minimum=10,
                token_names=("next_token", "pagination_token"),
            )
            query = call.args.get("query", "")
            page = world.reading.search(query, asked, vocabulary=call.vocabulary)
            return 200, page_body(call, page)

        return serve(Route("search", _READ, allows_app=True), handle)

    # Single posts --------------------------------------------------------------------------

    @blueprint.get("/2/tweets")
    def get_posts() -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            check_parameters(call, _SELECTION_PARAMETERS | {"ids"})
            ids = read_ids(call)
            found = world.posts.find_many(int(value) for value in ids)
            posts = [found[int(value)] for value in ids if int(value) in found]
            body = world.renderer.posts_with_includes(
                posts, call.selection, viewer_id=call.bearer.user_id
            )
            missing = [
                not_found_entry("tweet", value=value, parameter="ids", vocabulary=call.vocabulary)
                for value in ids
                if int(value) not in found
            ]
            if missing:
                body["errors"] = missing + body.get("errors", [])
            return 200, body

        return serve(Route("lookup", _READ, allows_app=True), handle)

    @blueprint.get("/2/tweets/<post_id>")
    def get_post(post_id: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            check_parameters(call, _SELECTION_PARAMETERS)
            post = world.posts.find(check_id(post_id, "id", call.vocabulary))
            if post is None:
                missing = not_found_entry(
                    "tweet", value=post_id, parameter="id", vocabulary=call.vocabulary
                )
                return 200, {"errors": [missing]}
            body = world.renderer.posts_with_includes(
                [post], call.selection, viewer_id=call.bearer.user_id
            )
            return 200, body | {"data": body["data"][0]}

        return serve(Route("lookup", _READ, allows_app=True, bucket="lookup_one"), handle)

    @blueprint.post("/2/tweets")
    def create_post() -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            body = read_json(request, vocabulary=call.vocabulary)
            order = read_create_post(body, vocabulary=call.vocabulary)
            post = world.posts.create(
                call.user_id,
                text=order.text,
                in_reply_to=order.in_reply_to,
                quote_of=order.quote_of,
                exclude_user_ids=order.exclude_user_ids,
                reply_settings=order.reply_settings,
                vocabulary=call.vocabulary,
            )
            data: dict[str, Any] = {"id": str(post.id), "text": post.text}
            if call.vocabulary == "post":
                data["edit_history_post_ids"] = post.edit_history
            return 201, {"data": data}

        return serve(Route("create_post", _WRITE), handle)

    @blueprint.delete("/2/tweets/<post_id>")
    def delete_post(post_id: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            check_id(post_id, "id", call.vocabulary)
            world.posts.delete(call.user_id, post_id, vocabulary=call.vocabulary)
            return 200, {"data": {"deleted": True}}

        return serve(Route("delete_post", _WRITE), handle)

    # Direct messages -----------------------------------------------------------------------

    def send(call: Call, recipient_id: int) -> tuple[int, dict[str, Any]]:
        body = read_json(request, vocabulary=call.vocabulary)
        text = read_send_message(body, vocabulary=call.vocabulary)
        conversation, event_id = world.dms.send(
            call.user_id, recipient_id, text=text, vocabulary=call.vocabulary
        )
        return 201, {"data": {"dm_conversation_id": conversation, "dm_event_id": event_id}}

    @blueprint.post("/2/dm_conversations/with/<participant_id>/messages")
    def send_dm(participant_id: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            return send(call, check_id(participant_id, "participant_id", call.vocabulary))

        return serve(Route("dm", _DM_WRITE), handle)

    @blueprint.post("/2/dm_conversations/<conversation>/messages")
    def send_dm_to_conversation(conversation: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            members = re.fullmatch(r"([0-9]{1,19})-([0-9]{1,19})", conversation)
            ids = [int(part) for part in members.groups()] if members else []
            if call.user_id not in ids:
                raise problems.forbidden(problems.DM_REFUSED)
            ids.remove(call.user_id)
            return send(call, ids[0])

        return serve(Route("dm", _DM_WRITE), handle)

    @blueprint.get("/2/dm_conversations/with/<participant_id>/dm_events")
    def get_dm_events_with(participant_id: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            other = check_id(participant_id, "participant_id", call.vocabulary)
            return 200, world.dms.list_events(
                call.user_id, call.args, participant_id=other, vocabulary=call.vocabulary
            )

        return serve(Route("dm_events", _DM_READ), handle)

    @blueprint.get("/2/dm_events")
    def get_dm_events() -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            return 200, world.dms.list_events(call.user_id, call.args, vocabulary=call.vocabulary)

        return serve(Route("dm_events", _DM_READ), handle)

    @blueprint.get("/2/dm_events/<event_id>")
    def get_dm_event(event_id: str) -> Response:
        def handle(call: Call) -> tuple[int, dict[str, Any]]:
            check_id(event_id, "event_id", call.vocabulary)
            page = world.dms.list_events(
                call.user_id, call.args, event_id=event_id, vocabulary=call.vocabulary
            )
            if "data" not in page:
                raise problems.not_found("dm_event", value=event_id, vocabulary=call.vocabulary)
            return 200, {"data": page["data"][0]}

        return serve(Route("dm_events", _DM_READ), handle)

    return blueprint
