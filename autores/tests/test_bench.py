"""What the benchmarks stand on: that they compare like with like. A run takes minutes."""

import copy
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from autores.x.parse import parse_post_page
from autores.x.types import RateLimits
from bench import api, ingest, polling, simulation
from bench.cases import Case, list_cases
from bench.equality import UnequalError, compare_answers
from bench.legacy_data import make_messages
from bench.load import Load, Measured, run_load
from bench.mention_pages import Mentioned, make_posts, print_page
from bench.report import Outcome, format_table
from bench.seed import LEGACY_FIELDS, Seeded, widen
from mentions.ingest.classify import classify_post
from mentions.models import Message

CASE = Case("list", ("/",), 4, "code")
ROW = {
    **dict.fromkeys(
        ("user", "text", "status", "public_response", "dm_response", "credits_used", "redirected")
    ),
    "id": "1",
    "timestamp": "2026-01-02T03:04:05",
    "created_at": None,
    "updated_at": None,
}


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/open" else 503)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_equal_rows_pass_when_only_the_time_zone_is_unsaid() -> None:
    ours = {**ROW, "timestamp": "2026-01-02T03:04:05Z", "more": "than the peer has"}
    assert compare_answers(CASE, "/", [ROW], [ours]) == 1
    assert compare_answers(CASE, "/", ROW, ours) == 1


@pytest.mark.parametrize(
    "changes", [{"status": "replied"}, {"credits_used": 0}, {"timestamp": "2026-01-02T04:04:05Z"}]
)
def test_timing_is_refused_when_a_value_differs(changes: dict[str, object]) -> None:
    for peer, ours in (([ROW], [{**ROW, **changes}]), (ROW, {**ROW, **changes})):
        with pytest.raises(UnequalError):
            compare_answers(CASE, "/", peer, ours)


def test_timing_is_refused_when_rows_are_missing() -> None:
    with pytest.raises(UnequalError):
        compare_answers(CASE, "/", [ROW, ROW], [ROW])
    with pytest.raises(UnequalError):
        compare_answers(CASE, "/", {"total": 1}, {"total": 2})


def test_the_same_messages_are_made_in_every_run() -> None:
    first, again = (list(make_messages(50)) for _ in range(2))
    assert first == again
    document = widen(dict(zip(LEGACY_FIELDS, first[0], strict=True)), account_id="a")
    assert set(document) == {field.column for field in Message._meta.concrete_fields}


def test_made_pages_are_what_x_prints() -> None:
    posts = list(make_posts(20, of=Mentioned("7"), after=datetime.now(UTC), step=timedelta(1)))
    body = orjson.loads(print_page(posts))
    page = parse_post_page(copy.deepcopy(body), rate=RateLimits())
    kinds = [
        classify_post(
            post, account_x_id="7", account_username="team", referenced=page.referenced
        ).kind
        for post in page.posts
    ]
    assert [post.id for post in page.posts] == [post["id"] for post in reversed(posts)]
    assert (kinds.count("direct"), kinds.count("implicit")) == (18, 2)
    assert parse_post_page(orjson.loads(print_page([])), rate=RateLimits()).posts == ()


def test_load_counts_answers_and_failures(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.load.find_wrk", lambda: None)
    good, bad = (
        run_load(Load(shop, "GET", (path,), (), {}), seconds=0.2, connections=2)
        for path in ("/open", "/closed")
    )
    assert good.requests > 0
    assert (good.errors, good.bytes_each) == (0, 5)
    assert bad.errors == bad.requests > 0
    assert 0 < good.p50 <= good.p99


def test_a_target_is_missed_when_the_slowest_answers_are_slower_than_the_peers() -> None:
    def measured(rate: float, p99: float) -> Measured:
        return Measured(rate=rate, p50=1, p99=p99, errors=0, requests=1, bytes_each=1)

    fast = Outcome(CASE, peer=[measured(100, 10)], ours=[measured(500, 9)])
    late = Outcome(CASE, peer=[measured(100, 10)], ours=[measured(500, 11)])
    assert (fast.ratio, fast.is_met, late.is_met) == (5, True, False)
    assert "5.00" in format_table([fast, late])


def test_every_case_has_requests_for_any_number_of_messages() -> None:
    for count in (10, 1_000_000):
        cases = list_cases(Seeded(1, count, 1, ["1"], ["2"]), deep_page_follows=datetime.now(UTC))
        assert all(case.paths for case in cases)
        assert {case.method for case in cases} == {"GET", "PATCH"}


def test_commands_explain_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (api, ingest, polling):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["bench", "--help"])
            with pytest.raises(SystemExit) as ended:
                command.main()
        assert ended.value.code == 0
        assert "--json" in capsys.readouterr().out


def test_simulated_mentions_come_as_often_as_asked_and_within_the_round() -> None:
    chance = random.Random(1)
    rates = simulation._draw_rates(500, 2.0, chance)
    assert sum(rates) / len(rates) == pytest.approx(2.0)
    assert max(rates) > 10 * min(rates), "some accounts are mentioned more than others"
    begin, hour = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
    arrivals = list(simulation._list_arrivals(rates, begin, hour, chance))
    # A thousand are expected; five times the deviation of a Poisson process.
    assert len(arrivals) == pytest.approx(1000, abs=160)
    assert all(begin <= moment < begin + hour for _, moment in arrivals)
    busiest = rates.index(max(rates))
    assert sum(account == busiest for account, _ in arrivals) == pytest.approx(
        rates[busiest], abs=5 * rates[busiest] ** 0.5
    )
