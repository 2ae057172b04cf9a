"""Documents put together from parts that were encoded before."""

from datetime import UTC, datetime
from typing import Any

import bson
import orjson
import pytest
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

from autores.mongo.documents import SharedFields, make_storable

_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(
        lambda moment: moment.replace(microsecond=0)
    )
)
_FIELDS = st.dictionaries(_NAMES, _VALUES | st.lists(_VALUES, max_size=3), max_size=6)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@given(shared=_FIELDS, own=_FIELDS)
def test_a_document_is_the_same_as_one_encoded_at_once(
    shared: dict[str, Any], own: dict[str, Any]
) -> None:
    own = {name: value for name, value in own.items() if name not in shared}
    document = SharedFields(shared).complete(own)
    assert bson.decode(document.raw) == {**own, **shared}
    assert len(document.raw) == len(bson.encode({**own, **shared}))


def test_a_field_is_refused_when_it_is_shared_and_own() -> None:
    shared = SharedFields({"account_id": "a", "now": datetime(2026, 11, 1, tzinfo=UTC)})
    with pytest.raises(ValueError, match="shared: account_id"):
        shared.complete({"_id": "1", "account_id": "b"})


@given(_JSON)
def test_any_json_can_be_stored(value: Any) -> None:
    bson.encode({"raw": make_storable(value)})


def test_json_stays_as_it_is_when_bson_can_hold_it() -> None:
    value = orjson.loads(b'{"a": [1, -2.5, null, {"b": "\\u0000"}], "c": 9223372036854775807}')
    assert make_storable(value) == value


def test_what_bson_cannot_hold_is_spelled_out() -> None:
    assert make_storable({"n\0": [2**63, -(2**63)]}) == {"n\\u0000": [str(2**63), -(2**63)]}


def test_what_was_read_as_bson_can_be_stored_again() -> None:
    deep: Any = 7
    for _ in range(150):
        deep = {"a": deep}
    document = RawBSONDocument(bson.encode({"n": 2**40, "deep": deep}))
    stored = make_storable(document)
    assert stored["n"] == 2**40
    bson.encode({"raw": stored})
