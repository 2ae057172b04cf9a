"""Log lines as text or JSON, with the request's id, and with secrets taken out.

Redaction is the last line of defence: no code logs a secret, and what a library or a traceback
lets through is masked here, whatever the logger.
"""

import datetime as dt
import json
import logging
import re
from typing import Any

from autores.observability import context

MASK = "[redacted]"
_NAMES = (
    r"access_token|refresh_token|code_verifier|client_secret|api_key|password|secret_key"
    r"|token_encryption_keys|authorization|id_token|state|code"
)
_PATTERNS = (
    # Authorization headers, whatever the scheme.
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=:-]{8,}"), r"\1 " + MASK),
    # key=value, "key": "value" and 'key': 'value'.
    (
        re.compile(
            rf"(?i)\b({_NAMES})([\"']?\s*[=:]\s*[\"']?)(?!\[redacted\])[^\s\"'&,;}})]{{6,}}"
        ),
        rf"\1\2{MASK}",
    ),
    # user:password@host in a URL.
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+@"), rf"\1{MASK}@"),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{8,}"), MASK),
    (re.compile(r"\batr_[A-Za-z0-9_-]{8,}"), MASK),
    (re.compile(r"\bgAAAAA[A-Za-z0-9_=-]{20,}"), MASK),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"), MASK),
)


def redact(text: str) -> str:
    """``text`` with whatever looks like a secret masked."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class ContextFilter(logging.Filter):
    """Puts the request's id on the record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = context.request_id.get()
        return True


class TextFormatter(logging.Formatter):
    """One line for a person."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        request_id = getattr(record, "request_id", "")
        return redact(f"{line} [{request_id}]" if request_id else line)


_OWN_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request_id, extra fields, traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        for name, value in record.__dict__.items():
            if name not in _OWN_FIELDS and value not in ("", None):
                entry[name] = redact(value) if isinstance(value, str) else value
        if record.exc_info:
            entry["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry, default=lambda value: redact(str(value)), ensure_ascii=False)
