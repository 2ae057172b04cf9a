from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from autores.tests.mongo.lab import TABLE, Lab


@contextmanager
def _keep_admin_site(site: Any = None) -> Iterator[None]:
    """Put ``site`` in place at once, and back in the end; by default the one in place now."""
    from django.contrib import admin
    from django.contrib.admin import sites

    kept = site or admin.site
    admin.site = sites.site = kept
    try:
        yield
    finally:
        admin.site = sites.site = kept


@pytest.fixture(scope="package")
def _mongo_app_installed(django_db_setup: None, django_db_blocker) -> Iterator[None]:
    from django.contrib import admin
    from django.db import connection
    from django.test.utils import modify_settings

    # Unfold puts a new, empty admin site in place whenever the apps become ready again; the URLs
    # of the site that the admin modules registered with must survive that.
    import autores.urls  # noqa: F401 - loads the admin modules
    from autores.tests.mongo.app.models import Line, Order, Shop

    known = admin.site
    with (
        _keep_admin_site(),
        modify_settings(INSTALLED_APPS={"append": "autores.tests.mongo.app.apps.MongoAppConfig"}),
        _keep_admin_site(known),
    ):
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


@pytest.fixture
def lab(db: None) -> Iterator[Lab]:
    yield Lab()
    connection.database.drop_collection(TABLE)
