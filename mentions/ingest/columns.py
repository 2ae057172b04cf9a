"""The row of a new mention, encoded: what is alike in many rows of a page is encoded once.

All columns are written: the backend reads a missing one as None, not as a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

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
from mentions.models import MessageStatus, message_id_for
from mentions.models.tally import NOT_COUNTED

# Of the seven posts in ten that refer to no other one, and were not edited.
_PLAIN = {"in_reply_to_post_id": "", "quoted_post_id": "", "latest_post_id": ""}


@dataclass(slots=True)
class NewRow:
    """A mention that is not stored yet; ``own`` are the columns that ``shared`` has not."""

    own: Mapping[str, Any]
    shared: SharedFields

    @property
    def id(self) -> str:
        return str(self.own["_id"])

    @property
    def post_id(self) -> str:
        return str(self.own["post_id"])

    def rename(self, account: TwitterAccount) -> "NewRow":
        """The same under the id that it has where its own is another account's."""
        id_ = message_id_for(post_id=self.post_id, account_x_id=account.twitter_id, is_taken=True)
        return NewRow({**self.own, "_id": id_}, self.shared)

    def encode(self) -> RawBSONDocument:
        try:
            return self.shared.complete(self.own)
        except (InvalidDocument, OverflowError, RecursionError):
            # One odd number in what X gave must not keep the whole page out.
            return self.shared.complete(self.flatten().own)

    def flatten(self) -> "NewRow":
        """The same with X's JSON as MongoDB can hold it, whatever X gave."""
        return NewRow({**self.own, "raw": make_storable(self.own["raw"])}, self.shared)


class NewColumns:
    """Makes the rows of one page."""

    def __init__(self, account: TwitterAccount, finding: Finding, now: datetime) -> None:
        self._finding = finding
        self._now = now
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

    def make_row(self, post_id: str, post: Post, verdict: Classification) -> NewRow:
        """``post_id``: the work item's, which is that of the post's first version."""
        author = post.author
        own = {
            "_id": post_id,
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
        is_plain = latest_id == post_id and not post.references
        if not is_plain:
            own["in_reply_to_post_id"] = post.get_reference("replied_to") or ""
            own["quoted_post_id"] = post.get_reference("quoted") or ""
            own["latest_post_id"] = "" if latest_id == post_id else latest_id
        alike = (verdict, self._finding.is_late(int(post_id)), is_plain)
        shared = self._alike.get(alike)
        if shared is None:
            shared = self._alike[alike] = self._share(*alike)
        return NewRow(own, shared)

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
                "draft_not_before": self._now if is_drafted else None,
                "is_late": is_late,
            }
        )
