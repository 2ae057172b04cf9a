from datetime import datetime
from typing import Any

from django.utils import timezone

from accounts.models import TwitterAccount, new_id
from mentions.models import Message, Reply


def make_replies(account: TwitterAccount, count: int, **values: Any) -> list[Reply]:
    """Queued rows of one account, each to a mention of its own; quick, without its checks."""
    now: datetime = timezone.now()
    messages = [
        Message(
            id=str(9_000_000_000_000_000_000 + Message.objects.count() + number),
            post_id=str(9_000_000_000_000_000_000 + number),
            account=account,
            timestamp=now,
            user="77",
            text="@acme hi",
            is_replyable=True,
        )
        for number in range(count)
    ]
    for message in messages:
        message.post_id = message.id
    Message.objects.bulk_create(messages)
    rows = []
    for message in messages:
        row_id = new_id()
        defaults: dict[str, Any] = {
            "id": row_id,
            "message": message,
            "account": account,
            "kind": "public",
            "live_key": f"{message.pk}:public",
            "idempotency_key": row_id,
            "text": f"Answer to {message.pk}",
            "not_before": now,
            "due_at": now,
        }
        rows.append(Reply(**{**defaults, **values}))
    return Reply.objects.bulk_create(rows)
