"""Is the process alive, and can it do its work? For load balancers and compose."""

import logging

from django.core.cache import cache
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from autores.mongo.errors import MongoUnavailableError
from autores.mongo.health import ping

logger = logging.getLogger(__name__)


@require_safe
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """200 when MongoDB and Redis answer; 503 naming what does not."""
    parts = {}
    try:
        ping()
        parts["mongodb"] = "ok"
    except MongoUnavailableError as error:
        logger.warning("not ready: %s", error)
        parts["mongodb"] = "unreachable"
    try:
        cache.get("readyz")
        parts["redis"] = "ok"
    except (RedisError, OSError) as error:
        logger.warning("not ready: Redis does not answer (%s)", type(error).__name__)
        parts["redis"] = "unreachable"
    is_ready = all(state == "ok" for state in parts.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", **parts}, status=200 if is_ready else 503
    )
