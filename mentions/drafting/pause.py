"""Drafting stands still while OpenAI takes no call of ours: no credit, a wrong key, no such model.

It is told once, and tried again by one mention every few minutes; none is given up for it within
a day. Kept in Redis: without it every mention tries for itself.
"""

import logging
from datetime import timedelta

from accounts.alerts import send_alert
from accounts.counting import forget, is_remembered, recall, remember, take_turn
from autores.llm.errors import LlmError

logger = logging.getLogger(__name__)

PAUSE = timedelta(minutes=5)
# A mention that waited for its draft so long is left to people.
GIVE_UP_AFTER = timedelta(hours=24)
_TOLD_AGAIN_AFTER = timedelta(days=1)
_KEY, _LATELY, _PROBE = "drafting-pause", "drafting-paused-lately", "drafting-probe"


def pause_drafting(error: LlmError) -> None:
    """No draft is begun for ``PAUSE``."""
    remember(_KEY, seconds=int(PAUSE.total_seconds()), value=error.sentence)
    remember(_LATELY, seconds=int(2 * PAUSE.total_seconds()))
    told = f"drafting-pause-told:{error.code}"
    if is_remembered(told):
        return
    remember(told, seconds=int(_TOLD_AGAIN_AFTER.total_seconds()))
    logger.error("No drafts are made: %s", error.code)
    send_alert(
        "Autores: no drafts are made",
        f"{error.sentence} Mentions wait for their drafts, and people can write replies. It is "
        f"tried again every {PAUSE.total_seconds() / 60:.0f} minutes.",
    )


def find_pause() -> str:
    """Why no draft is begun now, as a sentence; empty if nothing is in the way."""
    return str(recall(_KEY) or "")


def may_ask() -> bool:
    """Whether the model may be asked now: after a pause, by a single mention at first."""
    return not is_remembered(_LATELY) or take_turn(_PROBE, seconds=int(PAUSE.total_seconds()))


def end_pause() -> None:
    """OpenAI took a call: all mentions that wait may be drafted."""
    if is_remembered(_LATELY):
        forget(_LATELY)
        forget(_PROBE)
