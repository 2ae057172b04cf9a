"""The Celery application: ``celery -A autores worker`` and ``celery -A autores beat``."""

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init, worker_ready

from autores.broker import repair_lost_channels

_OBJECTS_UNTIL_COLLECTION = 20_000

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")
# All of Django's checks load the API and the admin, which no worker shows: a quarter of a second
# and 10 MiB. Broken settings are refused below; ``manage.py check`` says the rest beforehand.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

repair_lost_channels()
app = Celery("autores")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.add_defaults
def redbeat_defaults() -> dict[str, Any]:
    """RedBeat looks for its settings without Django's CELERY_ prefix."""
    from django.conf import settings

    return {
        "redbeat_redis_url": settings.REDIS_URL,
        "redbeat_redis_options": {"socket_keepalive": True},
        # Another beat takes over when this one has been silent for so many seconds.
        "redbeat_lock_timeout": 30,
    }


@setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """Celery would install its own handlers, past our redaction: connecting here prevents it."""


@worker_ready.connect
def keep_what_is_loaded(**kwargs: Any) -> None:
    """What a worker is made of is never garbage: looking at it again and again is a fifth of the
    time that storing mentions takes.
    """
    gc.collect()
    gc.freeze()
    # A page of mentions is ten thousand objects that reference counts free; of cycles there are
    # few.
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION, 10, 10)


@worker_init.connect
@beat_init.connect
def refuse_broken_settings(**kwargs: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured

    from autores.checks import refuse_broken_settings as refuse

    try:
        refuse()
    except ImproperlyConfigured as error:
        # Celery logs an exception of a signal's receiver and goes on; this it lets through.
        raise SystemExit(str(error)) from None
