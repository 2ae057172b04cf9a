"""The page a person looks at: accounts, threads with their replies, direct messages."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from autores.sandbox import clock as clocks
from autores.sandbox.control_routes import describe_post, describe_user, dms_json
from autores.sandbox.posts import post_of
from autores.sandbox.world import World

SHOWN_POSTS = 400


def read_timeline(world: World, *, limit: int = SHOWN_POSTS) -> dict[str, Any]:
    """{"accounts", "threads", "dms", "calls", "version"}; threads by their newest post.

    A thread is {"root", "posts": [post + "depth"]}; parents come before their replies.
    """
    rows = world.store.all("SELECT * FROM posts ORDER BY id DESC LIMIT ?", limit)
    posts = {row["id"]: post_of(row) for row in rows}
    missing = {
        parent
        for post in posts.values()
        for parent in (post.conversation_id, post.in_reply_to)
        if parent is not None and parent not in posts
    }
    for row in world.store.all_in("SELECT * FROM posts WHERE id IN ({})", missing):
        posts[row["id"]] = post_of(row)
    users = world.users.find_many({post.author_id for post in posts.values()})
    names = {user.id: user.username for user in users.values()}
    connected = world.oauth.connected_users()
    connected_ids = {user.id for user in connected}
    children: dict[int, list[int]] = {}
    roots: list[int] = []
    for post_id in sorted(posts):
        parent = posts[post_id].in_reply_to
        if parent is not None and parent in posts:
            children.setdefault(parent, []).append(post_id)
        else:
            roots.append(post_id)
    threads = []
    for root in roots:
        ordered: list[dict[str, Any]] = []
        stack = [(root, 0)]
        while stack:
            post_id, depth = stack.pop()
            post = posts[post_id]
            shown = describe_post(post, names)
            author = users.get(post.author_id)
            quoted = posts.get(post.quote_of) if post.quote_of else None
            ordered.append(
                {
                    **shown,
                    "depth": depth,
                    "author_name": author.name if author else "?",
                    "is_account": post.author_id in connected_ids,
                    "quoted": describe_post(quoted, names) if quoted else None,
                    "entities": post.entities,
                }
            )
            stack += [(child, depth + 1) for child in reversed(children.get(post_id, []))]
        newest = max(int(post["id"]) for post in ordered)
        threads.append({"root": str(root), "newest": newest, "posts": ordered})
    threads.sort(key=lambda thread: -int(thread["newest"]))
    dms = dms_json(world)[-200:]
    version = f"{world.store.highest_id()}-{len(dms)}-{len(connected)}"
    return {
        "version": version,
        "now": clocks.format_time(world.clock.now_ms()),
        "accounts": [describe_user(user) for user in connected],
        "threads": threads,
        "dms": dms,
        "autopilot": world.store.settings["autopilot"],
        "faults": [
            fault
            for fault in world.faults.all()
            if fault["times"] is None or fault["fired"] < fault["times"]
        ],
    }


def make_timeline_blueprint(world: World) -> Blueprint:
    blueprint = Blueprint("timeline", __name__)

    @blueprint.get("/timeline.json")
    def timeline_json() -> Response:
        return jsonify(read_timeline(world))

    @blueprint.get("/")
    def timeline_page() -> str:
        shown = read_timeline(world)
        account = request.args.get("account")
        return render_template("timeline.html", **shown, selected=account)

    return blueprint
