import pytest

from autores.mongo.checks import check_servers
from autores.mongo.errors import MongoUnavailableError
from autores.mongo.health import ServerState, ping, read_server_state
from autores.tests.other_server import connected_to


def test_state_has_no_problems_when_the_server_is_a_primary(db: None) -> None:
    state = read_server_state()

    assert 0 < ping() < 2000
    assert state.version >= (6, 0)
    assert state.replica_set
    assert state.list_problems() == []
    assert check_servers(databases=["default"]) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": (5, 0, 9)}, "MongoDB is 5.0.9; Autores needs 6.0 or later"),
        ({"replica_set": None}, "start mongod with --replSet"),
        ({"is_writable": False}, "no primary"),
    ],
)
def test_problem_comes_with_its_remedy_when_the_server_does_not_fit(
    change: dict[str, object], sentence: str
) -> None:
    fitting = {"version": (6, 0, 5), "replica_set": "rs0", "is_writable": True, "latency_ms": 1.0}

    problems = ServerState(**{**fitting, **change}).list_problems()

    assert len(problems) == 1
    assert sentence in problems[0]


def test_error_names_the_server_without_its_password_when_it_is_down(db: None) -> None:
    with connected_to("mongodb://ana:hunter2@127.0.0.1:1/?directConnection=true"):
        with pytest.raises(MongoUnavailableError, match=r"MongoDB at mongodb://127.0.0.1:1 ") as e:
            ping(timeout_seconds=0.3)
        assert e.value.retryable
        assert "hunter2" not in str(e.value)
        assert [found.id for found in check_servers(databases=["default"])] == [
            "autores.mongo.E002"
        ]
