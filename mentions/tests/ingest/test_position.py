"""The cursor: forward only, by one command, whatever another poll wrote meanwhile."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import TwitterAccount
from mentions.ingest.position import Span, finish_span, load_cursor, save_unfinished
from mentions.models import Cursor

pytestmark = pytest.mark.django_db(transaction=True)
# The seconds of a datetime as MongoDB keeps it.
NOW = timezone.now().replace(microsecond=0)


def finish(cursor: Cursor, *, newest: int, minutes: int = 0, **figures: object) -> None:
    span = Span(begun_at=NOW + timedelta(minutes=minutes), newest=newest, lowest=1, seen=1)
    finish_span(cursor, span, now=NOW, **figures)


def test_moves_forward_when_ids_have_different_lengths(acme: TwitterAccount) -> None:
    cursor = load_cursor(acme)
    finish(cursor, newest=999_999_999_999_999_999)
    finish(cursor, newest=1_000_000_000_000_000_000, last_poll_seen=7)
    stored = Cursor.objects.get(pk=cursor.pk)
    assert stored.newest_post_id == cursor.newest_post_id == "1000000000000000000"
    assert (stored.last_poll_seen, stored.complete_until) == (7, NOW)
    assert cursor.complete_until == NOW


def test_stays_when_another_poll_was_further(acme: TwitterAccount) -> None:
    cursor, other = load_cursor(acme), load_cursor(acme)
    finish(other, newest=500, minutes=5)
    finish(cursor, newest=400, minutes=1)
    assert (cursor.newest_post_id, cursor.complete_until) == ("500", NOW + timedelta(minutes=5))
    finish(cursor, newest=0)
    assert cursor.newest_post_id == "500"


def test_ends_only_its_own_unfinished_span(acme: TwitterAccount) -> None:
    cursor = load_cursor(acme)
    save_unfinished(cursor, Span(begun_at=NOW, newest=900, lowest=800, seen=100))
    finish(cursor, newest=700)
    assert (cursor.unfinished_newest_id, cursor.unfinished_lowest_id) == ("900", "800")
    finish(cursor, newest=900)
    assert (cursor.unfinished_newest_id, cursor.unfinished_seen) == ("", 0)
    assert Cursor.objects.get(pk=cursor.pk).unfinished_begun_at is None
