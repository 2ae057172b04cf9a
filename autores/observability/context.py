"""Ids that every log line of a request or a task carries."""

import contextvars
import re
import secrets

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
task_id: contextvars.ContextVar[str] = contextvars.ContextVar("task_id", default="")

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_request_id() -> str:
    return secrets.token_hex(8)


def is_request_id(text: object) -> bool:
    """Whether an id from outside is fit for a log line and a header."""
    return isinstance(text, str) and _ACCEPTABLE.fullmatch(text) is not None
