"""The pause of all calls to X: set once, told once, probed, and ended by itself or by a person.

When X takes no call of the app any more (no credits, a cap), every call stops. After a while one
call, whichever comes next, goes out as the probe; the others wait for what becomes of it. X still
refuses: the next probe comes later. X takes it: all go on. A pause that an operator set is never
replaced, probed or lifted here.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F, Q

from accounts.alerts import send_alert
from accounts.counting import is_remembered, remember
from accounts.models import AppPause
from accounts.signals import SYSTEM, announce

logger = logging.getLogger(__name__)

OPERATOR_PAUSE = "operator"
LONGEST_PROBE_AFTER = timedelta(hours=1)
# A probe whose process died leaves the next call to be one.
PROBE_SECONDS = 90
# The same trouble again, so soon after X took a probe, is told in the log alone.
_SAME_TROUBLE_SECONDS = 3600


def first_probe_after() -> timedelta:
    return timedelta(minutes=settings.X_PROBE_INTERVAL)


def pause_app(code: str, reason: str, *, seconds: float | None, now: datetime) -> bool:
    """Stop all calls to X; after ``seconds``, or X_PROBE_INTERVAL, one call probes. True if this
    began the pause: it is told then, and not when late answers or probes say the same again.
    """
    delay = first_probe_after() if seconds is None else timedelta(seconds=seconds)
    current = AppPause.standing()
    if current is not None and not current.is_probed and not current.is_in_force(now=now):
        # An operator's, and over.
        AppPause.objects.filter(pk=current.pk, until=current.until).delete()
        current = None
    if current is None:
        pause = AppPause(
            pk=AppPause.KEY,
            code=code,
            reason=reason,
            paused_at=now,
            until=now + delay,
            is_probed=True,
        )
        try:
            pause.save(force_insert=True)
        except IntegrityError:
            # Another worker was told the same at this moment.
            return False
        _tell(pause)
        return True
    if current.is_probed and not current.is_in_force(now=now):
        if seconds is None:
            delay = min(first_probe_after() * 2 ** min(current.probes, 10), LONGEST_PROBE_AFTER)
        AppPause.objects.filter(pk=current.pk, until=current.until).update(
            code=code, reason=reason, until=now + delay, probing_until=None
        )
        logger.warning("X still refuses calls (%s); the next probe is in %s", code, delay)
    return False


def take_probe(pause: AppPause, *, now: datetime) -> bool:
    """Whether this call may go out as the one that tries. End it by ``end_probe``."""
    free = Q(probing_until=None) | Q(probing_until__lte=now)
    taken = AppPause.objects.filter(free, pk=pause.pk, until=pause.until, is_probed=True).update(
        probing_until=now + timedelta(seconds=PROBE_SECONDS), probes=F("probes") + 1
    )
    return bool(taken)


def end_probe(pause: AppPause, *, has_succeeded: bool) -> None:
    """X took the call: all go on. It failed for another reason: the next call may try at once.

    Without effect if X refused it for the pause's reason (``pause_app`` has put ``until`` off),
    or somebody resumed or paused anew meanwhile.
    """
    standing = AppPause.objects.filter(pk=pause.pk, until=pause.until, is_probed=True)
    if not has_succeeded:
        standing.update(probing_until=None)
    elif standing.delete()[0]:
        remember(f"app-resumed:{pause.code}", seconds=_SAME_TROUBLE_SECONDS)
        logger.warning("X takes calls again: %s is over", pause.code)
        announce("app.resumed", account_id="", note="X takes calls again.")


def resume_app(*, actor: str = SYSTEM) -> bool:
    """Let calls to X go out again; False if nothing was paused."""
    is_resumed = bool(AppPause.objects.filter(pk=AppPause.KEY).delete()[0])
    if is_resumed:
        announce("app.resumed", account_id="", actor=actor)
    return is_resumed


def _tell(pause: AppPause) -> None:
    announce("app.paused", account_id="", after={"code": pause.code}, note=pause.reason)
    logger.error("All calls to X are paused: %s", pause.code)
    if not is_remembered(f"app-resumed:{pause.code}"):
        send_alert(
            "Autores: all calls to X are paused",
            f"{pause.reason} Nothing is read or sent meanwhile, and nothing is lost but what X no "
            f"longer shows. It is tried again from {pause.until:%H:%M} UTC on; to resume at once: "
            "manage.py resume_x",
        )
