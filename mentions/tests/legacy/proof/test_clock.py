from datetime import UTC, datetime, timedelta

import pytest

from autores.x.ids import created_at_of
from mentions.legacy.proof.clock import ClockAudit, offset_of, show_offset

POST = "1790000000000000001"


def time_of(key):
    return created_at_of(key).astimezone(UTC).replace(tzinfo=None, microsecond=0)


def audit_of(count, *, shift):
    audit = ClockAudit()
    for number in range(count):
        key = str(int(POST) + number * 10**12)
        audit.add(key, time_of(key) + shift)
    return audit


def test_nothing_is_off_when_times_are_those_of_the_ids():
    audit = audit_of(50, shift=timedelta(0))

    assert (audit.checked, audit.off, audit.is_zone_wrong) == (50, 0, False)


@pytest.mark.parametrize(
    ("hours", "shown"), [(2, "+02:00"), (-5, "-05:00"), (5.5, "+05:30"), (12.75, "+12:45")]
)
def test_zone_is_named_when_the_whole_table_is_off(hours, shown):
    audit = audit_of(50, shift=timedelta(hours=hours))

    assert audit.off == 50
    assert audit.is_zone_wrong
    assert shown in audit.sentence


def test_both_zones_are_named_when_summer_time_changed():
    audit = audit_of(30, shift=timedelta(hours=1))
    audit.merge(audit_of(20, shift=timedelta(hours=2)))

    assert audit.is_zone_wrong
    assert "+01:00 (30 rows)" in audit.sentence
    assert "+02:00 (20 rows)" in audit.sentence


def test_single_rows_are_listed_when_the_others_are_right():
    audit = audit_of(50, shift=timedelta(0))
    offset = audit.add(POST, time_of(POST) + timedelta(seconds=90))

    assert offset == pytest.approx(90, abs=1)
    assert (audit.off, audit.is_zone_wrong) == (1, False)
    assert audit.listed[0][0] == POST


@pytest.mark.parametrize(
    "key",
    ["", "20", "007", "a1b2c3d4-0000-4000-8000-00000000abcd", "१२३४५६७८९०१२", "9" * 19, "1" * 20],
)
def test_row_is_passed_over_when_its_id_has_no_time(key):
    assert offset_of(key, datetime(2025, 1, 1)) is None


def test_offset_is_in_days_when_it_is_large():
    assert show_offset(86_400 * 300) == "+300.0 days"
