"""What every other test relies on: nothing of one test is seen by the next."""

import os
import tempfile
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from redis import Redis

from accounts.models import User
from autores.tests.services import remove_stale_folders


@pytest.mark.django_db
@pytest.mark.parametrize("turn", [1, 2])
def test_rows_are_gone_and_permissions_kept_when_a_test_begins(turn: int) -> None:
    assert User.objects.count() == 0
    assert Permission.objects.filter(codename="change_user").exists()
    assert ContentType.objects.filter(app_label="accounts", model="user").exists()

    User.objects.create(username="ana")


@pytest.mark.django_db
@pytest.mark.parametrize("turn", [1, 2])
def test_cache_is_empty_when_a_database_test_begins(turn: int) -> None:
    assert cache.get("seen") is None

    cache.set("seen", turn)


@pytest.mark.parametrize("turn", [1, 2])
def test_valkey_is_empty_when_a_test_that_asks_for_it_begins(valkey_url: str, turn: int) -> None:
    with Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
        client.set("seen", turn)


def test_children_use_the_test_database_when_given_the_environment(
    child_environ: dict[str, str],
) -> None:
    assert child_environ["MONGODB_DB_NAME"].startswith("test_")
    assert child_environ["MONGODB_URL"] == os.environ["MONGODB_URL"]


def test_folders_of_dead_runs_only_are_removed_when_a_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    alive = tmp_path / f"autores-tests-{os.getpid()}-abc"
    dead = tmp_path / "autores-tests-4194399-abc"  # above the kernel's highest process id
    for folder in (alive, dead):
        folder.mkdir()

    remove_stale_folders()

    assert (alive.exists(), dead.exists()) == (True, False)
