import datetime as dt
import json
import logging
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autores.observability import context
from autores.observability.logs import ContextFilter, JsonFormatter, TextFormatter

TOKEN = "refresh_token=Zm9vYmFyYmF6cXV4MTIz"
RAW = "Zm9vYmFyYmF6cXV4MTIz"


def make_record(message: str, *args: Any, **more: Any) -> logging.LogRecord:
    logger = logging.getLogger("autores.example")
    record = logger.makeRecord(
        logger.name, logging.WARNING, __file__, 1, message, args, None, extra=more or None
    )
    ContextFilter().filter(record)
    return record


def as_json(record: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    loaded: dict[str, Any] = json.loads(line)
    return loaded


@pytest.fixture
def _ids() -> Iterator[None]:
    tokens = context.request_id.set("req-1"), context.task_id.set("task-1")
    yield
    context.request_id.reset(tokens[0])
    context.task_id.reset(tokens[1])


@pytest.mark.usefixtures("_ids")
def test_json_line_has_all_members_when_a_request_runs() -> None:
    record = make_record("polled %s: %d seen", "42", 3, account_id="42")

    entry = as_json(record)

    moment = dt.datetime.fromisoformat(entry.pop("time"))
    assert moment.utcoffset() == dt.timedelta(0)
    assert abs(moment.timestamp() - record.created) < 0.001
    assert entry == {
        "level": "WARNING",
        "logger": "autores.example",
        "message": "polled 42: 3 seen",
        "request_id": "req-1",
        "task_id": "task-1",
        "account_id": "42",
    }


@pytest.mark.usefixtures("_ids")
def test_text_line_ends_with_the_ids_when_a_request_runs() -> None:
    line = TextFormatter().format(make_record("polled %s", "42"))

    assert line.endswith("WARNING autores.example polled 42 [req-1 task-1]")


def test_ids_are_left_out_when_there_are_none() -> None:
    assert TextFormatter().format(make_record("started")).endswith("autores.example started")
    assert set(as_json(make_record("started"))) == {"time", "level", "logger", "message"}


def test_secret_is_gone_when_it_is_in_message_extra_or_traceback() -> None:
    try:
        int(f"cannot use {TOKEN}")
    except ValueError:
        record = make_record("failed: %s", TOKEN, detail={"deep": [TOKEN]}, password=RAW)
        record.exc_info = sys.exc_info()
    record.stack_info = f"Stack: {TOKEN}"

    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record)
        assert RAW not in line
        assert "ValueError: invalid literal for int() with base 10:" in line
        assert "Stack: refresh_token=[redacted]" in line


def test_secret_is_gone_when_the_arguments_do_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter())

    handler.handle(make_record("%d tokens", RAW))

    shown = capsys.readouterr().err
    assert "%d tokens (the arguments of this log call do not fit it)" in shown
    assert RAW not in shown


@given(text=st.text())
@example(text="\x85x\x1b[31m\r\nFORGED\u2028x\x7f")
def test_one_line_is_written_when_the_message_holds_anything(text: str) -> None:
    line = TextFormatter().format(make_record("author said %s", text))

    assert len(line.splitlines()) == 1
    assert not any(unicodedata.category(letter) == "Cc" for letter in line.replace("\t", ""))


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
        | st.datetimes(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=8,
    )
)  # fmt: skip
def test_line_is_json_when_an_extra_is_anything(value: Any) -> None:
    as_json(make_record("x", extra_value=value))


def test_own_members_stay_when_an_extra_has_their_name() -> None:
    entry = as_json(make_record("real", level="FORGED", time="never", logger="other"))

    assert (entry["level"], entry["logger"]) == ("WARNING", "autores.example")
    assert entry["time"] != "never"
