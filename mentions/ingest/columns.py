"""The document of a new mention: what is alike in many of a page is encoded once.

All columns are written: the backend reads a missing one as None, not as a default.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument
from django.conf import settings

from accounts.models import TwitterAccount
from autores.mongo.documents import SharedFields, make_storable
from autores.x.posts import Post
from autores.x.text import unescape_text
from mentions.ingest.classify import Classification
from mentions.ingest.edits import latest_id_of
from mentions.ingest.finding import Finding
from mentions.models import MessageStatus
from mentions.models.tally import NOT_COUNTED

# Of the seven posts in ten that refer to no other one, and were not edited.
_PLAIN = {"in_reply_to_post_id": "", "quoted_post_id": "", "latest_post_id": ""}


class NewMention(NamedTuple):
    """What is not stored yet; ``id`` is the post's, or one of its own where that is taken."""

    id: str
    post_id: str
    post: Post
    verdict: Classification


class NewColumns:
    """Makes the documents of one page."""

    def __init__(self, account: TwitterAccount, finding: Finding, now: datetime) -> None:
        self.now = now
        self._finding = finding
        hours = settings.X_RECHECK_INTERVAL
        self._common = {
            "account_id": account.pk,
            "public_response": None,
            "dm_response": None,
            "credits_used": 0,
            "redirected": False,
            "created_at": now,
            "updated_at": now,
            "has_replies": None,
            "unfiled_at": None,
            "tally": NOT_COUNTED,
            "draft_attempts": 0,
            "claimed_by": "",
            "claimed_at": None,
            "version": 1,
            "found_by": finding.found_by.value,
            "seen_at": now,
            "x_state": "",
            "x_checked_at": None,
            "recheck_at": now + timedelta(hours=hours) if hours else None,
            "deleted_found_at": None,
            "redacted_at": None,
        }
        self._alike: dict[tuple[Classification, bool, bool], SharedFields] = {}

    def encode(self, new: NewMention) -> RawBSONDocument:
        own, shared = self._split(new)
        try:
            return shared.complete(own)
        except (InvalidDocument, OverflowError, RecursionError):
            # One odd number in what X gave must not keep the whole page out.
            return self.encode_flat(new)

    def encode_flat(self, new: NewMention) -> RawBSONDocument:
        """The same with X's JSON as MongoDB can hold it, whatever X gave."""
        own, shared = self._split(new)
        return shared.complete({**own, "raw": make_storable(new.post.raw)})

    def _split(self, new: NewMention) -> tuple[dict[str, Any], SharedFields]:
        """The columns that are the mention's own, and the others."""
        id_, post_id, post, verdict = new
        author = post.author
        own = {
            "_id": id_,
            "post_id": post_id,
            "timestamp": post.created_at,
            "user": post.author_id,
            "text": unescape_text(post.text),
            "author_username": author.username if author else "",
            "author_name": author.name if author else "",
            "lang": post.lang or "",
            "conversation_id": post.conversation_id,
            "raw": post.raw,
        }
        latest_id = latest_id_of(post)
        is_plain = latest_id == post_id and not post.has_references
        if not is_plain:
            own["in_reply_to_post_id"] = post.get_reference("replied_to") or ""
            own["quoted_post_id"] = post.get_reference("quoted") or ""
            own["latest_post_id"] = "" if latest_id == post_id else latest_id
        alike = (verdict, self._finding.is_late(int(post_id)), is_plain)
        shared = self._alike.get(alike)
        if shared is None:
            shared = self._alike[alike] = self._share(*alike)
        return own, shared

    def _share(self, verdict: Classification, is_late: bool, is_plain: bool) -> SharedFields:
        is_drafted = self._finding.wants_drafts and verdict.is_replyable
        # A repost says nothing that could be answered, and stays out of the queue.
        status = MessageStatus.IGNORED if verdict.kind == "repost" else MessageStatus.PENDING
        return SharedFields(
            {
                **self._common,
                **(_PLAIN if is_plain else {}),
                "status": status.value,
                "kind": verdict.kind,
                "is_replyable": verdict.is_replyable,
                "replyable_code": verdict.code,
                "replyable_reason": verdict.reason,
                "draft_state": "wanted" if is_drafted else "none",
                "draft_not_before": self.now if is_drafted else None,
                "is_late": is_late,
            }
        )
