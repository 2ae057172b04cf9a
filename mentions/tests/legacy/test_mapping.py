"""The mapping alone: no database, no clock."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS
from mentions.legacy.mapping import (
    KNOWN_STATUSES,
    SECRET_COLUMNS,
    MappedRow,
    RejectedRow,
    SkippedRow,
    is_mojibake,
    map_message,
    map_oauth_state,
    map_user,
    mask_row,
)
from mentions.legacy.values import digest_values
from mentions.models import MessageStatus

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ROW = {
    "id": b"1790000000000000001",
    "timestamp": b"2025-03-04 05:06:07",
    "user": b"2002",
    "text": b"hello",
    "status": b"pending",
    "public_response": None,
    "dm_response": None,
    "credits_used": b"0",
    "redirected": b"0",
    "created_at": b"2025-03-04 05:06:07",
    "updated_at": None,
}
USER_ROW = {
    "id": b"account-1",
    "twitter_id": b"1001",
    "access_token": b"access",
    "refresh_token": b"refresh",
    "token_expires_at": b"2025-03-04 05:06:07",
    "created_at": None,
    "updated_at": None,
}

any_bytes = st.none() | st.binary(max_size=40) | st.text(max_size=40).map(str.encode)
moments = st.datetimes(
    min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59)
).map(lambda moment: moment.replace(microsecond=0))


def rows_of(table):
    return st.fixed_dictionaries({column.name: any_bytes for column in table.columns})


def encode(moment):
    return f"{moment:%Y-%m-%d %H:%M:%S}".rjust(19, "0").encode()


@given(rows_of(MESSAGES))
def test_outcome_is_never_an_exception_when_message_is_arbitrary(row):
    outcome = map_message(row, account_id="a")
    assert isinstance(outcome, MappedRow | RejectedRow)
    if isinstance(outcome, RejectedRow):
        assert outcome.reasons
    else:
        assert len(outcome.digest) == 32


@given(rows_of(USERS))
def test_outcome_is_never_an_exception_when_user_is_arbitrary(row):
    assert isinstance(map_user(row, now=NOW), MappedRow | RejectedRow)


@given(rows_of(OAUTH_STATES))
def test_outcome_is_never_an_exception_when_state_is_arbitrary(row):
    assert isinstance(map_oauth_state(row, now=NOW), MappedRow | RejectedRow | SkippedRow)


@given(
    key=st.text(min_size=1, max_size=36),
    text=st.text(),
    status=st.text(max_size=50),
    at=moments,
    credits_used=st.none() | st.integers(-(2**31), 2**31 - 1),
    redirected=st.none() | st.integers(-128, 127),
    response=st.none() | st.text(),
)
def test_every_value_survives_when_it_is_readable(
    key, text, status, at, credits_used, redirected, response
):
    row = {
        **ROW,
        "id": key.encode(),
        "text": text.encode(),
        "status": status.encode(),
        "timestamp": encode(at),
        "credits_used": None if credits_used is None else str(credits_used).encode(),
        "redirected": None if redirected is None else str(redirected).encode(),
        "public_response": None if response is None else response.encode(),
    }
    mapped = map_message(row, account_id=None)
    assert isinstance(mapped, MappedRow)
    values = mapped.values
    assert (values["id"], values["post_id"], values["text"]) == (key, key, text)
    assert values["status"] == status
    assert values["timestamp"] == at.replace(tzinfo=UTC)
    assert values["credits_used"] == credits_used
    assert values["redirected"] == (None if redirected is None else redirected != 0)
    assert values["public_response"] == response


@given(rows_of(USERS))
def test_secrets_are_masked_when_a_row_is_shown(row):
    shown = mask_row(row)
    for name in SECRET_COLUMNS & set(row):
        assert shown[name] is None or shown[name] == f"[redacted, {len(row[name])} bytes]"


def test_digest_differs_when_any_compared_field_differs():
    base = map_message(ROW, account_id="a")
    changes = {
        "timestamp": b"2025-03-04 05:06:08",
        "user": b"2003",
        "text": b"hello!",
        "status": b"replied",
        "public_response": b"",
        "dm_response": b"x",
        "credits_used": None,
        "redirected": b"1",
        "created_at": None,
        "updated_at": b"2025-03-04 05:06:07",
    }
    digests = {
        map_message({**ROW, name: value}, account_id="a").digest for name, value in changes.items()
    }
    digests |= {base.digest, map_message(ROW, account_id="b").digest}
    assert len(digests) == len(changes) + 2


def test_digest_is_equal_when_the_same_moment_is_written_otherwise():
    moment = datetime(2025, 1, 1, 12, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=5)))
    assert digest_values({"at": moment, "b": 1}) == digest_values({"b": 1, "at": elsewhere})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "timestamp is NULL"),
        (b"0000-00-00 00:00:00", "timestamp is a zero date: '0000-00-00 00:00:00'"),
        (b"2025-00-01 00:00:00", "timestamp is a zero date: '2025-00-01 00:00:00'"),
        (b"2025-02-30 00:00:00", "timestamp is no date and time: '2025-02-30 00:00:00'"),
        (b"soon", "timestamp is no date and time: 'soon'"),
        (b"\xff", "timestamp is not UTF-8 text at byte 0"),
    ],
)
def test_row_is_rejected_when_the_time_cannot_be_read(value, reason):
    outcome = map_message({**ROW, "timestamp": value}, account_id="a")
    assert outcome.reasons == (reason,)


def test_microseconds_are_cut_to_milliseconds_when_present():
    outcome = map_message({**ROW, "timestamp": b"2025-03-04 05:06:07.123999"}, account_id="a")
    assert outcome.values["timestamp"].microsecond == 123_000


def test_cut_is_noted_when_a_time_has_microseconds():
    cut = map_message({**ROW, "timestamp": b"2025-03-04 05:06:07.123999"}, account_id="a")
    assert cut.notes == ("timestamp has microseconds, cut to milliseconds",)
    whole = map_message({**ROW, "timestamp": b"2025-03-04 05:06:07.123000"}, account_id="a")
    assert whole.notes == ()


@given(st.text(alphabet="aäöüßéèñçø€–’“”•™œšžŸ🙏 ", min_size=1, max_size=30))
def test_mojibake_is_found_when_the_bytes_were_read_as_latin1(text):
    for wrong in ("latin-1", "cp1252"):
        try:
            garbled = text.encode().decode(wrong)
        except UnicodeDecodeError:
            continue
        assert is_mojibake(garbled.encode()) == (not text.isascii())


@pytest.mark.parametrize(
    "text",
    ["Grüße aus Köln – „schön“", "à l’été, œuvre, garçon", "ação às três", "Ø 5 µm ±2 °C", "Ãé"],
)
def test_no_mojibake_is_found_when_the_text_is_well_written(text):
    assert not is_mojibake(text.encode())


def test_all_reasons_are_given_when_several_columns_are_bad():
    outcome = map_message({**ROW, "id": b"", "text": None, "status": b"\xff"}, account_id="a")
    assert outcome.reasons == ("id is empty", "text is NULL", "status is not UTF-8 text at byte 0")


@pytest.mark.parametrize("value", [b"99999999999", b"1.0", b"", "٣".encode()])
def test_row_is_rejected_when_credits_are_no_integer(value):
    outcome = map_message({**ROW, "credits_used": value}, account_id="a")
    assert isinstance(outcome, RejectedRow)


@pytest.mark.parametrize(
    ("age", "kind"),
    [(599, MappedRow), (600, SkippedRow), (86_400, SkippedRow), (-3600, MappedRow)],
)
def test_flow_lives_ten_minutes_at_most_when_mapped(age, kind):
    begun = NOW - timedelta(seconds=age)
    row = {"state": b"s", "code_verifier": b"v", "created_at": encode(begun)}
    outcome = map_oauth_state(row, now=NOW)
    assert isinstance(outcome, kind)
    if isinstance(outcome, MappedRow):
        assert NOW < outcome.values["expires_at"] <= NOW + timedelta(minutes=10)


def test_flow_is_short_lived_when_its_time_is_the_last_there_is():
    row = {"state": b"s", "code_verifier": b"v", "created_at": b"9999-12-31 23:59:59"}
    assert map_oauth_state(row, now=NOW).values["expires_at"] == NOW + timedelta(minutes=10)


def test_row_is_rejected_when_a_text_cannot_fit_a_document():
    outcome = map_message({**ROW, "dm_response": b"x" * 2_000_001}, account_id="a")
    assert outcome.reasons == ("dm_response has 2000001 bytes; at most 2000000 fit",)


def test_tokens_stay_out_when_a_mapped_row_is_printed():
    row = {**USER_ROW, "access_token": b"very-secret"}
    assert "very-secret" not in repr(map_user(row, now=NOW))


def test_statuses_are_those_of_the_model_when_compared():
    assert set(KNOWN_STATUSES) == set(MessageStatus.values)
