"""What the import's workers are made of, loaded once by the process they are forked from.

Importing this module sets up the applications whose documents the import writes, unless Django is
set up already. The admin, the API and their packages stay out, and so does what applications do
when they are ready: no worker shows a page, sends a task or hears of an account. That is half of
the memory of a worker.
"""

import gc
from importlib import import_module

from django.apps import AppConfig, apps
from django.conf import settings
from django.utils.log import configure_logging

_BARE = ("autores", "accounts", "mentions")
_APPLICATIONS = ("autores.apps.MongoAuthConfig", "autores.apps.MongoContentTypesConfig")


def _set_up() -> None:
    from autores.observability.redaction import protect_values

    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    protect_values([*settings.ENV.secret_texts, settings.SECRET_KEY])
    apps.populate([*_APPLICATIONS, *(AppConfig(name, import_module(name)) for name in _BARE)])


if not apps.ready:
    _set_up()

from mentions.legacy import chunks  # noqa: E402, F401 - needs the models

# Pages that no collection walks over stay shared.
gc.freeze()
# A chunk makes and drops ten thousand tuples and no cycle. To look for one after each 700 takes a
# fifteenth of the time.
gc.set_threshold(200_000)
