"""The fast road from BSON to JSON ends where DRF's own would."""

from datetime import UTC, datetime
from typing import Any

import bson
from bson.codec_options import CodecOptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.renderers import JSONRenderer

from mentions.api.encoding import digest_messages, encode_message, join_messages
from mentions.api.serializers import STORED_FIELDS, MessageSerializer, message_json
from mentions.models import Message

_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
# U+2028 and U+2029 end a line in JavaScript, and DRF escapes them.
texts = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('\u2028\u2029"\\\x7f\0')),
    max_size=8,
)
times = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31))
values = st.one_of(
    st.none(),
    texts,
    times,
    st.booleans(),
    st.integers(min_value=-(2**63), max_value=2**63 - 1).map(bson.Int64),
    st.integers(min_value=-(2**31), max_value=2**31 - 1),
)
_OF_URL = {name: st.one_of(st.none(), texts) for name in ("post_id", "author_username")}
documents = st.fixed_dictionaries(
    {"_id": texts, "timestamp": times},
    optional={name: values for name in STORED_FIELDS if name != "timestamp"} | _OF_URL,
)


modest = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def render_as_drf_does(stored: list[bytes]) -> bytes:
    rows = [message_json(bson.decode(one, _AWARE)) for one in stored]
    rendered: bytes = JSONRenderer().render(rows)
    return rendered


@modest
@given(st.lists(documents, max_size=2))
def test_bytes_are_those_of_drf_whatever_is_stored(rows: list[dict[str, Any]]) -> None:
    stored = [bson.encode(row) for row in rows]

    assert join_messages([encode_message(one) for one in stored]) == render_as_drf_does(stored)
    # What is kept of them is no other.
    assert join_messages([encode_message(one) for one in stored]) == render_as_drf_does(stored)


@modest
@given(st.lists(documents, max_size=2), st.lists(documents, max_size=2))
def test_digest_tells_lists_apart_by_their_json(
    one: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    encoded = [[encode_message(bson.encode(row)) for row in rows] for rows in (one, other)]
    is_same = join_messages(encoded[0]) == join_messages(encoded[1])

    assert (digest_messages(encoded[0]) == digest_messages(encoded[1])) is is_same


def test_each_shown_field_is_a_column_that_the_projection_names() -> None:
    columns = {field.column for field in Message._meta.concrete_fields}

    assert set(STORED_FIELDS) <= columns
    assert set(MessageSerializer().fields) == {*STORED_FIELDS, "id", "post_url"}
