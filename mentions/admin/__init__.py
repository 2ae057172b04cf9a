"""The moderation desk in the Django admin."""

from mentions.admin.accounts import CoveredAccountAdmin
from mentions.admin.drafts import DraftAdmin
from mentions.admin.imports import (
    ImportConflictAdmin,
    ImportPositionAdmin,
    ImportRejectAdmin,
    ImportRunAdmin,
)
from mentions.admin.messages import MessageAdmin
from mentions.admin.records import AuditEntryAdmin, CursorAdmin, GapAdmin, TombstoneAdmin
from mentions.admin.replies import ReplyAdmin

__all__ = [
    "AuditEntryAdmin",
    "CoveredAccountAdmin",
    "CursorAdmin",
    "DraftAdmin",
    "GapAdmin",
    "ImportConflictAdmin",
    "ImportPositionAdmin",
    "ImportRejectAdmin",
    "ImportRunAdmin",
    "MessageAdmin",
    "ReplyAdmin",
    "TombstoneAdmin",
]
