"""The moderation desk in the Django admin."""

from mentions.admin.drafts import DraftAdmin
from mentions.admin.messages import MessageAdmin
from mentions.admin.records import (
    AuditEntryAdmin,
    CursorAdmin,
    ImportRejectAdmin,
    ImportRunAdmin,
    TombstoneAdmin,
)
from mentions.admin.replies import ReplyAdmin

__all__ = [
    "AuditEntryAdmin",
    "CursorAdmin",
    "DraftAdmin",
    "ImportRejectAdmin",
    "ImportRunAdmin",
    "MessageAdmin",
    "ReplyAdmin",
    "TombstoneAdmin",
]
