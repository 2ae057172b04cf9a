"""The control API: how tests, the demo and the command script the sandbox. JSON in and out."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from autores.sandbox import clock as clocks
from autores.sandbox.feed import list_feed
from autores.sandbox.limits import PRESETS, SCOPES
from autores.sandbox.mentions import order_from
from autores.sandbox.posts import Post, post_of
from autores.sandbox.store import DEFAULT_SETTINGS
from autores.sandbox.users import SandboxInputError, User
from autores.sandbox.world import World


def describe_post(post: Post, usernames: dict[int, str]) -> dict[str, Any]:
    """A post for the control API and the timeline: plain keys, ids as strings."""

    def text_id(value: int | None) -> str | None:
        return None if value is None else str(value)

    return {
        "id": str(post.id),
        "text": post.text,
        "note_text": post.note_text,
        "author_id": str(post.author_id),
        "author": usernames.get(post.author_id, "?"),
        "created_at": clocks.format_time(post.created_ms),
        "indexed_at": clocks.format_time(post.indexed_ms),
        "conversation_id": str(post.conversation_id),
        "in_reply_to": text_id(post.in_reply_to),
        "in_reply_to_user_id": text_id(post.in_reply_to_user),
        "quote_of": text_id(post.quote_of),
        "repost_of": text_id(post.repost_of),
        "reply_settings": post.reply_settings,
        "lang": post.lang,
        "display_text_range": [post.display_start, post.display_end],
        "source": post.source,
        "is_deleted": post.deleted_ms is not None,
    }


def describe_user(user: User) -> dict[str, Any]:
    return {
        **user.profile,
        "id": str(user.id),
        "username": user.username,
        "name": user.name,
        "created_at": clocks.format_time(user.created_ms),
        "receives_your_dm": user.receives_your_dm,
    }


def make_control_blueprint(world: World) -> Blueprint:
    blueprint = Blueprint("control", __name__, url_prefix="/_sandbox")

    def body() -> dict[str, Any]:
        found = request.get_json(silent=True) if request.get_data() else {}
        if not isinstance(found, dict):
            raise SandboxInputError("send a JSON object")
        return found

    def posts_json(posts: list[Post]) -> list[dict[str, Any]]:
        users = world.users.find_many({post.author_id for post in posts})
        names = {user.id: user.username for user in users.values()}
        return [describe_post(post, names) for post in posts]

    @blueprint.errorhandler(ValueError)
    @blueprint.errorhandler(TypeError)
    def refuse(error: Exception) -> tuple[Response, int]:
        # SandboxInputError is a ValueError; the others come from values of the wrong kind.
        return jsonify({"error": str(error)}), 400

    @blueprint.get("/health")
    def health() -> Response:
        return jsonify({"status": "ok", "now": clocks.format_time(world.clock.now_ms())})

    @blueprint.post("/reset")
    def reset() -> Response:
        world.reset()
        return jsonify({"reset": True})

    # People and posts ----------------------------------------------------------------------

    @blueprint.get("/users")
    def list_users() -> Response:
        connected = {user.id for user in world.oauth.connected_users()}
        users = [
            {**describe_user(user), "is_connected": user.id in connected}
            for user in world.users.all()
        ]
        return jsonify({"users": users})

    @blueprint.post("/users")
    def create_user() -> tuple[Response, int]:
        asked = body()
        username = str(asked.pop("username", "")).lstrip("@")
        for key in ("blocks", "follows"):
            if key in asked:
                asked[key] = [str(value) for value in asked[key]]
        user = world.users.create(
            username,
            name=asked.pop("name", None),
            user_id=asked.pop("id", None),
            receives_your_dm=bool(asked.pop("receives_your_dm", True)),
            **asked,
        )
        return jsonify(describe_user(user)), 201

    @blueprint.post("/mentions")
    def create_mentions() -> tuple[Response, int]:
        order = order_from(body(), users=world.users, posts=world.posts, clock=world.clock)
        return jsonify({"posts": posts_json(world.mentions.arrive(order))}), 201

    @blueprint.get("/posts")
    def list_posts() -> Response:
        author = request.args.get("author") or request.args.get("author_id")
        author_id = None
        if author:
            author_id = world.users.require_either(
                **({"user_id": author} if author.isdigit() else {"username": author})
            ).id
        parent = request.args.get("in_reply_to")
        rows = world.store.all(
            "SELECT * FROM posts WHERE (? IS NULL OR author_id = ?)"
            " AND (? IS NULL OR in_reply_to = ?) ORDER BY id",
            author_id,
            author_id,
            parent,
            None if parent is None else int(parent),
        )
        return jsonify({"posts": posts_json([post_of(row) for row in rows])})

    @blueprint.get("/feed")
    def show_feed() -> Response:
        account = world.users.require_either(
            user_id=request.args.get("account_id"), username=request.args.get("account")
        )
        return jsonify({"mentions": list_feed(world, account.id)})

    @blueprint.post("/posts/<int:post_id>/delete")
    def delete_post(post_id: int) -> Response:
        if not world.posts.remove(post_id):
            raise SandboxInputError(f"there is no post {post_id}")
        return jsonify({"deleted": True})

    @blueprint.post("/posts/<int:post_id>/edit")
    def edit_post(post_id: int) -> Response:
        return jsonify(posts_json([world.mentions.edit(post_id, str(body().get("text", "")))])[0])

    @blueprint.get("/dms")
    def list_dms() -> Response:
        return jsonify({"dms": dms_json(world)})

    @blueprint.post("/dms")
    def send_dm() -> tuple[Response, int]:
        asked = body()
        sender = world.users.require_either(
            user_id=asked.get("from_id"), username=asked.get("from")
        )
        recipient = world.users.require_either(user_id=asked.get("to_id"), username=asked.get("to"))
        conversation, event_id = world.dms.store_event(
            sender.id, recipient.id, str(asked.get("text", ""))
        )
        return jsonify({"dm_conversation_id": conversation, "dm_event_id": event_id}), 201

    # Consent and tokens --------------------------------------------------------------------

    @blueprint.post("/clients")
    def register_client() -> tuple[Response, int]:
        asked = body()
        client_id = str(asked.get("client_id") or world.options.client_id)
        callbacks = [str(value) for value in asked.get("callbacks", [])]
        world.oauth.register(
            client_id,
            str(asked.get("client_secret") or world.options.client_secret),
            name=str(asked.get("name") or world.options.client_name),
            callbacks=callbacks,
        )
        return jsonify({"client_id": client_id, "callbacks": callbacks}), 201

    @blueprint.post("/consent")
    def set_consent() -> Response:
        asked = body()
        decision = asked.get("decision", "approve")
        if decision not in ("approve", "deny"):
            raise SandboxInputError(f"decision {decision!r}: use approve or deny")
        scopes = asked.get("scopes")
        if isinstance(scopes, str):
            scopes = scopes.split()
        user = world.users.require_either(
            user_id=asked.get("user_id"), username=asked.get("username")
        )
        world.oauth.set_consent(
            user,
            decision=decision,
            client_id=asked.get("client_id"),
            scopes=scopes,
            is_sticky=bool(asked.get("sticky", False)),
        )
        return jsonify({"user_id": str(user.id), "decision": decision})

    @blueprint.delete("/consent")
    def clear_consent() -> Response:
        return jsonify({"removed": world.store.run("DELETE FROM consents")})

    @blueprint.post("/tokens/revoke")
    def revoke_tokens() -> Response:
        return jsonify({"revoked": world.oauth.revoke_user(token_owner().id)})

    @blueprint.post("/tokens/expire")
    def expire_tokens() -> Response:
        return jsonify({"expired": world.oauth.expire_user(token_owner().id)})

    @blueprint.post("/tokens/issue")
    def issue_tokens() -> tuple[Response, int]:
        """A grant without the browser: {"user_id"|"username", "scopes"?} -> the token answer."""
        asked = body()
        user = world.users.require_either(
            user_id=asked.get("user_id"), username=asked.get("username")
        )
        scopes = asked.get("scopes")
        if isinstance(scopes, str):
            scopes = scopes.split()
        client_id = str(asked.get("client_id") or world.options.client_id)
        return jsonify(world.oauth.issue_directly(user.id, client_id, scopes)), 201

    def token_owner() -> User:
        asked = body()
        return world.users.require_either(
            user_id=asked.get("user_id"), username=asked.get("username")
        )

    # Faults, limits, calls -----------------------------------------------------------------

    @blueprint.get("/faults")
    def list_faults() -> Response:
        return jsonify({"faults": world.faults.all()})

    @blueprint.post("/faults")
    def add_fault() -> tuple[Response, int]:
        asked = body()
        known = {"route", "fault", "times", "account_id", "after", "probability", "params"}
        unknown = sorted(set(asked) - known)
        if unknown:
            raise SandboxInputError(f"unknown keys {', '.join(unknown)}: use {sorted(known)}")
        times = asked.get("times", 1)
        account_id = asked.get("account_id")
        fault_id = world.faults.add(
            str(asked.get("route", "*")),
            str(asked.get("fault", "")),
            times=None if times is None else int(times),
            after=int(asked.get("after") or 0),
            probability=float(asked.get("probability", 1)),
            account_id=None if account_id is None else str(account_id),
            params=asked.get("params"),
        )
        return jsonify({"id": fault_id}), 201

    @blueprint.delete("/faults")
    def clear_faults() -> Response:
        return jsonify({"removed": world.faults.clear()})

    @blueprint.delete("/faults/<int:fault_id>")
    def clear_fault(fault_id: int) -> Response:
        return jsonify({"removed": world.faults.clear(fault_id)})

    @blueprint.get("/limits")
    def show_limits() -> Response:
        settings = world.store.settings
        return jsonify({"preset": settings["limits"], "overrides": settings["limit_overrides"]})

    @blueprint.post("/limits")
    def set_limits() -> Response:
        """{"preset"?} and/or {"route", "user_window"?, "app_window"?, "user_day"?, "app_day"?}."""
        asked = body()
        if "preset" in asked:
            if asked["preset"] not in PRESETS:
                raise SandboxInputError(f"preset: use one of {', '.join(PRESETS)}")
            world.store.put_setting("limits", asked["preset"])
            world.store.put_setting("limit_overrides", {})
        if "route" in asked:
            values = {scope: asked[scope] for scope in SCOPES if scope in asked}
            if not values:
                raise SandboxInputError(f"give one of {', '.join(SCOPES)}; null lifts it")
            overrides = dict(world.store.settings["limit_overrides"])
            overrides[asked["route"]] = {**overrides.get(asked["route"], {}), **values}
            world.store.put_setting("limit_overrides", overrides)
        world.limits.reset()
        return show_limits()

    @blueprint.get("/calls")
    def list_calls() -> Response:
        limit = request.args.get("limit")
        calls = world.calls.all(
            route=request.args.get("route"),
            account_id=request.args.get("account_id"),
            limit=None if limit is None else int(limit),
        )
        return jsonify({"calls": calls})

    @blueprint.delete("/calls")
    def clear_calls() -> Response:
        return jsonify({"removed": world.calls.clear()})

    # Time, settings, autopilot -------------------------------------------------------------

    @blueprint.get("/clock")
    def show_clock() -> Response:
        now = world.clock.now_ms()
        frozen = world.store.settings["clock_frozen_ms"] is not None
        return jsonify({"now": clocks.format_time(now), "frozen": frozen})

    @blueprint.post("/clock")
    def set_clock() -> Response:
        """{"advance_seconds"?, "now"?, "frozen"?}."""
        asked = body()
        if "frozen" in asked:
            world.clock.freeze(bool(asked["frozen"]))
        if "now" in asked:
            try:
                world.clock.set_now(clocks.parse_time(str(asked["now"])))
            except ValueError as error:
                raise SandboxInputError(f"now: {error}") from error
        if "advance_seconds" in asked:
            world.clock.advance(float(asked["advance_seconds"]))
        return show_clock()

    @blueprint.get("/settings")
    def show_settings() -> Response:
        return jsonify(world.store.settings)

    @blueprint.post("/settings")
    def change_settings() -> Response:
        asked = body()
        changeable = [key for key in DEFAULT_SETTINGS if not key.startswith("clock_")]
        for key in asked:
            if key not in changeable:
                raise SandboxInputError(f"unknown setting {key}: use {', '.join(changeable)}")
        for key, value in asked.items():
            world.store.put_setting(key, value)
        return show_settings()

    @blueprint.post("/autopilot")
    def set_autopilot() -> Response:
        asked = body()
        setting = {
            "enabled": bool(asked.get("enabled", True)),
            "every_seconds": float(asked.get("every_seconds", 20)),
        }
        if setting["every_seconds"] <= 0:
            raise SandboxInputError("every_seconds: use a number above 0")
        world.store.put_setting("autopilot", setting)
        return jsonify(setting)

    return blueprint


def dms_json(world: World) -> list[dict[str, Any]]:
    """Every message, oldest first."""
    rows = world.store.all("SELECT * FROM dm_events ORDER BY id")
    ids = {row[key] for row in rows for key in ("sender_id", "recipient_id")}
    names = {user.id: user.username for user in world.users.find_many(ids).values()}
    return [
        {
            "id": str(row["id"]),
            "conversation_id": row["conversation_id"],
            "sender_id": str(row["sender_id"]),
            "sender": names.get(row["sender_id"], "?"),
            "recipient_id": str(row["recipient_id"]),
            "recipient": names.get(row["recipient_id"], "?"),
            "text": row["text"],
            "created_at": clocks.format_time(row["created_ms"]),
        }
        for row in rows
    ]
