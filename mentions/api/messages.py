"""The message endpoints: the legacy contract, and what is new beside it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Role, TwitterAccount
from autores.llm.errors import LlmError
from autores.problems import ApiProblem
from autores.renderers import ready_json
from mentions.api import access, listing, queries, reading, refusals, schema, sending
from mentions.api import draft_serializers as draft_shapes
from mentions.api import serializers as shapes
from mentions.api.changes import delete_message, update_message
from mentions.api.etags import require_match
from mentions.api.fetching import fetch_all, fetch_one
from mentions.api.filters import MessageFilterForm
from mentions.api.preflight import (
    PreflightQuerySerializer,
    PreflightSerializer,
    ReplyPageSerializer,
    preflight_json,
)
from mentions.drafting.generate import (
    DraftingBusyError,
    MessageEditedError,
    MessageGoneError,
    NoReplyProposedError,
    generate_draft,
)
from mentions.drafting.prompt import PromptInputError
from mentions.models import Draft, Message, Reply, ReplyKind

_SENT_OR_PENDING = {
    200: OpenApiResponse(shapes.MessageSerializer, description="X has it."),
    202: OpenApiResponse(
        shapes.PendingReplySerializer, description="Under way: see Location and Retry-After."
    ),
    **schema.problems(400, 403, 404, 409, 422, 502, 503),
}


@extend_schema(tags=["Messages"])
class MessageViewSet(viewsets.GenericViewSet[Message]):
    """Mentions of the accounts you have a role on.

    Anything else does not exist for you (404). Reading takes any role; changing, drafting and
    fetching a responder; sending an approver; deleting a manager.
    """

    queryset = Message.objects.all()
    lookup_field = "id"
    lookup_value_regex = "[^/]+"
    pagination_class = None
    filter_backends = (MessageFilterForm,)
    serializer_class = shapes.MessageSerializer
    _input_of: ClassVar[Mapping[str, type[serializers.Serializer[Any]]]] = {
        "partial_update": shapes.MessageUpdateSerializer,
        "reply": shapes.ResponseSerializer,
        "dm_reply": shapes.ResponseSerializer,
        "send_public_reply": shapes.ResponseSerializer,
        "send_dm_reply": shapes.ResponseSerializer,
        "fetch_new": shapes.FetchNewSerializer,
        "generate_response": shapes.GenerateSerializer,
    }

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return self._input_of.get(self.action or "", shapes.MessageSerializer)

    def _read_body(self, request: Request) -> dict[str, Any]:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    # -- reading ------------------------------------------------------------------------------

    @extend_schema(
        summary="List messages, newest first",
        parameters=[shapes.MessageListSerializer],
        responses={200: shapes.MessageSerializer(many=True), **schema.problems(400)},
    )
    def list(self, request: Request) -> Response:
        wanted = listing.read_query(request.META.get("QUERY_STRING", ""))
        page = reading.read_page(
            request.META,
            access.person_of(request),
            wanted,
            address=request.build_absolute_uri(request.path),
        )
        headers = dict(page.headers)
        if request.accepted_renderer.format != "json":
            # A page for people shows more than the messages.
            del headers["ETag"]
        elif page.is_known:
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        return Response(ready_json(request, page.content), headers=headers)

    @extend_schema(
        summary="Read one message",
        responses={
            200: shapes.MessageSerializer,
            304: OpenApiResponse(description="You have this version (If-None-Match)."),
            **schema.problems(404),
        },
    )
    def retrieve(self, request: Request, id: str) -> Response:
        if request.accepted_renderer.format != "json":
            # A page for people shows more than the message, and to each person something else.
            message = access.load_encoded(access.person_of(request), id)
            return Response(ready_json(request, message.content))
        found = reading.read_one(request.META, access.person_of(request), id)
        if found.is_known:
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=found.headers)
        return Response(ready_json(request, found.content), headers=found.headers)

    @extend_schema(
        summary="Count messages by status",
        responses={200: shapes.StatsSerializer, **schema.problems()},
        filters=False,
    )
    @action(detail=False, methods=["get"])
    def stats(self, request: Request) -> Response:
        """How many messages of your accounts are in which status."""
        given = reading.readable_accounts(
            access.person_of(request), request.query_params.get("account_id", "")
        )
        counts = queries.count_by_status(given)
        return Response({"total": sum(counts.values()), "by_status": dict(sorted(counts.items()))})

    # -- changing -----------------------------------------------------------------------------

    @extend_schema(
        summary="Change a message",
        parameters=[schema.IF_MATCH],
        request=shapes.MessageUpdateSerializer,
        responses={200: shapes.MessageSerializer, **schema.problems(400, 403, 404, 412)},
    )
    def partial_update(self, request: Request, id: str) -> Response:
        person = access.person_of(request)
        document = access.load_document(person, id, role=Role.RESPONDER)
        expected = require_match(request.META, document.get("version") or 1)
        serializer = self.get_serializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        message = update_message(
            document,
            changes=serializer.validated_data,
            actor=person.pk,
            now=timezone.now(),
            expected_version=expected,
        )
        return Response(ready_json(request, message.content), headers={"ETag": message.etag})

    @extend_schema(
        summary="Delete a message for good",
        parameters=[schema.IF_MATCH],
        responses={200: shapes.DeletedSerializer, **schema.problems(403, 404, 409, 412)},
    )
    def destroy(self, request: Request, id: str) -> Response:
        person = access.person_of(request)
        document = access.load_document(person, id, role=Role.MANAGER)
        expected = require_match(request.META, document.get("version") or 1)
        delete_message(id, actor=person.pk, now=timezone.now(), expected_version=expected)
        return Response({"message": f"Message {id} was deleted."})

    # -- replying -----------------------------------------------------------------------------

    @extend_schema(
        summary="May a public reply be sent, and was one",
        responses={200: ReplyPageSerializer, **schema.problems(404)},
    )
    @action(detail=True, methods=["get"], url_path="reply", filter_backends=())
    def reply(self, request: Request, id: str) -> Response:
        """Answer in public: what hinders it, the latest reply, and the form to send one."""
        return self._reply_page(request, id, ReplyKind.PUBLIC)

    @extend_schema(
        summary="Answer by public reply",
        parameters=[schema.RESPONSE, schema.UNDO_SECONDS, schema.IDEMPOTENCY_KEY],
        responses=_SENT_OR_PENDING,
    )
    @reply.mapping.post
    def send_public_reply(self, request: Request, id: str) -> Response:
        return self._send(request, id, ReplyKind.PUBLIC)

    @extend_schema(
        summary="May a direct message be sent, and was one",
        responses={200: ReplyPageSerializer, **schema.problems(404)},
    )
    @action(detail=True, methods=["get"], url_path="dm-reply", filter_backends=())
    def dm_reply(self, request: Request, id: str) -> Response:
        """Answer by direct message: what hinders it, the latest one, and the form to send one."""
        return self._reply_page(request, id, ReplyKind.DM)

    @extend_schema(
        summary="Answer by direct message",
        parameters=[schema.RESPONSE, schema.UNDO_SECONDS, schema.IDEMPOTENCY_KEY],
        responses=_SENT_OR_PENDING,
    )
    @dm_reply.mapping.post
    def send_dm_reply(self, request: Request, id: str) -> Response:
        return self._send(request, id, ReplyKind.DM)

    def _send(self, request: Request, id: str, kind: str) -> Response:
        message = access.load_message(access.person_of(request), id, role=Role.APPROVER)
        body = self._read_body(request)
        return sending.send_reply(
            request,
            message,
            kind=kind,
            text=sending.read_response(request, body.get("response")),
            undo_seconds=sending.read_undo_seconds(request, body.get("undo_seconds")),
        )

    def _reply_page(self, request: Request, id: str, kind: str) -> Response:
        message = access.load_message(access.person_of(request), id)
        latest = Reply.objects.filter(message_id=id, kind=kind).order_by("-created_at").first()
        return Response(
            {
                "preflight": preflight_json(message, kind=kind, text=None, now=timezone.now()),
                "reply": shapes.ReplySerializer(latest).data if latest else None,
            }
        )

    @extend_schema(
        summary="Could this text be sent",
        parameters=[PreflightQuerySerializer],
        responses={200: PreflightSerializer, **schema.problems(400, 404)},
        filters=False,
    )
    @action(detail=True, methods=["get"], filter_backends=())
    def preflight(self, request: Request, id: str) -> Response:
        """Whether a text could be sent (`kind`: public or dm), and what hinders it."""
        message = access.load_message(access.person_of(request), id)
        given = PreflightQuerySerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        return Response(preflight_json(message, **given.validated_data, now=timezone.now()))

    # -- drafting and fetching ----------------------------------------------------------------

    @extend_schema(
        summary="List a message's drafts, newest first",
        responses={200: draft_shapes.DraftSerializer(many=True), **schema.problems(404)},
        filters=False,
    )
    @action(detail=True, methods=["get"], filter_backends=())
    def drafts(self, request: Request, id: str) -> Response:
        """Proposed replies to this message, newest first."""
        access.load_document(access.person_of(request), id)
        drafts = Draft.objects.filter(message_id=id).order_by("-created_at")[: shapes.MAX_LIMIT]
        return Response([draft_shapes.DraftSerializer(draft).data for draft in drafts])

    @extend_schema(
        summary="Let the model draft a reply",
        responses={
            200: shapes.GeneratedSerializer,
            **schema.problems(400, 403, 404, 409, 422, 429, 502, 503),
        },
    )
    @action(detail=True, methods=["post"], url_path="generate-response", filter_backends=())
    def generate_response(self, request: Request, id: str) -> Response:
        """Let the model draft a reply. Nothing is sent."""
        person = access.person_of(request)
        message = access.load_message(person, id, role=Role.RESPONDER)
        custom_prompt = self._read_body(request).get("custom_prompt") or ""
        try:
            draft = generate_draft(
                message, custom_prompt=custom_prompt, requested_by=person, now=timezone.now()
            )
        except LlmError as error:
            raise refusals.problem_of_model(error) from error
        except MessageGoneError as error:
            raise ApiProblem(
                "message_not_found", "The message was deleted meanwhile.", status_code=404
            ) from error
        except MessageEditedError as error:
            raise ApiProblem("mention_edited", error.sentence, status_code=409) from error
        except NoReplyProposedError as error:
            raise ApiProblem(error.code, error.sentence, status_code=409) from error
        except DraftingBusyError as error:
            status_code = 429 if error.retry_after else 409
            raise ApiProblem(
                error.code, error.sentence, status_code=status_code, retry_after=error.retry_after
            ) from error
        except PromptInputError as error:
            raise ApiProblem("prompt_unusable", str(error), status_code=422) from error
        return Response(
            {
                "message_id": message.pk,
                "original_message": message.text,
                "generated_response": draft.text,
                "custom_prompt_used": bool(custom_prompt.strip()),
                "draft_id": draft.pk,
                "kind": draft.kind,
                "note": draft.note,
                "violations": draft.violations,
            }
        )

    @extend_schema(
        summary="Read new mentions from X now",
        parameters=[shapes.FetchNewSerializer],
        request=shapes.FetchNewSerializer,
        responses={200: shapes.FetchedSerializer, **schema.problems(400, 403, 404, 409, 502, 503)},
        filters=False,
    )
    @action(detail=False, methods=["post"], url_path="fetch-new", filter_backends=())
    def fetch_new(self, request: Request) -> Response:
        """Read new mentions from X now, of one account or of all of yours."""
        person = access.person_of(request)
        in_body = self._read_body(request).get("account_id")
        account_id = request.query_params.get("account_id") or in_body
        if account_id:
            account = access.load_account(person, account_id, role=Role.RESPONDER)
            return Response(fetch_one(account))
        ids = access.list_account_ids(person, role=Role.RESPONDER)
        if ids == []:
            raise access.role_too_low(Role.RESPONDER, where="on an account")
        accounts = TwitterAccount.objects.order_by("last_polled_at")
        return Response(fetch_all(accounts if ids is None else accounts.filter(pk__in=ids)))

    # -- shared -------------------------------------------------------------------------------
