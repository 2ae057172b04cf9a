"""gunicorn's own log lines in the form of all others: redacted, as text or JSON."""

from typing import Any

from gunicorn.glogging import Logger

from autores import env
from autores.observability.logs import ContextFilter, JsonFormatter, TextFormatter


class RedactingLogger(Logger):
    """gunicorn's logger with our formatters. It has handlers of its own, past Django's LOGGING."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        formatter = JsonFormatter() if _is_json() else TextFormatter()
        for logger in (self.error_log, self.access_log):
            for handler in logger.handlers:
                handler.setFormatter(formatter)
                handler.addFilter(ContextFilter())


def _is_json() -> bool:
    from django.conf import settings

    # gunicorn logs before it loads the application; reading the settings is harmless then.
    loaded: env.Environment = settings.ENV
    return bool(loaded["LOG_FORMAT"] == "json")
