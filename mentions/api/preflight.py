"""“Can I answer?”, before anyone types: what hinders it, what it costs, what is left."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from accounts.models import TwitterAccount
from mentions.api.serializers import FindingSerializer, ReplySerializer
from mentions.models import Message
from mentions.outbox.outlook import look_ahead
from mentions.outbox.preflight import check_reply


class RefusalSerializer(FindingSerializer):
    is_warning = serializers.BooleanField(help_text="It may be sent all the same.")


class EligibilitySerializer(serializers.Serializer[Any]):
    """Whether X lets the account reply to this post in public, and why."""

    is_replyable = serializers.BooleanField()
    code = serializers.CharField()
    reason = serializers.CharField()
    reply_settings = serializers.CharField(
        allow_null=True, help_text="Who may reply, as the author set it; null if X did not say."
    )


class CostSerializer(serializers.Serializer[Any]):
    """X's list price, in US dollars."""

    usd = serializers.CharField()
    at_most_usd = serializers.CharField(help_text="Above `usd` where X does not say which applies.")
    links = serializers.IntegerField()


class BudgetSerializer(serializers.Serializer[Any]):
    scope = serializers.CharField(
        help_text="window or user_day (this account's), app_day (all accounts')."
    )
    limit = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField()
    resets_at = serializers.DateTimeField(
        allow_null=True, help_text="When it opens, or when the first of what was used comes back."
    )


class HealthSerializer(serializers.Serializer[Any]):
    """The account's, as `GET /accounts/{id}` has it."""

    status = serializers.CharField()
    status_reason = serializers.CharField()
    last_error_code = serializers.CharField()
    last_error_at = serializers.DateTimeField(allow_null=True)
    blocked_until = serializers.DateTimeField(allow_null=True)


class PreflightSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    can_send = serializers.BooleanField()
    refusals = RefusalSerializer(many=True)
    weighted_length = serializers.IntegerField(allow_null=True)
    max_weighted_length = serializers.IntegerField()
    eligibility = EligibilitySerializer()
    receives_dm = serializers.BooleanField(
        allow_null=True, help_text="null: not asked (public), or X did not say."
    )
    cost = CostSerializer()
    budgets = BudgetSerializer(many=True)
    account = HealthSerializer(allow_null=True)


class PreflightQuerySerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["public", "dm"], required=False, default="public")
    text = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, default=None, trim_whitespace=False
    )


class ReplyPageSerializer(serializers.Serializer[Any]):
    """What the address of a reply shows before anyone types: may it be sent, and was it."""

    preflight = PreflightSerializer()
    reply = ReplySerializer(allow_null=True)


def preflight_json(
    message: Message, *, kind: str, text: str | None, now: datetime, may_ask: bool = True
) -> dict[str, Any]:
    """``may_ask``: X may be asked, once in some minutes, whether the author takes messages."""
    found = check_reply(message, kind=kind, text=text, now=now)
    ahead = look_ahead(message, kind=kind, text=text, now=now, may_ask=may_ask)
    refusals = [*found.refusals, *ahead.refusals]
    return {
        "kind": kind,
        "can_send": all(refusal.is_warning for refusal in refusals),
        "refusals": [
            {"code": item.code, "sentence": item.sentence, "is_warning": item.is_warning}
            for item in refusals
        ],
        "weighted_length": found.weighted_length,
        "max_weighted_length": found.max_weighted_length,
        "eligibility": {
            "is_replyable": message.is_replyable,
            "code": message.replyable_code,
            "reason": message.replyable_reason,
            "reply_settings": ahead.reply_settings,
        },
        "receives_dm": ahead.receives_dm,
        "cost": {
            "usd": str(ahead.cost_usd),
            "at_most_usd": str(ahead.cost_at_most_usd),
            "links": ahead.links,
        },
        "budgets": BudgetSerializer(ahead.budgets, many=True).data,
        "account": _health_json(message.account) if message.account else None,
    }


def _health_json(account: TwitterAccount) -> dict[str, Any]:
    return dict(HealthSerializer(account).data)
