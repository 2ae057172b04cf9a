"""Drafts under review, and the outbox rows that came of them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.problems import problem_for
from accounts.errors import AccountError
from accounts.models import Role
from autores.problems import ApiProblem
from autores.x.errors import XError
from mentions import review
from mentions.api import access, schema, sending
from mentions.api import draft_serializers as draft_shapes
from mentions.api import serializers as shapes
from mentions.api.etags import changed_meanwhile, etag_of, require_match
from mentions.api.refusals import problem_of_refusal
from mentions.models import Draft, Reply, ReplyKind, ReplyState
from mentions.outbox.decide import settle_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.tasks import nudge_delivery
from mentions.triage import ReviewConflictError


class _EmptySerializer(serializers.Serializer[Any]):
    """A decision that takes no words."""


@extend_schema(tags=["Drafts"])
class DraftViewSet(viewsets.GenericViewSet[Draft]):
    """A proposed reply on its way to a person's decision. If-Match takes the draft's ETag."""

    queryset = Draft.objects.all()
    lookup_field = "id"
    lookup_value_regex = "[^/]+"
    pagination_class = None
    filter_backends = ()
    serializer_class = draft_shapes.DraftSerializer
    _input_of: ClassVar[Mapping[str, type[serializers.Serializer[Any]]]] = {
        "partial_update": draft_shapes.DraftEditSerializer,
        "approve": draft_shapes.DraftApprovalSerializer,
        "reject": draft_shapes.DraftRejectionSerializer,
        "submit": _EmptySerializer,
    }

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return self._input_of.get(self.action or "", draft_shapes.DraftSerializer)

    @extend_schema(
        summary="Read one draft",
        responses={200: draft_shapes.DraftSerializer, **schema.problems(404)},
    )
    def retrieve(self, request: Request, id: str) -> Response:
        return _answer(access.load_draft(access.person_of(request), id))

    @extend_schema(
        summary="Edit a draft",
        parameters=[schema.IF_MATCH],
        request=draft_shapes.DraftEditSerializer,
        responses={
            200: draft_shapes.DraftSerializer,
            **schema.problems(400, 403, 404, 409, 412, 422),
        },
    )
    def partial_update(self, request: Request, id: str) -> Response:
        return _answer(self._decide(request, id, Role.RESPONDER, review.edit_draft)[0])

    @extend_schema(
        summary="Submit a draft for approval",
        parameters=[schema.IF_MATCH],
        request=None,
        responses={200: draft_shapes.DraftSerializer, **schema.problems(403, 404, 409, 412)},
    )
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, id: str) -> Response:
        return _answer(self._decide(request, id, Role.RESPONDER, review.submit_draft)[0])

    @extend_schema(
        summary="Reject a draft",
        parameters=[schema.IF_MATCH],
        responses={200: draft_shapes.DraftSerializer, **schema.problems(400, 403, 404, 409, 412)},
    )
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, id: str) -> Response:
        return _answer(self._decide(request, id, Role.RESPONDER, review.reject_draft)[0])

    @extend_schema(
        summary="Approve a draft and send it",
        parameters=[schema.IF_MATCH],
        responses={
            200: OpenApiResponse(draft_shapes.ApprovedSerializer, description="X has it."),
            202: OpenApiResponse(
                draft_shapes.ApprovedSerializer,
                description="Under way: see Location and Retry-After.",
            ),
            **schema.problems(400, 403, 404, 409, 412, 422, 502, 503),
        },
    )
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, id: str) -> Response:
        draft, reply = self._decide(request, id, Role.APPROVER, review.approve_draft)
        # One that is put off can still be undone: its address is wanted at once.
        is_put_off = reply.state == ReplyState.QUEUED and reply.not_before > timezone.now()
        if is_put_off:
            nudge_delivery(reply)
        else:
            reply = sending.deliver_and_wait(reply)
        body = {
            "draft": draft_shapes.DraftSerializer(draft).data,
            "reply": shapes.ReplySerializer(reply).data,
        }
        if reply.state == ReplyState.SENT:
            return Response(body)
        return Response(
            body, status=status.HTTP_202_ACCEPTED, headers=sending.pending_headers(reply)
        )

    def _decide(
        self, request: Request, id: str, role: Role, decide: Callable[..., Any]
    ) -> tuple[Draft, Any]:
        """Run one function of ``mentions.review`` on the draft; its refusals as problems."""
        person = access.person_of(request)
        draft = access.load_draft(person, id, role=role)
        version = require_match(request.META, draft.version)
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        words = dict(serializer.validated_data)
        if undo_seconds := words.pop("undo_seconds", None):
            earliest = timezone.now() + timedelta(seconds=undo_seconds)
            words["not_before"] = max(words.get("not_before") or earliest, earliest)
        try:
            outcome = decide(draft, user=person, now=timezone.now(), version=version, **words)
        except ReviewConflictError as error:
            if error.code == "draft_changed":
                raise changed_meanwhile(None) from error
            raise ApiProblem(error.code, error.sentence, status_code=409) from error
        except OutboxRefusedError as error:
            raise problem_of_refusal(
                error, kind=ReplyKind.PUBLIC, text=words.get("text", draft.text), field="text"
            ) from error
        return draft, outcome


def _answer(draft: Draft) -> Response:
    return Response(
        draft_shapes.DraftSerializer(draft).data, headers={"ETag": etag_of(draft.version)}
    )


@extend_schema(tags=["Replies"])
class ReplyViewSet(viewsets.GenericViewSet[Reply]):
    """A reply or direct message on its way to X: the address a 202 answer names."""

    queryset = Reply.objects.all()
    lookup_field = "id"
    lookup_value_regex = "[^/]+"
    pagination_class = None
    filter_backends = ()
    serializer_class = shapes.ReplySerializer
    _input_of: ClassVar[Mapping[str, type[serializers.Serializer[Any]]]] = {
        "cancel": _EmptySerializer,
        "settle": shapes.ReplySettlementSerializer,
    }

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return self._input_of.get(self.action or "", shapes.ReplySerializer)

    @extend_schema(
        summary="Read how far a reply came",
        responses={200: shapes.ReplySerializer, **schema.problems(404)},
    )
    def retrieve(self, request: Request, id: str) -> Response:
        reply = access.load_reply(access.person_of(request), id)
        return Response(shapes.ReplySerializer(reply).data)

    @extend_schema(
        summary="Undo a reply that still waits",
        request=None,
        responses={200: shapes.ReplySerializer, **schema.problems(403, 404, 409)},
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, id: str) -> Response:
        """Take it out of the queue. A draft that it came of is there again, as edited."""
        person = access.person_of(request)
        reply = access.load_reply(person, id, role=Role.APPROVER)
        return self._decide(lambda: review.undo_reply(reply, user=person, now=timezone.now()))

    @extend_schema(
        summary="Say what became of a send whose outcome is unknown",
        request=shapes.ReplySettlementSerializer,
        responses={200: shapes.ReplySerializer, **schema.problems(400, 403, 404, 409, 502, 503)},
    )
    @action(detail=True, methods=["post"])
    def settle(self, request: Request, id: str) -> Response:
        """Look at the account on X first: compare the text with the `candidates` of `proof`.

        X is read before you are believed: a post must be the account's, and answer this mention;
        and nothing is sent again that X shows.
        """
        person = access.person_of(request)
        reply = access.load_reply(person, id, role=Role.APPROVER)
        given = shapes.ReplySettlementSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return self._decide(
            lambda: settle_reply(reply, **given.validated_data, user=person, now=timezone.now())
        )

    def _decide(self, decide: Callable[[], Reply]) -> Response:
        try:
            reply = decide()
        except OutboxRefusedError as error:
            raise problem_of_refusal(
                error, kind=ReplyKind.PUBLIC, text="", field="outcome"
            ) from error
        except (XError, AccountError) as error:
            raise problem_for(error) from error
        return Response(shapes.ReplySerializer(reply).data)
