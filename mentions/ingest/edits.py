"""A mention that its author edited on X: one more version of the same row.

What was made for the old words must not be sent as an answer to the new ones: an open draft gets
another version, so that who read it before has to look again. The old words stay in the audit.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import F

from accounts.models import TwitterAccount
from autores.mongo.documents import make_storable
from autores.mongo.reads import find_page
from autores.mongo.transactions import run_in_transaction
from autores.x.posts import Post
from autores.x.text import unescape_text
from mentions.ingest.classify import Classification
from mentions.models import (
    GONE_STATES,
    MESSAGE_EDITED,
    OPEN_DRAFT_STATES,
    Draft,
    MentionKind,
    Message,
    Reply,
    ReplyState,
    record_audit,
)

_READ = ("post_id", "latest_post_id", "x_state", "text", "kind", "is_replyable", "draft_state")


def latest_id_of(post: Post) -> str:
    """The id of the version that this is."""
    return post.edit_history_ids[-1] if post.edit_history_ids else post.id


def find_outdated(account: TwitterAccount, posts: Mapping[str, Post]) -> dict[str, dict[str, Any]]:
    """The stored rows of which X shows a newer version, by their post id; not those deleted on X.

    ``posts``: what X shows now, by the post id of the stored row.
    """
    edited = {id_: post for id_, post in posts.items() if latest_id_of(post) != id_}
    if not edited:
        return {}
    rows = find_page(
        Message,
        filter={"account_id": account.pk, "post_id": {"$in": list(edited)}},
        projection=dict.fromkeys(_READ, 1),
        limit=len(edited),
    )
    return {
        row["post_id"]: row
        for row in rows
        # What was deleted on X may be shown once more, and an older version, too, by an index
        # that lags.
        if row.get("x_state", "") not in GONE_STATES
        and int(row.get("latest_post_id") or row["post_id"])
        < int(latest_id_of(edited[row["post_id"]]))
    }


def store_edits(
    rows: Mapping[str, Mapping[str, Any]],
    posts: Mapping[str, Post],
    *,
    classify: Callable[[Post], Classification],
    wants_drafts: bool,
    now: datetime,
) -> None:
    """Each in a transaction of its own; another poll may have stored it meanwhile.

    ``rows`` and ``posts``: as ``find_outdated`` gave and took them. ``wants_drafts``: of a mention
    that only its new words let us answer.
    """
    for post_id, row in rows.items():
        post = posts[post_id]
        verdict = classify(post)
        run_in_transaction(
            partial(_store_edit, row, post, verdict, wants_drafts=wants_drafts, now=now)
        )


def _store_edit(
    row: Mapping[str, Any],
    post: Post,
    verdict: Classification,
    *,
    wants_drafts: bool,
    now: datetime,
) -> None:
    text = unescape_text(post.text)
    changes: dict[str, Any] = {
        "text": text,
        "latest_post_id": latest_id_of(post),
        "raw": make_storable(post.raw),
        # X shows it, whatever it said of it before.
        "x_state": "",
    }
    if verdict.is_work_item:
        changes |= {
            "is_replyable": verdict.is_replyable,
            "replyable_code": verdict.code,
            "replyable_reason": verdict.reason,
        }
    # Kind and time of those stay the import's, for its proof and its undoing.
    is_legacy = row.get("kind") == MentionKind.LEGACY
    if not is_legacy:
        changes["kind"] = verdict.kind
        was_closed = not row.get("is_replyable") and row.get("draft_state") == "none"
        if was_closed and verdict.is_replyable and wants_drafts:
            changes |= {"draft_state": "wanted", "draft_not_before": now}
    messages = connection.get_collection(Message._meta.db_table)
    found = messages.update_one(
        {
            "_id": row["_id"],
            "latest_post_id": row.get("latest_post_id"),
            "x_state": {"$nin": [state.value for state in GONE_STATES]},
        },
        {
            "$set": changes,
            # The poll may have begun before somebody's last change.
            "$max": {} if is_legacy else {"updated_at": now},
            "$inc": {"version": 1},
        },
        session=connection.session,
    )
    if not found.matched_count:
        return
    Draft.objects.filter(open_key=row["_id"], state__in=OPEN_DRAFT_STATES).update(
        version=F("version") + 1, updated_at=now
    )
    # The outbox sees now, not when it is due, that nobody wants it sent under these words.
    Reply.objects.filter(
        message_id=row["_id"], state=ReplyState.QUEUED, target_post_id__gt=""
    ).update(not_before=now)
    message = Message.objects.get(pk=row["_id"])
    record_audit(
        MESSAGE_EDITED,
        actor="system:polling",
        object_type="message",
        object_id=message.pk,
        account_id=message.account_id,
        message_id=message.pk,
        before={"text": row.get("text", "")},
        after={"text": text},
        note="The author edited this post on X.",
    )
