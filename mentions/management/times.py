"""Moments that are given on a command line."""

from datetime import UTC, datetime

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime


def read_past_time(value: str, *, option: str) -> datetime:
    """A time in UTC that is not in the future. Raises CommandError."""
    try:
        moment = parse_datetime(value)
        if moment is not None:
            moment = moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise CommandError(f"{option} must be a time with its offset: 2026-11-27T03:00:00Z")
    if moment > timezone.now():
        raise CommandError(f"{option} lies in the future.")
    return moment
