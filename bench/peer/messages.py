"""The message endpoints of the legacy contract that the comparison uses."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, HTTPException

from bench.peer.models import Message, MessageUpdate

router = APIRouter(prefix="/api/v1/messages")


@router.get("/", response_model=list[Message], response_model_by_alias=False)
async def list_messages(skip: int = 0, limit: int = 100, status: str | None = None) -> Any:
    found = Message.find(Message.status == status) if status else Message.find_all()
    return await found.sort("-timestamp").skip(skip).limit(limit).to_list()


@router.get("/stats")
async def count_messages() -> dict[str, Any]:
    """Not in the contract; counted as an ODM's user would."""
    rows = await Message.aggregate([{"$group": {"_id": "$status", "count": {"$sum": 1}}}]).to_list()
    counts = {row["_id"]: row["count"] for row in rows}
    return {"total": sum(counts.values()), "by_status": counts}


@router.get("/{id}", response_model=Message, response_model_by_alias=False)
async def read_message(id: str) -> Any:
    message = await Message.get(id)
    if message is None:
        raise HTTPException(404, "Message not found")
    return message


@router.patch("/{id}", response_model=Message, response_model_by_alias=False)
async def change_message(id: str, update: MessageUpdate) -> Any:
    message = await Message.get(id)
    if message is None:
        raise HTTPException(404, "Message not found")
    changes = update.model_dump(exclude_unset=True)
    changes["updated_at"] = datetime.now(UTC)
    await message.set(changes)
    return message
