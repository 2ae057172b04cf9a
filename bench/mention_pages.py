"""Pages of mentions as X prints them, deterministic: what ingest is fed in the benchmarks.

The texts are those of ``bench.legacy_data``. Of ten mentions seven are direct, one is a reply in a
thread that carries the handle along, one a quote, and one has a link.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from autores.x.ids import first_post_id_at
from bench.legacy_data import PHRASES

HANDLE = "team"


@dataclass(frozen=True)
class Mentioned:
    """Whose mentions they are."""

    x_id: str
    username: str = HANDLE


def make_posts(
    count: int, *, of: Mentioned, after: datetime, step: timedelta, seed: int = 11
) -> Iterator[dict[str, Any]]:
    """Posts from old to new, one every ``step``, by 2,000 authors."""
    chance = random.Random(f"{seed} {of.x_id} {after}")
    moment = after
    for number in range(count):
        moment += step
        post_id = str(int(first_post_id_at(moment)) | chance.randrange(1 << 22))
        yield _make_post(number, post_id, moment, of, chance)


def print_page(posts: Sequence[dict[str, Any]], *, next_token: str | None = None) -> bytes:
    """X's answer with these posts, newest first; without any, as X prints an empty page."""
    meta: dict[str, Any] = {"result_count": len(posts)}
    if next_token:
        meta["next_token"] = next_token
    if not posts:
        return orjson.dumps({"meta": meta})
    newest_first = list(reversed(posts))
    authors = {post["author_id"]: _make_user(post["author_id"]) for post in newest_first}
    parents = {
        reference["id"]: _make_parent(reference["id"], post)
        for post in newest_first
        for reference in post.get("referenced_posts", ())
    }
    for parent in parents.values():
        authors[parent["author_id"]] = _make_user(parent["author_id"])
    return orjson.dumps(
        {
            "data": newest_first,
            "includes": {"users": list(authors.values()), "posts": list(parents.values())},
            "meta": {
                **meta,
                "newest_id": newest_first[0]["id"],
                "oldest_id": newest_first[-1]["id"],
            },
        }
    )


def _make_post(
    number: int, post_id: str, moment: datetime, of: Mentioned, chance: random.Random
) -> dict[str, Any]:
    text = " ".join(chance.choices(PHRASES, k=chance.randrange(1, 4)))
    post: dict[str, Any] = {
        "id": post_id,
        "text": text,
        "author_id": str(5 * 10**17 + chance.randrange(2_000)),
        "created_at": _print_time(moment),
        "conversation_id": post_id,
        "edit_history_post_ids": [post_id],
        "lang": "en",
        "reply_settings": "everyone",
        "display_text_range": [0, len(text)],
        "entities": {"mentions": [{"start": 0, "end": 5, "username": of.username, "id": of.x_id}]},
    }
    kind = number % 10
    if kind == 7:
        parent = str(int(post_id) - (1 << 30))
        post |= {
            "in_reply_to_user_id": "77",
            "conversation_id": parent,
            "referenced_posts": [{"type": "replied_to", "id": parent}],
            "display_text_range": [6, len(text)],
        }
    elif kind == 8:
        post["referenced_posts"] = [{"type": "quoted", "id": str(int(post_id) - (1 << 31))}]
    elif kind == 9:
        url = f"https://t.co/{number:010x}"
        start = len(text) + 1
        post["text"] = f"{text} {url}"
        post["display_text_range"] = [0, start + len(url)]
        post["entities"]["urls"] = [
            {
                "start": start,
                "end": start + len(url),
                "url": url,
                "expanded_url": f"https://example.com/help/{number}",
                "display_url": f"example.com/help/{number}",
            }
        ]
    return post


def _make_user(user_id: str) -> dict[str, Any]:
    return {
        "id": user_id,
        "name": f"Person {user_id[-4:]} 🌍",
        "username": f"person{user_id[-4:]}",
        "profile_image_url": f"https://pbs.twimg.com/profile_images/{user_id}/a.jpg",
        "protected": False,
        "verified": False,
    }


def _make_parent(post_id: str, child: dict[str, Any]) -> dict[str, Any]:
    moment = datetime.fromisoformat(child["created_at"]) - timedelta(minutes=5)
    return {
        "id": post_id,
        "text": "We moved! Our new shop opens on Monday.",
        "author_id": "77",
        "created_at": _print_time(moment),
        "conversation_id": post_id,
        "edit_history_post_ids": [post_id],
    }


def _print_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
