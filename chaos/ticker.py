"""Beat at a faster pace: the same tasks, on the same queues, with seconds for minutes."""

import threading
import time

from celery import Celery

# Task, and seconds between two nudges.
PACE = {
    "mentions.deliver_due_replies": 2.0,
    "mentions.reconcile_unknown_replies": 4.0,
    "mentions.poll_due_accounts": 2.0,
    "mentions.search_accounts": 15.0,
    "mentions.sweep_accounts": 50.0,
    "accounts.refresh_expiring_tokens": 40.0,
}
_QUEUES = {"deliver": "outbox", "reconcile": "outbox", "poll": "ingest", "sweep": "ingest"}


class Ticker:
    """Nudges until it is stopped; a broker that is away is tried again, as beat does."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        due = dict.fromkeys(PACE, 0.0)
        app = self._connect()
        while not self._stopping.wait(0.1):
            now = time.monotonic()
            for task, at in due.items():
                if now < at:
                    continue
                due[task] = now + PACE[task]
                try:
                    self._nudge(app, task)
                except Exception:
                    # Whatever a lost broker raises: with a fresh connection it goes on.
                    app.close()
                    app = self._connect()
                    due[task] = now + 0.5
                    break
        app.close()

    def _nudge(self, app: Celery, task: str) -> None:
        verb = task.partition(".")[2].partition("_")[0]
        app.send_task(
            task,
            queue=_QUEUES.get(verb, "celery"),
            expires=max(15.0, PACE[task]),
            ignore_result=True,
            retry=False,
        )

    def _connect(self) -> Celery:
        app = Celery(broker=self._redis_url, set_as_current=False)
        app.conf.broker_transport_options = {"socket_timeout": 3, "socket_connect_timeout": 3}
        app.conf.broker_connection_timeout = 3
        return app
