"""Django's error pages and mails: settings and request values by name, and texts by shape."""

import re
from typing import Any

from django.views.debug import SafeExceptionReporterFilter

from autores.observability.redaction import redact


class RedactingReporterFilter(SafeExceptionReporterFilter):
    """Hides URLs of databases too, which hold passwords, and secrets inside other values."""

    hidden_settings = re.compile(
        SafeExceptionReporterFilter.hidden_settings.pattern + "|VERIFIER|MONGODB_URL|_URL$|^HOST$",
        flags=re.IGNORECASE,
    )

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        return redact(cleansed) if isinstance(cleansed, str) else cleansed
