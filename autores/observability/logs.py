"""Log lines as text or JSON, with the ids of the request and the task, and without secrets."""

import datetime as dt
import json
import logging
from typing import Any

from autores.observability import context
from autores.observability.redaction import MASK, redact, redact_value

__all__ = [
    "MASK",
    "ContextFilter",
    "JsonFormatter",
    "RefusalFilter",
    "TextFormatter",
    "redact",
]

# A line break or an escape sequence in a message could forge a line, or a terminal's colours.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\t")}
_CONTROL |= {ord("\n"): "\\n", ord("\r"): "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def _read_message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # The standard handling prints the arguments to stderr, past the redaction.
        return f"{record.msg} (the arguments of this log call do not fit it)"


class ContextFilter(logging.Filter):
    """Puts the ids of the request and the task on the record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = context.request_id.get()
        record.task_id = context.task_id.get()
        return True


class RefusalFilter(logging.Filter):
    """A refused request is a line, not a traceback: anybody can send as many as they like."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
            if record.levelno > logging.WARNING:
                record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


class TextFormatter(logging.Formatter):
    """One line for a person; a traceback follows on lines of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        moment = self.formatTime(record, self.datefmt)
        message = _read_message(record).rstrip().translate(_CONTROL)
        line = f"{moment} {record.levelname:<7} {record.name} {message}"
        ids = [getattr(record, name, "") for name in ("request_id", "task_id")]
        if any(ids):
            line += f" [{' '.join(filter(None, ids))}]"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        if record.stack_info:
            line += f"\n{self.formatStack(record.stack_info)}"
        return redact(line)


_OWN_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, ids, extra fields, traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(_read_message(record)),
        }
        for name, value in record.__dict__.items():
            if name not in _OWN_FIELDS and name not in entry and value not in ("", None):
                entry[name] = redact_value(value, name=name)
        if record.exc_info:
            entry["traceback"] = redact(self.formatException(record.exc_info))
        if record.stack_info:
            entry["stack"] = redact(self.formatStack(record.stack_info))
        return json.dumps(entry, ensure_ascii=False)
