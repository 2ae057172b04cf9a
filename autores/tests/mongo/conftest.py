from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package")
def _mongo_app_installed(django_db_setup: None, django_db_blocker) -> Iterator[None]:
    from django.db import connection
    from django.test.utils import modify_settings

    from autores.tests.mongo.app.models import Line, Order, Shop

    with modify_settings(INSTALLED_APPS={"append": "autores.tests.mongo.app.apps.MongoAppConfig"}):
        with django_db_blocker.unblock():
            for model in (Shop, Order, Line):
                connection.database.drop_collection(model._meta.db_table)
                with connection.schema_editor() as editor:
                    editor.create_model(model)
        yield
        with django_db_blocker.unblock():
            for model in (Shop, Order, Line):
                connection.database.drop_collection(model._meta.db_table)


@pytest.fixture
def mongo_app(_mongo_app_installed: None, db: None) -> None:
    """The models of ``autores.tests.mongo.app``, installed, with empty collections."""
