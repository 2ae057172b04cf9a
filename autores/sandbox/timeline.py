"""The page a person looks at: accounts, threads with their replies, direct messages."""

from __future__ import annotations

import html
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request
from markupsafe import Markup, escape

from autores.sandbox import clock as clocks
from autores.sandbox.control_routes import describe_post, describe_user, dms_json
from autores.sandbox.posts import post_of
from autores.sandbox.world import World

SHOWN_POSTS = 200


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
    threads: list[dict[str, Any]] = []
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
        people = {post["author"] for post in ordered} | {
            entity["username"]
            for post in ordered
            for entity in post["entities"].get("mentions", [])
        }
        threads.append({"root": str(root), "people": sorted(people), "posts": ordered})
    threads.sort(key=lambda thread: max(int(post["id"]) for post in thread["posts"]), reverse=True)
    dms = dms_json(world)[-200:]
    return {
        "version": read_version(world),
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


def read_version(world: World) -> str:
    """Changes whenever the page would look different."""
    row = world.store.one(
        "SELECT (SELECT count(*) FROM posts WHERE deleted_ms IS NOT NULL),"
        " (SELECT count(*) FROM grants), (SELECT coalesce(sum(fired), 0) + count(*) FROM faults)"
    )
    counts = "-".join(str(value) for value in row) if row else ""
    autopilot = world.store.settings["autopilot"]
    return f"{world.store.highest_id()}-{counts}-{autopilot['enabled']}"


def show_text(post: dict[str, Any]) -> Markup:
    """The post as HTML: links by their display form, handles and hashtags coloured."""
    text = post["note_text"] or post["text"]
    if post["note_text"]:
        return escape(text)
    pieces: list[Markup] = []
    position = 0
    spans = [
        (entity["start"], entity["end"], kind, entity)
        for kind, entities in post["entities"].items()
        for entity in entities
    ]
    for start, end, kind, entity in sorted(spans, key=lambda span: span[0]):
        if start < position:
            continue
        # The stored text is escaped already, as X's is.
        pieces.append(Markup(text[position:start]))  # noqa: S704
        shown = Markup(text[start:end])  # noqa: S704 - likewise
        if kind == "urls":
            pieces.append(
                Markup('<a href="{}" rel="noreferrer">{}</a>').format(
                    entity["expanded_url"], entity["display_url"]
                )
            )
        else:
            pieces.append(Markup('<span style="color:var(--accent)">{}</span>').format(shown))
        position = end
    pieces.append(Markup(text[position:]))  # noqa: S704 - escaped when it was stored
    return Markup("").join(pieces)


def make_timeline_blueprint(world: World) -> Blueprint:
    blueprint = Blueprint("timeline", __name__)

    @blueprint.get("/timeline.json")
    def timeline_json() -> Response:
        if request.args.get("part") == "version":
            return jsonify({"version": read_version(world)})
        return jsonify(read_timeline(world))

    @blueprint.get("/")
    def timeline_page() -> str:
        shown = read_timeline(world)
        for thread in shown["threads"]:
            for post in thread["posts"]:
                post["html"] = show_text(post)
                if post["quoted"]:
                    post["quoted"]["plain"] = html.unescape(post["quoted"]["text"])
        conversations: dict[str, dict[str, Any]] = {}
        for message in shown["dms"]:
            conversation = conversations.setdefault(
                message["conversation_id"],
                {"people": [message["sender"], message["recipient"]], "messages": []},
            )
            conversation["messages"].append(message)
        return render_template(
            "timeline.html",
            **shown,
            conversations=list(reversed(conversations.values())),
            selected=request.args.get("account"),
        )

    return blueprint
