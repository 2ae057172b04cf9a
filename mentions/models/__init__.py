"""The rows that the stages hand to each other."""

from mentions.models.audit import (
    MESSAGE_EDITED,
    AuditEntry,
    file_before_reading,
    file_entries,
    record_audit,
)
from mentions.models.claimedpost import ClaimedPost, is_claimed, is_left_behind, keep_claims
from mentions.models.cursor import Cursor
from mentions.models.draft import OPEN_DRAFT_STATES, Draft, DraftState
from mentions.models.gap import Gap, GapState, gap_key
from mentions.models.importchunk import ImportChunk
from mentions.models.importposition import ImportConflict, ImportPosition
from mentions.models.importrun import ImportReject, ImportRun
from mentions.models.message import (
    CONFIRM_AFTER,
    EPOCH,
    GONE_STATES,
    FoundBy,
    MentionKind,
    Message,
    MessageStatus,
    XState,
    find_ids_of_posts,
    list_versions,
    message_id_for,
)
from mentions.models.reply import UNSETTLED_STATES, Reply, ReplyKind, ReplyState
from mentions.models.tally import Tally
from mentions.models.tombstone import Tombstone, tombstone_key

__all__ = [
    "CONFIRM_AFTER",
    "EPOCH",
    "GONE_STATES",
    "MESSAGE_EDITED",
    "OPEN_DRAFT_STATES",
    "UNSETTLED_STATES",
    "AuditEntry",
    "ClaimedPost",
    "Cursor",
    "Draft",
    "DraftState",
    "FoundBy",
    "Gap",
    "GapState",
    "ImportChunk",
    "ImportConflict",
    "ImportPosition",
    "ImportReject",
    "ImportRun",
    "MentionKind",
    "Message",
    "MessageStatus",
    "Reply",
    "ReplyKind",
    "ReplyState",
    "Tally",
    "Tombstone",
    "XState",
    "file_before_reading",
    "file_entries",
    "find_ids_of_posts",
    "gap_key",
    "is_claimed",
    "is_left_behind",
    "keep_claims",
    "list_versions",
    "message_id_for",
    "record_audit",
    "tombstone_key",
]
