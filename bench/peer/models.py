"""The message as the plan's Beanie document."""

from datetime import datetime

from beanie import Document
from pydantic import BaseModel
from pymongo import DESCENDING, IndexModel


class Message(Document):
    id: str  # type: ignore[assignment]
    timestamp: datetime
    user: str
    text: str
    status: str = "pending"
    public_response: str | None = None
    dm_response: str | None = None
    credits_used: int | None = 0
    redirected: bool | None = False
    created_at: datetime | None = None
    updated_at: datetime | None = None

    class Settings:
        name = "messages"
        indexes = [
            IndexModel([("timestamp", DESCENDING)]),
            IndexModel([("status", 1), ("timestamp", DESCENDING)]),
            IndexModel([("user", 1)]),
        ]


class MessageUpdate(BaseModel):
    status: str | None = None
    public_response: str | None = None
    dm_response: str | None = None
    credits_used: int | None = None
    redirected: bool | None = None


class StatusCounter(Document):
    """One row per status: only for ``bench.peer.adopted``."""

    id: str  # type: ignore[assignment]
    count: int

    class Settings:
        name = "status_counters"
