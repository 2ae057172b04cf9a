"""People, the X accounts they run, who may do what, and the consent flows under way.

Every key is a string stored in ``_id``: a key under another name would leave MongoDB's own
``_id`` beside it, and make each look-up a collection scan. Token fields hold ciphertext.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone

from autores.choices import TextChoices
from autores.mongo.indexes import TTLIndex, UniqueIndex
from autores.mongo.instances import find_instance

OAUTH_STATE_SECONDS = 600


def new_id() -> str:
    return str(uuid.uuid4())


class StringKeyModel(models.Model):
    """A model whose primary key is a random UUID as text, in ``_id``."""

    id = models.CharField(
        primary_key=True, max_length=64, default=new_id, editable=False, db_column="_id"
    )

    class Meta:
        abstract = True


class User(AbstractUser):
    """A person. ``x_user_id`` is set for those who sign in through X."""

    id = models.CharField(
        primary_key=True, max_length=36, default=new_id, editable=False, db_column="_id"
    )
    x_user_id = models.CharField(
        "X user id", max_length=32, null=True, blank=True, unique=True, default=None
    )
    # Of accounts.permissions; given by accounts.verified, to be read once for many requests.
    known_roles: Any = None

    class Meta(AbstractUser.Meta):
        db_table = "people"
        verbose_name = "person"
        verbose_name_plural = "people"


class Role(TextChoices):
    """What a person may do with one account; each role includes those before it."""

    VIEWER = "viewer", "Viewer: reads"
    RESPONDER = "responder", "Responder: drafts, edits, submits"
    APPROVER = "approver", "Approver: sends"
    MANAGER = "manager", "Manager: connects, settings, people"

    def includes(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)

    def and_above(self) -> list["Role"]:
        order = list(Role)
        return order[order.index(self) :]


class AccountStatus(TextChoices):
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"
    RATE_LIMITED = "rate_limited", "Rate limited"
    TOKEN_EXPIRED = "token_expired", "Reconnect needed"
    ERROR = "error", "Error"


# As much as a draft's prompt takes (mentions.drafting.prompt).
MAX_VOICE_CHARACTERS = 8_000


class TwitterAccount(StringKeyModel):
    """An X account that the team runs, keyed by the id it had in the legacy ``users`` table."""

    twitter_id = models.CharField("X user id", max_length=255)
    twitter_username = models.CharField("@name", max_length=255, blank=True, default="")
    display_name = models.CharField(max_length=255, blank=True, default="")
    # What it was called before its owner renamed it, and when that was noticed.
    former_username = models.CharField(max_length=255, blank=True, default="", editable=False)
    renamed_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Ciphertext (autores.crypto); accounts.tokens is the only reader.
    access_token = models.TextField(blank=True, default="", editable=False)
    refresh_token = models.TextField(blank=True, default="", editable=False)
    token_expires_at = models.DateTimeField(null=True, blank=True)
    scopes = models.JSONField(default=list, blank=True)

    status = models.CharField(
        max_length=20, choices=AccountStatus.choices, default=AccountStatus.ACTIVE
    )
    status_reason = models.TextField(blank=True, default="")
    status_changed_at = models.DateTimeField(null=True, blank=True)
    # X refuses some of this account's calls until then (429), at the latest; others go on.
    blocked_until = models.DateTimeField(null=True, blank=True)
    # Which: X counts calls per endpoint. Pairs [name in autores.x.endpoints, ISO 8601 time]; no
    # object, because the backend's updates refuse an empty one.
    closed_endpoints = models.JSONField(default=list, blank=True, editable=False)
    last_polled_at = models.DateTimeField(null=True, blank=True)
    # When its mentions are to be polled next (None: now); mentions.ingest.due writes it.
    poll_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Every mention that X showed up to then is stored; mentions.ingest writes it.
    complete_until = models.DateTimeField("complete up to", null=True, blank=True, editable=False)
    last_error_code = models.CharField(max_length=64, blank=True, default="")
    # In words, ours and X's; it stays when the trouble is over.
    last_error = models.TextField("last error of X", blank=True, default="", editable=False)
    last_error_at = models.DateTimeField(null=True, blank=True)

    # One token refresh at a time across all processes: a lease, taken by conditional update.
    refresh_lease = models.CharField(max_length=64, blank=True, default="", editable=False)
    refresh_lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    # Taken over from a system that may still refresh the same single-use token: until that one
    # is declared stopped, this one must not. A consent given here ends it for the account.
    fenced_since = models.DateTimeField(null=True, blank=True, editable=False)

    voice = models.TextField(
        "voice and facts",
        max_length=MAX_VOICE_CHARACTERS,
        blank=True,
        default="",
        help_text="How this account speaks, and the facts, links and prices a draft may use.",
    )
    drafts_automatically = models.BooleanField(default=True)

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "users"
        verbose_name = "X account"
        ordering: ClassVar[list[str]] = ["twitter_username"]
        indexes: ClassVar[list[models.Index]] = [
            UniqueIndex(fields=["twitter_id"], name="account_twitter_id_unq"),
            models.Index(fields=["status", "token_expires_at"], name="account_expiry_idx"),
            models.Index(fields=["twitter_username"], name="account_username_idx"),
            models.Index(fields=["poll_due_at", "status"], name="account_poll_due_idx"),
        ]

    def __str__(self) -> str:
        return f"@{self.twitter_username}" if self.twitter_username else f"X user {self.twitter_id}"

    def name_changes(self, username: str, display_name: str, *, now: datetime) -> dict[str, Any]:
        """The columns to write when X calls the account so; the former name is remembered."""
        changes: dict[str, Any] = {"twitter_username": username, "display_name": display_name}
        if self.twitter_username and self.twitter_username.lower() != username.lower():
            changes |= {"former_username": self.twitter_username, "renamed_at": now}
        return changes

    @property
    def is_active(self) -> bool:
        return self.status == AccountStatus.ACTIVE

    @property
    def is_fenced(self) -> bool:
        return self.fenced_since is not None

    def list_closed(self, *, now: datetime) -> dict[str, datetime]:
        """Endpoints whose window X has closed to this account, by name, and when each opens."""
        stored = self.closed_endpoints or []
        closed = {name: datetime.fromisoformat(opens_at) for name, opens_at in stored}
        return {name: opens_at for name, opens_at in closed.items() if opens_at > now}


class AccountEvent(StringKeyModel):
    """One change of an account's status: its history. Rows vanish after half a year.

    ``event`` names the transition (accounts.states); ``actor`` is a person's id, or
    "system:accounts". Holds no secret.
    """

    account = models.ForeignKey(
        TwitterAccount, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    at = models.DateTimeField(default=timezone.now, editable=False)
    event = models.CharField(max_length=32)
    before = models.CharField(max_length=20, choices=AccountStatus.choices)
    after = models.CharField(max_length=20, choices=AccountStatus.choices)
    code = models.CharField(max_length=64, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    actor = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar[list[str]] = ["-at"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["account", "-at"], name="account_event_idx"),
            TTLIndex(fields=["at"], seconds=180 * 86_400, name="account_event_ttl"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.before} to {self.after}: {self.event}"


class Membership(StringKeyModel):
    """One person's role on one account."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="memberships",
        db_index=False,
    )
    account = models.ForeignKey(
        TwitterAccount, on_delete=models.CASCADE, related_name="memberships", db_index=False
    )
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "role"
        indexes: ClassVar[list[models.Index]] = [
            UniqueIndex(fields=["user", "account"], name="membership_unq"),
            models.Index(fields=["account", "role"], name="membership_account_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.role} of {self.account_id}"


def oauth_state_expiry() -> datetime:
    return timezone.now() + timedelta(seconds=OAUTH_STATE_SECONDS)


class OAuthState(models.Model):
    """A consent flow under way. Single use: the callback takes it by deleting it.

    Bound to who began it: a signed-in person (``user``), or the browser that holds the cookie
    whose SHA-256 is ``browser_hash``. MongoDB removes it some time after ``expires_at``; the
    callback checks the time itself.
    """

    state = models.CharField(primary_key=True, max_length=255, db_column="_id")
    # Ciphertext, as the tokens are.
    code_verifier = models.TextField(editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        db_index=False,
    )
    browser_hash = models.CharField(max_length=64, blank=True, default="", editable=False)
    redirect_uri = models.CharField(max_length=500, blank=True, default="")
    return_to = models.CharField(max_length=200, blank=True, default="")
    # The id of the account that is to be connected again; empty: whichever consents.
    reconnects = models.CharField(max_length=64, blank=True, default="", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(default=oauth_state_expiry)

    class Meta:
        db_table = "oauth_states"
        verbose_name = "OAuth state"
        indexes: ClassVar[list[models.Index]] = [
            TTLIndex(fields=["expires_at"], seconds=0, name="oauth_state_ttl"),
            models.Index(fields=["user"], name="oauth_state_user_idx"),
        ]

    def __str__(self) -> str:
        return f"begun {self.created_at:%Y-%m-%d %H:%M}"


class PersonalToken(models.Model):
    """A token for scripts. Only its SHA-256 is kept, as the key; ``prefix`` tells it apart."""

    digest = models.CharField(primary_key=True, max_length=64, db_column="_id", editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="personal_tokens",
        db_index=False,
    )
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "-created_at"], name="personal_token_user_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class AppPause(models.Model):
    """While this row stands, no call to X leaves: credits are gone, a cap, or an operator."""

    KEY: ClassVar[str] = "x"

    id = models.CharField(primary_key=True, max_length=8, default="x", db_column="_id")
    code = models.CharField(max_length=64)
    reason = models.TextField()
    paused_at = models.DateTimeField(default=timezone.now)
    # None: until somebody resumes it.
    until = models.DateTimeField(null=True, blank=True)
    # One that X made us set ends by itself: after ``until`` one call at a time tries whether X
    # takes calls again, ``probes`` counts them, and the next waits longer.
    is_probed = models.BooleanField(default=False, editable=False)
    probes = models.IntegerField(default=0, editable=False)
    probing_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "pause of all calls to X"
        verbose_name_plural = "pause of all calls to X"

    def __str__(self) -> str:
        return self.reason

    @classmethod
    def standing(cls) -> "AppPause | None":
        """The pause, in force or waiting to be probed, or None."""
        return find_instance(cls, {"_id": cls.KEY})

    @classmethod
    def current(cls, *, now: datetime | None = None) -> "AppPause | None":
        """The pause in force, or None."""
        pause = cls.standing()
        return pause if pause is not None and pause.is_in_force(now=now) else None

    def is_in_force(self, *, now: datetime | None = None) -> bool:
        return self.until is None or self.until > (now or timezone.now())
