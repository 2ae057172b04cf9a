"""The ASGI entry point, for servers that want one."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")
application = get_asgi_application()

# Loaded now, and not by the first request.
from autores import urls  # noqa: E402, F401 - needs the apps to be loaded
from autores.checks import refuse_broken_settings  # noqa: E402

refuse_broken_settings()
