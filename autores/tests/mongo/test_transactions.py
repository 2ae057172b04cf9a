# ruff: noqa: PT012, SIM117 - the block that fails as a whole is what is tested
import threading
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection
from django.db import transaction as django_transaction  # noqa: TID251 - shown to do nothing
from django.db.transaction import TransactionManagementError  # noqa: TID251 - only the error class

from autores.mongo.backend import base
from autores.mongo.errors import CommitUnknownError, TransactionConflictError
from autores.mongo.transactions import (
    atomic,
    has_error_label,
    is_in_transaction,
    on_commit,
    run_in_transaction,
)
from autores.tests.mongo.app.models import Shop
from autores.tests.mongo.proxy import CuttingProxy, connected_through
from autores.tests.other_server import connected_to

pytestmark = pytest.mark.usefixtures("mongo_app")


class WentWrongError(Exception):
    pass


def add_shop(key: str, number: int = 0) -> Shop:
    return Shop.objects.create(id=key, name=key, number=number or ord(key[0]))


def keys() -> list[str]:
    return list(Shop.objects.order_by("pk").values_list("pk", flat=True))


def write_elsewhere(key: str, name: str) -> None:
    """Write as another process would: outside of the session, hence of the transaction."""
    connection.database[Shop._meta.db_table].update_one({"_id": key}, {"$set": {"name": name}})


def test_row_stays_when_django_atomic_fails() -> None:
    with pytest.raises(WentWrongError), django_transaction.atomic():
        add_shop("a")
        raise WentWrongError

    assert keys() == ["a"]  # the reason for everything below


def test_nothing_is_written_when_a_block_fails() -> None:
    with pytest.raises(WentWrongError), atomic():
        add_shop("a")
        with atomic():
            add_shop("b")
        raise WentWrongError

    assert keys() == []
    assert connection.session is None
    assert not is_in_transaction()


def test_everything_is_written_when_a_block_ends() -> None:
    @atomic
    def work() -> None:
        add_shop("a")
        assert is_in_transaction()

    work()
    with atomic():
        add_shop("b")
        assert connection.database[Shop._meta.db_table].count_documents({}) == 1

    assert keys() == ["a", "b"]


def test_nothing_is_written_when_a_nested_failure_is_caught() -> None:
    with pytest.raises(TransactionManagementError, match="rolled back"), atomic():
        add_shop("a")
        with pytest.raises(WentWrongError), atomic():
            add_shop("b")
            raise WentWrongError

    assert keys() == []
    add_shop("c")
    assert keys() == ["c"]


def test_nothing_is_written_when_a_failure_of_django_atomic_is_caught() -> None:
    called: list[str] = []
    with pytest.raises(TransactionManagementError), atomic():
        on_commit(lambda: called.append("hook"))
        add_shop("a")
        with pytest.raises(WentWrongError), django_transaction.atomic():
            add_shop("b")
            raise WentWrongError

    assert keys() == []
    assert called == []


def test_blocks_after_a_failed_one_commit_when_they_end() -> None:
    with pytest.raises(TransactionManagementError), atomic():
        with pytest.raises(WentWrongError), atomic():
            raise WentWrongError
    with pytest.raises(WentWrongError), atomic(), atomic():
        raise WentWrongError

    with atomic():
        add_shop("a")

    assert keys() == ["a"]


def test_hook_runs_after_the_commit_when_registered_in_a_block() -> None:
    seen: list[list[str]] = []
    with atomic():
        add_shop("a")
        on_commit(lambda: seen.append(keys()))
        with atomic():
            django_transaction.on_commit(lambda: seen.append(keys()))
        assert seen == []

    assert seen == [["a"], ["a"]]


def test_hook_is_forgotten_when_the_block_fails() -> None:
    called: list[int] = []
    with pytest.raises(WentWrongError), atomic():
        on_commit(lambda: called.append(1))
        raise WentWrongError
    with atomic():
        add_shop("a")

    assert called == []


def test_hook_runs_at_once_when_there_is_no_transaction() -> None:
    called: list[int] = []
    on_commit(lambda: called.append(1))

    assert called == [1]


def test_hook_runs_when_the_block_is_inside_django_atomic() -> None:
    called: list[int] = []
    with django_transaction.atomic():
        with atomic():
            add_shop("a")
            on_commit(lambda: called.append(1))
        assert called == [1]

    assert keys() == ["a"]


def test_connection_is_usable_when_a_hook_fails() -> None:
    def fail() -> None:
        raise WentWrongError

    with pytest.raises(WentWrongError), atomic():
        add_shop("a")
        on_commit(fail)
    with atomic():
        add_shop("b")

    assert keys() == ["a", "b"]


def test_work_is_repeated_when_another_write_got_in_between() -> None:
    add_shop("a")
    attempts: list[str] = []

    def rename() -> str:
        shop = Shop.objects.get(pk="a")
        attempts.append(shop.name)
        if len(attempts) < 3:
            write_elsewhere("a", f"other {len(attempts)}")
        shop.name += " renamed"
        shop.save()
        return shop.name

    assert run_in_transaction(rename) == "other 2 renamed"
    assert attempts == ["a", "other 1", "other 2"]
    assert Shop.objects.get(pk="a").name == "other 2 renamed"


def test_conflict_is_reported_when_every_attempt_meets_one() -> None:
    add_shop("a")
    attempts: list[int] = []

    @run_in_transaction(attempts=2)
    def rename(*, name: str) -> None:
        attempts.append(1)
        add_shop("b")
        write_elsewhere("a", f"other {len(attempts)}")
        Shop.objects.filter(pk="a").update(name=name)

    with pytest.raises(TransactionConflictError, match="2 attempts") as failure:
        rename(name="mine")

    assert failure.value.retryable
    assert has_error_label(failure.value, "TransientTransactionError")
    assert len(attempts) == 2
    assert keys() == ["a"]
    assert Shop.objects.get(pk="a").name == "other 2"


def test_conflict_leaves_the_inner_call_when_nested() -> None:
    add_shop("a")
    attempts: list[str] = []

    def outer() -> None:
        attempts.append("outer")
        run_in_transaction(inner)

    def inner() -> None:
        attempts.append("inner")
        Shop.objects.get(pk="a")
        if len(attempts) < 3:
            write_elsewhere("a", "other")
        Shop.objects.filter(pk="a").update(name="mine")

    run_in_transaction(outer)

    assert attempts == ["outer", "inner", "outer", "inner"]


def test_work_is_not_repeated_when_it_fails_for_another_reason() -> None:
    add_shop("a")
    attempts: list[int] = []

    def duplicate() -> None:
        attempts.append(1)
        add_shop("b")
        Shop.objects.create(id="c", name="a", number=99)

    with pytest.raises(IntegrityError):
        run_in_transaction(duplicate)

    assert attempts == [1]
    assert keys() == ["a"]


def test_no_increment_is_lost_when_threads_compete() -> None:
    Shop.objects.create(id="a", name="a", number=0)

    def increment() -> None:
        shop = Shop.objects.get(pk="a")
        shop.number += 1
        shop.save()

    def work() -> None:
        for _ in range(10):
            run_in_transaction(increment, attempts=50)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Shop.objects.get(pk="a").number == 30


@pytest.mark.parametrize("attempts", [0, -1])
def test_attempts_are_refused_when_fewer_than_one(attempts: int) -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        run_in_transaction(keys, attempts=attempts)


def test_get_or_create_finds_the_row_when_it_appears_meanwhile() -> None:
    attempts: list[int] = []

    def work() -> bool:
        attempts.append(1)
        assert keys() == ([] if len(attempts) == 1 else ["x"])
        if len(attempts) == 1:
            connection.database[Shop._meta.db_table].insert_one(
                {"_id": "x", "name": "x", "number": 1, "nickname": None}
            )
        return Shop.objects.get_or_create(name="x", defaults={"id": "y", "number": 2})[1]

    assert run_in_transaction(work) is False
    assert len(attempts) == 2
    assert keys() == ["x"]


# The commit itself


@pytest.fixture
def proxy() -> Any:
    with connected_through(b"commitTransaction") as proxy:
        yield proxy


def test_commit_is_confirmed_when_its_answer_is_lost_at_first(proxy: CuttingProxy) -> None:
    proxy.cuts_left = 3  # the driver itself asks twice
    with atomic():
        add_shop("a")

    assert proxy.cuts_left == 0
    assert keys() == ["a"]
    assert connection.session is None


def test_commit_is_unknown_and_not_repeated_when_its_answer_never_comes(
    proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_COMMIT_PAUSES_SECONDS", (0.01,))
    proxy.cuts_left = 1000
    attempts: list[int] = []

    def work() -> None:
        attempts.append(1)
        add_shop("a")

    with pytest.raises(CommitUnknownError, match="Read the data back"):
        run_in_transaction(work)

    proxy.cuts_left = 0
    assert attempts == [1]
    assert connection.session is None
    assert keys() == ["a"]  # it did arrive: doing it again would have been wrong


def test_error_says_what_is_wrong_when_no_server_answers() -> None:
    nowhere = "mongodb://127.0.0.1:1/?directConnection=true&serverSelectionTimeoutMS=200"
    with connected_to(nowhere, OPTIONS={}):
        with pytest.raises(OperationalError, match="ServerSelectionTimeoutError on collection"):
            keys()
        with pytest.raises(DatabaseError), atomic():
            add_shop("a")
        assert connection.session is None
