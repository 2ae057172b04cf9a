"""The WSGI entry point; ``autores.web`` serves it."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")
_django = get_wsgi_application()

# Loaded now, not by the first request, and shared by the processes that are forked from this one.
from autores import urls  # noqa: E402, F401 - needs the apps to be loaded
from autores.checks import refuse_broken_settings  # noqa: E402
from mentions.api.fastpath import ShortWay  # noqa: E402

refuse_broken_settings()
application = ShortWay(_django)
