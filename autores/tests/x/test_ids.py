from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autores.x.ids import (
    EPOCH,
    MAX_POST_ID,
    are_post_ids,
    created_at_of,
    first_post_id_at,
    is_post_id,
)


def test_time_is_read_when_the_id_is_a_known_post() -> None:
    # X's own documentation of edit history prints this id with this created_at.
    assert created_at_of("1212092628029698048").replace(microsecond=0) == datetime(
        2019, 12, 31, 19, 26, 16, tzinfo=UTC
    )


@given(st.datetimes(min_value=datetime(2010, 11, 5), max_value=datetime(2075, 1, 1)))
@settings(deadline=None)
def test_id_and_time_agree_to_the_millisecond_when_going_there_and_back(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    back = created_at_of(first_post_id_at(moment))
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)


@given(st.integers(min_value=0, max_value=MAX_POST_ID))
@settings(deadline=None)
def test_first_id_is_not_above_any_id_of_its_millisecond_when_given_that_time(number: int) -> None:
    first = int(first_post_id_at(created_at_of(str(number))))
    assert first <= number < first + 2**22


def test_zero_is_given_when_the_moment_is_before_x_existed() -> None:
    assert first_post_id_at(EPOCH - timedelta(days=1)) == "0"


@pytest.mark.parametrize("wrong", ["", "abc", "-5", "1" * 20, "9" * 19, "１２", " 1", "1.0"])
def test_a_clear_error_is_raised_when_the_text_is_no_id(wrong: str) -> None:
    with pytest.raises(ValueError, match="1 to 19 decimal digits"):
        created_at_of(wrong)


def test_a_clear_error_is_raised_when_the_moment_has_no_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        first_post_id_at(datetime(2026, 1, 1))


@pytest.mark.parametrize("value", [12, None, 1.5, b"12", ["12"]])
def test_only_strings_are_ids_when_other_types_come(value: object) -> None:
    assert not is_post_id(value)


_VALUES = ["1", "0", "9" * 19, "9" * 20, "", " 1", "1a", "٣", "²", None, 7, ["1"], "-1"]


@given(st.lists(st.sampled_from(_VALUES), min_size=1, max_size=4))
@settings(max_examples=200)
def test_several_are_ids_when_each_of_them_is(values: list[object]) -> None:
    assert are_post_ids(values) == all(map(is_post_id, values))
