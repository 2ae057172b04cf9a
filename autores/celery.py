"""The Celery application: ``celery -A autores worker`` and ``celery -A autores beat``."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")

app = Celery("autores")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """Celery would install its own handlers, past our redaction: connecting here prevents it."""


@worker_init.connect
@beat_init.connect
def refuse_broken_settings(**kwargs: Any) -> None:
    from autores.checks import refuse_broken_settings as refuse

    refuse()
