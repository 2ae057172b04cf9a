"""The pause of all calls to X: everybody signed in sees it, superusers end it."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import AppPause
from accounts.pauses import resume_app
from autores.problems import ApiProblem


class PauseSerializer(serializers.Serializer[Any]):
    is_paused = serializers.BooleanField()
    code = serializers.CharField(help_text="credits_depleted, usage_cap or operator; or empty.")
    reason = serializers.CharField()
    paused_at = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(
        allow_null=True, help_text="Then it ends, or one call tries whether X takes calls again."
    )
    probes = serializers.IntegerField(help_text="How often that was tried in vain.")


class PauseView(APIView):
    """Whether calls to X go out."""

    @extend_schema(
        operation_id="pause_get",
        summary="Are all calls to X paused, and why",
        tags=["Accounts"],
        responses=PauseSerializer,
    )
    def get(self, request: Request) -> Response:
        pause = AppPause.standing()
        if pause is not None and not pause.is_probed and not pause.is_in_force():
            pause = None
        return Response(
            {
                "is_paused": pause is not None,
                "code": pause.code if pause else "",
                "reason": pause.reason if pause else "",
                "paused_at": pause.paused_at if pause else None,
                "until": pause.until if pause else None,
                "probes": pause.probes if pause else 0,
            }
        )

    @extend_schema(
        operation_id="pause_end",
        summary="Resume all calls to X",
        description="For superusers. If X still refuses calls, the pause is there again.",
        tags=["Accounts"],
        responses=PauseSerializer,
    )
    def delete(self, request: Request) -> Response:
        if not request.user.is_superuser:
            raise ApiProblem(
                "permission_denied",
                "Only a superuser resumes calls to X: they concern every account.",
                status_code=403,
            )
        resume_app(actor=request.user.pk)
        return self.get(request)
