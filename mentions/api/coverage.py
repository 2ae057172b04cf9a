"""How completely an account's mentions were seen, by day, with the ranges X did not show."""

from datetime import date, timedelta
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Role
from mentions.api import access, schema
from mentions.ingest.coverage import read_coverage
from mentions.models import Gap

MAX_DAYS = 366
_DEFAULT_DAYS = 7
# X is from 2006, and a day needs one before and one after it to be looked for.
_FIRST_DAY, _LAST_DAY = date(2006, 1, 1), date(2999, 12, 31)
_MAX_GAPS = 100


class CoverageQuerySerializer(serializers.Serializer[Any]):
    """Days are UTC; both ends are included."""

    since = serializers.DateField(required=False, help_text="Default: six days before until.")
    until = serializers.DateField(required=False, help_text="Default: today.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name in ("since", "until"):
            if name in attrs and not _FIRST_DAY <= attrs[name] <= _LAST_DAY:
                raise serializers.ValidationError(
                    {name: f"Give a day between {_FIRST_DAY} and {_LAST_DAY}."}
                )
        until = attrs.setdefault("until", timezone.now().date())
        since = attrs.setdefault("since", until - timedelta(days=_DEFAULT_DAYS - 1))
        if not timedelta(0) <= until - since < timedelta(days=MAX_DAYS):
            raise serializers.ValidationError(
                {"since": f"Give a day before until, and {MAX_DAYS} days at most."}
            )
        return attrs


class DaySerializer(serializers.Serializer[Any]):
    day = serializers.DateField()
    total = serializers.IntegerField()
    by_baseline = serializers.IntegerField(help_text="Taken over by the first poll.")
    by_poll = serializers.IntegerField()
    by_sweep = serializers.IntegerField()
    by_search = serializers.IntegerField()
    late = serializers.IntegerField(help_text="Of these: shown after the polls had passed them.")


class GapSerializer(serializers.ModelSerializer[Gap]):
    class Meta:
        model = Gap
        fields: ClassVar[list[str]] = [
            "from_post_id",
            "to_post_id",
            "from_at",
            "to_at",
            "state",
            "found",
            "searched_at",
            "closed_at",
            "created_at",
        ]
        read_only_fields = fields


class CoverageSerializer(serializers.Serializer[Any]):
    account_id = serializers.CharField()
    complete_until = serializers.DateTimeField(
        allow_null=True, help_text="Every mention that X showed up to then is stored."
    )
    open_gaps = serializers.IntegerField(help_text="Ranges X did not show, yet to be searched.")
    lost_gaps = serializers.IntegerField(help_text="Ranges that the search does not reach either.")
    days = DaySerializer(many=True, help_text="Newest first; days without a mention are left out.")
    gaps = GapSerializer(many=True, help_text=f"The newest {_MAX_GAPS}.")


class CoverageView(APIView):
    """What was seen of an account's mentions, and what X did not show."""

    @extend_schema(
        operation_id="accounts_coverage",
        summary="How completely an account's mentions were seen",
        tags=["Accounts"],
        parameters=[
            OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH),
            CoverageQuerySerializer,
        ],
        responses={200: CoverageSerializer, **schema.problems(400, 404)},
    )
    def get(self, request: Request, id: str) -> Response:
        account = access.load_account(access.person_of(request), id, role=Role.VIEWER)
        given = CoverageQuerySerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = read_coverage(account.pk, **given.validated_data)
        gaps = Gap.objects.filter(account_id=account.pk).order_by("-created_at")[:_MAX_GAPS]
        body = {
            "account_id": account.pk,
            "complete_until": account.complete_until,
            "open_gaps": found.open_gaps,
            "lost_gaps": found.lost_gaps,
            "days": found.days,
            "gaps": list(gaps),
        }
        return Response(CoverageSerializer(body).data)
