"""Parts of the OpenAPI document that several endpoints share."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from mentions.api.serializers import ProblemSerializer

_PROBLEMS = {
    400: "Bad input: `errors` names the fields.",
    401: "No valid sign-in.",
    403: "Your role on this account is too low.",
    404: "Not there, or on an account you have no role on.",
    409: "Another reply or change stands in the way.",
    412: "Changed since you read it (If-Match).",
    422: "The text or the mention cannot be answered like this.",
    429: "A limit is reached: see Retry-After.",
    502: "X or the model failed.",
    503: "X or the model cannot be used now.",
}


def problems(*statuses: int) -> dict[Any, Any]:
    """Responses by status and media type; 401 and 429 come with every endpoint."""
    return {
        (status, "application/problem+json"): OpenApiResponse(
            ProblemSerializer, description=_PROBLEMS[status]
        )
        for status in sorted({*statuses, 401, 429})
    }


RESPONSE = OpenApiParameter(
    "response",
    OpenApiTypes.STR,
    OpenApiParameter.QUERY,
    description="The text, as the old client sends it. In the body it does as well.",
)
UNDO_SECONDS = OpenApiParameter(
    "undo_seconds",
    OpenApiTypes.FLOAT,
    OpenApiParameter.QUERY,
    description="Wait so long before it is sent, so that it can be undone. In the body it does "
    "as well.",
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="At most 128 characters; the same key never makes a second reply.",
)
IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The ETag you read: 412 if its version was changed since.",
)
