"""The encoder of C: byte for byte what the driver makes, or refused."""

import importlib.util
import os
import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import bson
import orjson
import pytest
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from autores.mongo import accelerator
from autores.mongo.accelerator import HEADERS, compile_accelerator
from autores.mongo.documents import encode_fields, encode_plainly
from autores.tests.programs import leave_out, require_program

TAIL = bson.encode({"version": 1, "status": "pending"})[4:-1]


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Compiled of the source as it is now, whatever lies beside it: one that does not compile
    fails the tests, and only a machine without a compiler leaves them out.
    """
    require_program("cc", "gcc", "clang", remedy="apt-get install gcc libc6-dev")
    if not HEADERS.exists():
        leave_out(f"Python's headers are missing ({HEADERS}): apt-get install python3-dev")
    path = compile_accelerator(tmp_path_factory.mktemp("accelerator"))
    spec = importlib.util.spec_from_file_location("autores.mongo._fastbson", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_TEXTS = st.text(max_size=12) | st.sampled_from(["\0", "a\0b", "\ud83d", "🌍", "", "é" * 300])
_NUMBERS = (
    st.integers()
    | st.sampled_from([2**31, 2**31 - 1, -(2**31), -(2**31) - 1, 2**63, 2**63 - 1, -(2**63) - 1])
    | st.floats()
)
_MOMENTS = st.datetimes(
    timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=2)), timezone(timedelta(0))])
)
_ODD = st.sampled_from([b"bytes", (1, 2), Int64(5), OrderedDict(a=1), {1: 2}, {1, 2}, Path("x")])
_WILD = st.recursive(
    st.none() | st.booleans() | _TEXTS | _NUMBERS | _MOMENTS | _ODD,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(_TEXTS, inner, max_size=5),
    max_leaves=30,
)
_DOCUMENTS = st.dictionaries(_TEXTS | st.just("_id"), _WILD, max_size=8)
_SAFE_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
_JSON = st.recursive(
    st.none() | st.booleans() | _SAFE_TEXTS | st.integers(-(2**63), 2**63 - 1) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_SAFE_TEXTS, inner, max_size=4),
    max_leaves=30,
)


@given(document=_DOCUMENTS)
def test_a_document_is_the_drivers_or_refused(fast: ModuleType, document: dict[Any, Any]) -> None:
    try:
        encoded = fast.encode(document)
    except fast.Refused:
        return
    assert encoded == bson.encode(document)


@given(document=st.dictionaries(_SAFE_TEXTS, _JSON, max_size=6))
def test_what_json_can_say_is_not_refused(fast: ModuleType, document: dict[str, Any]) -> None:
    assert fast.encode(document, TAIL) == encode_plainly(document, TAIL)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2**63, "an integer of more than 64 bits"),
        (b"", "bytes"),
        ((), "tuple"),
        ("\ud800", "a lone surrogate"),
        ({"a\0": 1}, "NUL in a name"),
        ({1: 2}, "a name that is no str"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))), "a time in another zone"),
    ],
)
def test_the_refusal_says_why(fast: ModuleType, value: Any, said: str) -> None:
    with pytest.raises(fast.Refused, match=said):
        fast.encode({"a": [{"b": value}]})


def test_a_document_is_refused_when_it_is_nested_deeper_than_the_server_takes(
    fast: ModuleType,
) -> None:
    def nest(levels: int) -> dict[str, Any]:
        return orjson.loads(b'{"a":' * levels + b"{}" + b"}" * levels)

    assert fast.encode(nest(99)) == bson.encode(nest(99))
    with pytest.raises(fast.Refused, match="nested too deeply"):
        fast.encode(nest(100))
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(fast.Refused, match="nested too deeply"):
        fast.encode({"a": endless})


def test_the_key_comes_first_wherever_it_stands(fast: ModuleType) -> None:
    document = {"a": 1, "_id": "x", "b": {"c": 1, "_id": "y"}}
    assert fast.encode(document) == bson.encode(document)
    assert list(bson.decode(fast.encode(document))) == ["_id", "a", "b"]


@pytest.mark.parametrize("arguments", [(), ([],), ({}, "text"), ({}, b"", 1), (OrderedDict,)])
def test_other_arguments_are_refused(fast: ModuleType, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        fast.encode(*arguments)


def test_no_memory_is_kept(fast: ModuleType) -> None:
    good = {"a": ["x" * 5000, {"b": [1.5, None, True, 2**40]}], "at": datetime(2026, 1, 1)}
    bad = {**good, "z": 2**70}

    def work() -> None:
        for _ in range(300):
            fast.encode(good, TAIL)
            with pytest.raises(fast.Refused):
                fast.encode(bad)

    work()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000, "600 documents of 5 kB, none of which is left"


@given(document=_DOCUMENTS)
def test_what_is_stored_is_the_same_with_and_without(document: dict[Any, Any]) -> None:
    try:
        plain = encode_plainly(document, TAIL)
    except Exception as error:
        with pytest.raises(type(error)):
            encode_fields(document, TAIL)
    else:
        assert encode_fields(document, TAIL) == plain


@pytest.mark.parametrize(("arguments", "code"), [([], 1), (["--if-possible"], 0)])
def test_it_is_said_what_is_missing_when_there_is_no_compiler(
    arguments: list[str], code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", accelerator.__name__, *arguments],
        env={**os.environ, "CC": "/nonexistent/cc"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert "Autores works without" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
