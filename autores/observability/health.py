"""Is the process alive, and can it do its work? For load balancers and compose."""

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, JsonResponse
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when MongoDB and Redis answer; 503 naming what does not."""
    parts = {}
    try:
        connection.database.command("ping")
        parts["mongodb"] = "ok"
    except PyMongoError:
        parts["mongodb"] = "unreachable"
    try:
        cache.get("readyz")
        parts["redis"] = "ok"
    except RedisError:
        parts["redis"] = "unreachable"
    is_ready = all(state == "ok" for state in parts.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", **parts}, status=200 if is_ready else 503
    )
