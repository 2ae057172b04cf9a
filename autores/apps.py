"""App configurations: ours, and Django's contrib apps with keys that MongoDB has."""

import gc
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig
from django.core.checks import CheckMessage, Tags, register

_OBJECT_ID = "django_mongodb_backend.fields.ObjectIdAutoField"


class AutoresConfig(AppConfig):
    name = "autores"
    default_auto_field = _OBJECT_ID

    def ready(self) -> None:
        from django.conf import settings

        from autores.observability.redaction import protect_values

        protect_values([*settings.ENV.secret_texts, settings.SECRET_KEY])
        # The checks register themselves; the Celery app must exist before a view sends a task.
        from autores import celery, checks  # noqa: F401 - loaded for what they register
        from autores.mongo.checks import check_indexes, check_servers
        from autores.observability import tasks  # noqa: F401 - connects itself

        register(check_servers, Tags.database)
        register(check_indexes, Tags.database)
        if not gc.isenabled():
            # manage.py and autores.web load without the collector. What is loaded stays.
            gc.freeze()
            gc.enable()


class MongoAdminConfig(SimpleAdminConfig):
    """The admin, whose pages are loaded by ``urls.py`` and by checks.

    Workers, beat and most commands show no page: loading the applications takes half the time and
    a quarter less memory without them.
    """

    default_auto_field = _OBJECT_ID

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(_check_pages, Tags.admin)


def _check_pages(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    from django.contrib import admin

    admin.autodiscover()
    return check_admin_app(app_configs, **kwargs)


class MongoAuthConfig(AuthConfig):
    default_auto_field = _OBJECT_ID


class MongoContentTypesConfig(ContentTypesConfig):
    default_auto_field = _OBJECT_ID
