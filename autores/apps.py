"""App configurations: ours, and Django's contrib apps with keys that MongoDB has."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig
from django.core.checks import Tags, register

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


class MongoAdminConfig(AdminConfig):
    default_auto_field = _OBJECT_ID


class MongoAuthConfig(AuthConfig):
    default_auto_field = _OBJECT_ID


class MongoContentTypesConfig(ContentTypesConfig):
    default_auto_field = _OBJECT_ID
