"""The outbox rows as the durable side of the budgets (accounts.budgets)."""

from collections.abc import Iterator
from datetime import datetime

from accounts.budgets import DMS, POSTS, Budget
from mentions.models import AuditEntry, Reply, ReplyKind

BUDGET_OF: dict[ReplyKind, Budget] = {ReplyKind.PUBLIC: POSTS, ReplyKind.DM: DMS}


def name_attempt(reply: Reply) -> str:
    """The name of the row's last departure in the budget."""
    return f"{reply.pk}:{reply.departures}"


def list_departures(budget: str, since: datetime) -> Iterator[tuple[str, datetime]]:
    """Every write of a kind that may have reached X since then: (name, time).

    A row's earlier departures are given the time of its last: too late, never too early.
    """
    kind = next(kind for kind, of in BUDGET_OF.items() if of.name == budget)
    rows = Reply.objects.filter(sending_at__gt=since).values_list(
        "pk", "kind", "departures", "sending_at"
    )
    known = set()
    for reply_id, of_kind, departures, sending_at in rows:
        known.add(reply_id)
        if of_kind == kind:
            # A row of before departures were counted has none, and was sent once at least.
            count = 1 if departures is None else departures
            yield from ((f"{reply_id}:{number}", sending_at) for number in range(1, count + 1))
    # A deleted mention takes its rows along; the audit trail keeps what was sent.
    sent = AuditEntry.objects.filter(at__gt=since, action=f"reply.sent.{kind.value}")
    for reply_id, at in sent.values_list("object_id", "at"):
        if reply_id not in known:
            yield f"{reply_id}:1", at
