"""When is a run over? When nothing is under way any more, read from the database."""

from datetime import datetime
from typing import Any

from pymongo import MongoClient

from chaos.deployment import DATABASE


def list_unsettled(mongodb_url: str, *, since: datetime) -> dict[str, int]:
    """What still is under way; empty when all is settled. ``since``: when X showed the last."""
    moment = since.replace(tzinfo=None)
    with MongoClient[dict[str, Any]](mongodb_url, serverSelectionTimeoutMS=5_000) as client:
        database = client[DATABASE]
        counts = {
            state: database["mentions_reply"].count_documents(
                {"state": state, "proof.needs_person": {"$ne": True}}
            )
            for state in ("queued", "sending", "unknown")
        }
        counts["gaps open"] = database["mentions_gap"].count_documents({"state": "open"})
        counts["accounts not read"] = database["mentions_cursor"].count_documents(
            {"$nor": [{"complete_until": {"$gt": moment}, "searched_until": {"$gt": moment}}]}
        )
    return {what: count for what, count in counts.items() if count}
