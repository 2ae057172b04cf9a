"""Batches of rows that are equal to their documents are settled at once: as one by one."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentions.legacy.proof import merge
from mentions.legacy.proof.fields import MESSAGES, RawRow
from mentions.legacy.proof.merge import Counts, Finding, KeyOrderError, RangeTask
from mentions.legacy.proof.streams import KeyRange

TIME = b"2025-03-04 05:06:07"
KEYS = [f"{1_790_000_000_000_000_000 + number * 10**13}" for number in range(9)]


def make_row(key: str, **changes: bytes | None) -> RawRow:
    values: dict[str, bytes | None] = {
        "id": key.encode(),
        "timestamp": TIME,
        "user": b"7",
        "text": "Grüße".encode(),
        "status": b"pending",
        "public_response": None,
        "dm_response": b"",
        "credits_used": b"1",
        "redirected": b"0",
        "created_at": b"2025-03-04 05:06:07.123456",
        "updated_at": None,
        **changes,
    }
    return tuple(values[column] for column in MESSAGES.columns)


def make_document(key: str, **changes: Any) -> dict[str, Any]:
    return {
        "_id": key,
        "post_id": key,
        "timestamp": datetime(2025, 3, 4, 5, 6, 7),
        "user": "7",
        "text": "Grüße",
        "status": "pending",
        "public_response": None,
        "dm_response": "",
        "credits_used": 1,
        "redirected": False,
        "created_at": datetime(2025, 3, 4, 5, 6, 7, 123000),
        "updated_at": None,
        "kind": "legacy",
        "account_id": "a",
        **changes,
    }


class OneByOne(merge._Walk):
    def _pass_equal(self, batch: list[RawRow], ahead: merge._Ahead, *, within: KeyRange) -> bool:
        return False


def walk(
    batches: list[list[RawRow]],
    documents: list[list[dict[str, Any]]],
    *,
    within: KeyRange,
    is_one_by_one: bool = False,
) -> tuple[Counts, list[Finding]]:
    found: list[Finding] = []
    task = RangeTask(MESSAGES, within, "varchar", is_sorted_by_bytes=False)
    walker = OneByOne if is_one_by_one else merge._Walk
    one = walker(task, decrypt=str, report=found.extend, tell=lambda count: None)
    one.merge(iter(batches), iter(documents), within=within)
    one.flush()
    return one.counts, found


def cut(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def test_equal_rows_are_counted_by_batches_and_their_times_are_checked() -> None:
    rows = [make_row(key) for key in KEYS]
    documents = [make_document(key, account_id="a" if key < KEYS[4] else None) for key in KEYS]
    counts, found = walk([*cut(rows, 4)], [*cut(documents, 5)], within=KeyRange())
    assert found == []
    assert (counts.in_mysql, counts.in_mongodb, counts.compared, counts.equal) == (9, 9, 9, 9)
    assert counts.accounts == {"a": 4, "": 5}
    assert counts.clock.off == counts.clock.checked == 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redirected", 0),
        ("credits_used", True),
        ("credits_used", 1.0),
        ("text", "Grusse"),
        ("dm_response", None),
        ("public_response", ""),
        ("post_id", "1"),
        ("created_at", datetime(2025, 3, 4, 5, 6, 7, 124000)),
    ],
)
def test_a_difference_in_value_or_type_is_found_in_a_batch(name: str, value: Any) -> None:
    documents = [make_document(key) for key in KEYS]
    documents[5][name] = value
    counts, (finding,) = walk([[make_row(key) for key in KEYS]], [documents], within=KeyRange())
    assert (finding.kind, finding.key, counts.equal) == ("differs", KEYS[5], 8)


def test_order_is_asked_for_between_batches_too() -> None:
    rows = [[make_row(key) for key in KEYS[3:6]], [make_row(key) for key in KEYS[:3]]]
    documents = [make_document(key) for key in (*KEYS[3:6], *KEYS[:3])]
    with pytest.raises(KeyOrderError):
        walk(rows, [documents], within=KeyRange())


_SIDES = st.lists(
    st.tuples(
        st.sampled_from(["both", "both", "both", "row", "document"]),
        st.sampled_from(
            [{}, {}, {}, {"text": b"\xff"}, {"id": b"\xff"}, {"timestamp": b"0000-00-00"}]
        ),
        st.sampled_from(
            [{}, {}, {}, {"text": "other"}, {"redirected": 0}, {"kind": "direct"}, {"status": None}]
        ),
    ),
    max_size=len(KEYS),
)


@given(
    _SIDES,
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from([KeyRange(), KeyRange(KEYS[0]), KeyRange(KEYS[0], KEYS[5])]),
)
def test_what_is_found_is_the_same_by_batches_and_one_by_one(
    sides: list[tuple[str, dict[str, bytes], dict[str, Any]]],
    row_batch: int,
    document_batch: int,
    within: KeyRange,
) -> None:
    def run(*, is_one_by_one: bool) -> Any:
        rows, documents = [], []
        for key, (side, in_row, in_document) in zip(KEYS, sides, strict=False):
            if side != "document":
                rows.append(make_row(key, **in_row))
            if side != "row":
                documents.append(make_document(key, **in_document))
        batches = [*cut(rows, row_batch)], [*cut(documents, document_batch)]
        try:
            return walk(*batches, within=within, is_one_by_one=is_one_by_one)
        except KeyOrderError:
            return "order"

    assert run(is_one_by_one=False) == run(is_one_by_one=True)
