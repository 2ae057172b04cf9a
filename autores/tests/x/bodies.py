"""Answers of X in both vocabularies, as its documents and its API print them."""

from typing import Any

ANA = {"id": "1001", "name": "Ana", "username": "ana_team"}
CARLA = {"id": "3003", "name": "Carla", "username": "carla"}


def post_body(vocabulary: str = "post", **changes: Any) -> dict[str, Any]:
    """Carla's reply under Ana's post, which names Ana once more in its own words."""
    names = {
        "post": ("referenced_posts", "edit_history_post_ids"),
        "tweet": ("referenced_tweets", "edit_history_tweet_ids"),
    }[vocabulary]
    body = {
        "id": "1853000000000000002",
        "text": "@ana_team is it open today, @ana_team? https://t.co/abc &amp; thanks",
        "author_id": CARLA["id"],
        "created_at": "2026-11-20T10:00:00.000Z",
        "conversation_id": "1853000000000000001",
        "in_reply_to_user_id": ANA["id"],
        names[0]: [{"type": "replied_to", "id": "1853000000000000001"}],
        names[1]: ["1853000000000000002"],
        "display_text_range": [10, 68],
        "reply_settings": "everyone",
        "lang": "en",
        "entities": {
            "mentions": [
                {"start": 0, "end": 9, "username": "ana_team", "id": ANA["id"]},
                {"start": 28, "end": 37, "username": "ana_team", "id": ANA["id"]},
            ],
            "urls": [
                {
                    "start": 39,
                    "end": 55,
                    "url": "https://t.co/abc",
                    "expanded_url": "https://example.com/opening",
                    "display_url": "example.com/opening",
                }
            ],
        },
    }
    return {key: value for key, value in (body | changes).items() if value is not None}


def page_body(vocabulary: str = "post", **changes: Any) -> dict[str, Any]:
    parent = {
        "id": "1853000000000000001",
        "text": "We moved!",
        "author_id": ANA["id"],
        "created_at": "2026-11-20T09:00:00.000Z",
        "conversation_id": "1853000000000000001",
    }
    body = {
        "data": [post_body(vocabulary)],
        "includes": {
            "users": [dict(CARLA), dict(ANA)],
            "posts" if vocabulary == "post" else "tweets": [parent],
        },
        "meta": {
            "newest_id": "1853000000000000002",
            "oldest_id": "1853000000000000002",
            "result_count": 1,
            "next_token": "next-page-token-0001",
        },
    }
    return body | changes


def problem_body(
    status: int, *, title: str, kind: str, detail: str, **extra: Any
) -> dict[str, Any]:
    return {"title": title, "type": kind, "status": status, "detail": detail, **extra}
