"""Gives a task's log lines its id, and the id of the request that sent it.

Connected by importing this module; Celery's signals reach all tasks of the process.
"""

from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun

from autores.observability import context

_HEADER = "autores_request_id"


@before_task_publish.connect
def hand_on_request_id(headers: dict[str, Any] | None = None, **kwargs: Any) -> None:
    request_id = context.request_id.get()
    if headers is not None and request_id:
        headers[_HEADER] = request_id


@task_prerun.connect
def begin_task(task_id: str = "", task: Any = None, **kwargs: Any) -> None:
    context.task_id.set(task_id or "")
    request_id: Any = getattr(getattr(task, "request", None), _HEADER, None)
    context.request_id.set(request_id if context.is_request_id(request_id) else "")


@task_postrun.connect
def end_task(**kwargs: Any) -> None:
    # A worker's thread runs the next task in the same context.
    context.task_id.set("")
    context.request_id.set("")
