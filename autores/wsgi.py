"""The WSGI entry point; ``autores.web`` serves it."""

import os
from importlib import import_module
from wsgiref.types import WSGIApplication

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")


def _build() -> WSGIApplication:
    django = get_wsgi_application()
    # The apps are loaded by now, which these need.
    from autores.checks import refuse_broken_settings
    from mentions.api.fastpath import ShortWay

    # Loaded now, not by the first request, and shared by the processes forked from this one.
    import_module("autores.urls")
    refuse_broken_settings()
    return ShortWay(django)


application = _build()
