"""The work item: one mention of one account (collection ``messages``)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from bson.regex import Regex
from django.db import connection, models
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.choices import TextChoices
from autores.mongo.backend.errors import described_errors
from autores.mongo.indexes import UniqueIndex
from autores.mongo.transactions import run_in_transaction
from autores.x.ids import is_post_id
from mentions.models.tally import NOT_COUNTED, KeepTally, MessageQuerySet

# Later than nothing: what a query must say to use an index of rows that have a time.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MessageStatus(TextChoices):
    PENDING = "pending", "Pending"
    PROCESSING = "processing", "Processing"
    REPLIED = "replied", "Replied"
    IGNORED = "ignored", "Ignored"
    ERROR = "error", "Error"


class FoundBy(TextChoices):
    """Which reading showed the mention first; empty for what ingest did not store."""

    BASELINE = "baseline", "First poll of the account"
    POLL = "poll", "Poll"
    SWEEP = "sweep", "Sweep of the timeline"
    SEARCH = "search", "Search"


# X's word that a post is not there counts when it was said twice, with this time between.
CONFIRM_AFTER = timedelta(minutes=30)


class XState(TextChoices):
    """What X said of the post when it was looked up last; empty while it shows it."""

    HIDDEN = "hidden", "Not shown to the account"
    MISSING = "missing", "Not found; looked up again before it counts as deleted"
    DELETED = "deleted", "Deleted on X; what is stored of it is being removed"
    REDACTED = "redacted", "Deleted on X; only ids and times are left"


_NEVER_SAVED = frozenset({"tally", "has_replies", "unfiled_at"})

GONE_STATES = (XState.DELETED, XState.REDACTED)


class MentionKind(TextChoices):
    """How the post reaches the account."""

    DIRECT = "direct", "Direct mention"
    IMPLICIT = "implicit", "Carried along in a thread"
    QUOTE = "quote", "Quote"
    REPOST = "repost", "Repost"
    LEGACY = "legacy", "From the former system"


def message_id_for(*, post_id: str, account_x_id: str, is_taken: bool) -> str:
    """The post id; ``<post id>:<account's X id>`` when another account's item has that id."""
    return f"{post_id}:{account_x_id}" if is_taken else post_id


def find_ids_of_posts(post_ids: Iterable[str]) -> dict[str, str]:
    """By id, which of the posts a message is of: every account's, as ``message_id_for`` names them.

    By the keys, so that no index of post ids has to be kept, which each new message would be
    written into.
    """
    wanted = list(post_ids)
    # Only X's are renamed. Python's own pattern would be sent with a flag that keeps the index
    # from being used.
    renamed = [Regex(f"^{post_id}:") for post_id in wanted if is_post_id(post_id)]
    with described_errors(Message._meta.db_table):
        found = connection.get_collection(Message._meta.db_table).find(
            {"_id": {"$in": [*wanted, *renamed]}, "post_id": {"$in": wanted}},
            {"post_id": 1},
            session=connection.session,
        )
        return {row["_id"]: row["post_id"] for row in found}


def list_versions(raw: Mapping[str, Any]) -> list[str]:
    """The ids of the post's versions, oldest first, as X's JSON of the newest one has them."""
    chain = raw.get("edit_history_post_ids", raw.get("edit_history_tweet_ids"))
    return [id_ for id_ in chain if is_post_id(id_)] if isinstance(chain, list) else []


class Message(models.Model):
    """One mention, as the team works it. Fields of the legacy table keep their names.

    ``user`` is the author's X id, ``timestamp`` when the post was made. ``raw`` is the post's
    JSON as X gave it. A message without an account is visible to superusers only.
    """

    id = models.CharField(primary_key=True, max_length=64, db_column="_id", editable=False)
    account = models.ForeignKey(
        TwitterAccount,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="messages",
        db_index=False,
    )
    post_id = models.CharField(max_length=64, editable=False)
    timestamp = models.DateTimeField()
    user = models.CharField("author's X id", max_length=255)
    text = models.TextField()
    # Free text in the database: an unknown status of a migrated row is kept as it was.
    status = models.CharField(
        max_length=50, choices=MessageStatus.choices, default=MessageStatus.PENDING
    )
    public_response = models.TextField(null=True, blank=True)
    dm_response = models.TextField(null=True, blank=True)
    credits_used = models.IntegerField(null=True, blank=True, default=0)
    redirected = models.BooleanField(null=True, blank=True, default=False)
    created_at = models.DateTimeField(null=True, default=timezone.now, editable=False)
    updated_at = models.DateTimeField(null=True, default=timezone.now, editable=False)

    author_username = models.CharField(max_length=64, blank=True, default="")
    author_name = models.CharField(max_length=255, blank=True, default="")
    lang = models.CharField(max_length=16, blank=True, default="")
    kind = models.CharField(max_length=16, choices=MentionKind.choices, default=MentionKind.DIRECT)
    conversation_id = models.CharField(max_length=64, blank=True, default="")
    in_reply_to_post_id = models.CharField(max_length=64, blank=True, default="")
    quoted_post_id = models.CharField(max_length=64, blank=True, default="")
    # The newest id of an edited post: replies go to it.
    latest_post_id = models.CharField(max_length=64, blank=True, default="")
    is_replyable = models.BooleanField("can be answered", default=False)
    replyable_code = models.CharField(max_length=64, blank=True, default="")
    replyable_reason = models.TextField(blank=True, default="")
    # Drafting reads what is "wanted" and writes what came of it; see mentions.drafting.
    draft_state = models.CharField(max_length=16, blank=True, default="none", editable=False)
    draft_not_before = models.DateTimeField(null=True, blank=True, editable=False)
    draft_attempts = models.IntegerField(default=0, editable=False)
    claimed_by = models.CharField(max_length=64, blank=True, default="", editable=False)
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Counts every change by a person or a stage; the ETag is made of it.
    version = models.IntegerField(default=1, editable=False)
    raw = models.JSONField(default=dict, blank=True, editable=False)
    # The figures of coverage are counted from these, so that no crash can make them wrong.
    found_by = models.CharField(
        max_length=16, choices=FoundBy.choices, blank=True, default="", editable=False
    )
    seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    # X showed it only after the polls had passed its id.
    is_late = models.BooleanField("shown late", default=False, editable=False)
    # mentions.recheck looks posts up on X again, from ``recheck_at`` on; None: not any more.
    x_state = models.CharField(
        "on X", max_length=16, choices=XState.choices, blank=True, default="", editable=False
    )
    x_checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    recheck_at = models.DateTimeField(null=True, blank=True, editable=False)
    deleted_found_at = models.DateTimeField(null=True, blank=True, editable=False)
    redacted_at = models.DateTimeField(null=True, blank=True, editable=False)
    # A reply was queued once: who changes the message by hand looks whether one is under way.
    has_replies = models.BooleanField(null=True, editable=False)
    # When the newest audit entry was left on the row to be filed; see mentions.models.audit.
    unfiled_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Where the counters have the row; see mentions.models.tally.
    tally = models.CharField(max_length=160, blank=True, default=NOT_COUNTED, editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        db_table = "messages"
        verbose_name = "mention"
        ordering: ClassVar[list[str]] = ["-timestamp", "-id"]
        indexes: ClassVar[list[models.Index]] = [
            UniqueIndex(fields=["account", "post_id"], name="message_account_post_unq"),
            models.Index(fields=["-timestamp", "-id"], name="message_time_idx"),
            models.Index(fields=["status", "-timestamp", "-id"], name="message_status_idx"),
            models.Index(fields=["account", "-timestamp", "-id"], name="message_account_idx"),
            models.Index(
                fields=["account", "status", "-timestamp", "-id"], name="message_acct_status_idx"
            ),
            # Of those alone whose draft is to be made, or is being made.
            models.Index(
                fields=["draft_state", "draft_not_before"],
                condition=models.Q(draft_not_before__gt=EPOCH),
                name="message_wanted_idx",
            ),
            models.Index(fields=["conversation_id"], name="message_conversation_idx"),
            # Of edited mentions alone: they are few.
            models.Index(
                fields=["latest_post_id"],
                condition=models.Q(latest_post_id__gt=""),
                name="message_latest_idx",
            ),
            models.Index(fields=["user", "-timestamp"], name="message_author_idx"),
            # Holds all that the figures of a day need: the messages themselves are not read.
            models.Index(
                fields=["account", "timestamp", "found_by", "is_late"],
                condition=models.Q(found_by__gt=""),
                name="message_coverage_idx",
            ),
            models.Index(
                fields=["account", "recheck_at", "status", "-timestamp"],
                condition=models.Q(recheck_at__gt=EPOCH),
                name="message_recheck_idx",
            ),
            models.Index(
                fields=["x_state", "account", "recheck_at"],
                condition=models.Q(x_state__gt=""),
                name="message_x_state_idx",
            ),
            # Holds all of the rows that the counters do not have as they are.
            models.Index(
                fields=["tally", "account", "status", "timestamp"],
                condition=models.Q(tally__gt=""),
                name="message_tally_idx",
            ),
            models.Index(
                fields=["unfiled_at"],
                condition=models.Q(unfiled_at__gt=EPOCH),
                name="message_unfiled_idx",
            ),
        ]

    def __str__(self) -> str:
        who = f"@{self.author_username}" if self.author_username else self.user
        return f"{who}: {'deleted on X' if self.x_state in GONE_STATES else self.text[:60]}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding and not kwargs.get("force_insert"):
            # What was loaded may be out of date: these are the updates', never this object's.
            names = kwargs.get("update_fields") or [
                field.name for field in self._meta.concrete_fields if not field.primary_key
            ]
            kwargs["update_fields"] = [name for name in names if name not in _NEVER_SAVED]
            run_in_transaction(lambda: self._save_marked(*args, **kwargs))
            return
        super().save(*args, **kwargs)

    def _save_marked(self, *args: Any, **kwargs: Any) -> None:
        type(self).objects.filter(pk=self.pk).update(tally=KeepTally())
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        return type(self).objects.filter(pk=self.pk).delete()

    @property
    def reply_target_id(self) -> str:
        """The post a reply must name: the newest version of an edited post."""
        return self.latest_post_id or self.post_id

    @property
    def version_ids(self) -> set[str]:
        """The ids of all versions of the post: a reply may have been sent to any of them."""
        return {self.post_id, self.reply_target_id, *list_versions(self.raw or {})}

    def is_edited_since(self, version_id: str) -> bool:
        """Whether its author edited it after the version with this id; False for an empty id."""
        return bool(version_id) and version_id != self.reply_target_id
