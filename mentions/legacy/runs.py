"""What is kept of each run of the import, and how a run ended that could not say so itself."""

from mentions.legacy.errors import LegacyImportError
from mentions.models import ImportPosition, ImportRun

RUN_RUNNING, RUN_DONE, RUN_INCOMPLETE, RUN_FAILED = "running", "done", "incomplete", "failed"


def find_unfinished_runs() -> frozenset[str]:
    """Runs since the last one that came to its end: what they finished need not be read again."""
    unfinished = set()
    newest_first = ImportRun.objects.order_by("-started_at").values_list("pk", "state")
    for key, state in newest_first[:100]:
        if state in (RUN_DONE, RUN_INCOMPLETE):
            break
        unfinished.add(key)
    return frozenset(unfinished)


def close_dead_runs() -> None:
    """Runs that a kill or an outage kept from saying how they ended; no import runs beside ours."""
    followed = list(ImportPosition.objects.values_list("run_id", flat=True))
    dead = ImportRun.objects.filter(state=RUN_RUNNING).exclude(pk__in=followed)
    for run in dead:
        run.state = RUN_FAILED
        run.report = {**run.report, "stopped": "Ended without a word: killed, or MongoDB was away."}
        run.save()


def describe_end(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted by a person."
    if isinstance(error, LegacyImportError):
        return str(error)
    return f"Failed: {type(error).__name__}."
