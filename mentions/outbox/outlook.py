"""What is known before anyone types, beside what hinders: budgets, cost, an open inbox."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from accounts.budgets import BudgetState, read_budgets
from accounts.errors import BudgetUnavailableError
from autores.x.prices import DIRECT_MESSAGE, POST_WITH_LINK, SUMMONED_REPLY
from autores.x.text import count_links
from mentions.models import Message, ReplyKind
from mentions.outbox.metering import BUDGET_OF
from mentions.outbox.openness import receives_dm
from mentions.outbox.preflight import Refusal


@dataclass(frozen=True, slots=True)
class Outlook:
    """``cost_usd`` is X's list price; ``cost_at_most_usd`` is above it where X does not say which
    applies. ``receives_dm`` and ``reply_settings`` are None when X did not say.
    """

    refusals: tuple[Refusal, ...]
    budgets: tuple[BudgetState, ...]
    links: int
    cost_usd: Decimal
    cost_at_most_usd: Decimal
    receives_dm: bool | None
    reply_settings: str | None


def look_ahead(
    message: Message, *, kind: str, text: str | None, now: datetime, may_ask: bool = False
) -> Outlook:
    """The outlook for one reply. ``may_ask``: X may be asked whether the author takes messages."""
    found: list[Refusal] = []
    is_dm = kind == ReplyKind.DM
    links = count_links(text) if text and not is_dm else 0
    cost = DIRECT_MESSAGE if is_dm else SUMMONED_REPLY
    at_most = POST_WITH_LINK if links else cost
    if links:
        found.append(
            Refusal(
                "link_costs_more",
                f"X may bill a text with a link at ${at_most} instead of ${cost}.",
                is_warning=True,
            )
        )
    is_open = receives_dm(message, may_ask=may_ask) if is_dm else None
    if is_open is False:
        found.append(
            Refusal(
                "recipient_closed",
                "The author takes no direct messages of this account: reply in public and ask for "
                "one.",
            )
        )
    budgets: list[BudgetState] = []
    if message.account_id is not None:
        try:
            budgets = read_budgets(
                BUDGET_OF[ReplyKind(kind)], account_id=message.account_id, now=now
            )
        except BudgetUnavailableError as error:
            found.append(Refusal(error.code, f"It will wait: {error.sentence}", is_warning=True))
    found.extend(_warn_of(state) for state in budgets if state.remaining == 0)
    raw = message.raw if isinstance(message.raw, dict) else {}
    settings = raw.get("reply_settings")
    return Outlook(
        refusals=tuple(found),
        budgets=tuple(budgets),
        links=links,
        cost_usd=cost,
        cost_at_most_usd=at_most,
        receives_dm=is_open,
        reply_settings=settings if isinstance(settings, str) else None,
    )


def _warn_of(state: BudgetState) -> Refusal:
    when = f" after {state.resets_at:%Y-%m-%d %H:%M} UTC" if state.resets_at else " later"
    whose = {
        "window": ("budget_window", "This account's writes for X's window are spent"),
        "user_day": ("budget_user_day", "This account's writes for the day are spent"),
        "app_day": ("budget_app_day", "The app's writes for 24 hours are spent"),
    }
    code, sentence = whose[state.scope]
    return Refusal(code, f"{sentence}: it will go out{when}.", is_warning=True)
