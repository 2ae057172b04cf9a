"""The same answers by the designs that Autores uses, which the peer could adopt too.

They tell a gain of the design (a keyset instead of a skip, counters instead of counting) from one
of the code: the second is what stays when the peer has the design as well.
"""

from datetime import datetime
from typing import Any

from fastapi import APIRouter

from bench.peer.models import Message, StatusCounter

router = APIRouter(prefix="/adopted/messages")


@router.get("/", response_model=list[Message], response_model_by_alias=False)
async def list_messages_after(after: datetime, limit: int = 100) -> Any:
    """The page that follows the message of that time, by its key, as a cursor would ask."""
    return await Message.find(Message.timestamp < after).sort("-timestamp").limit(limit).to_list()


@router.get("/stats")
async def read_counters() -> dict[str, Any]:
    rows = await StatusCounter.find_all().to_list()
    counts = {row.id: row.count for row in rows}
    return {"total": sum(counts.values()), "by_status": counts}
