import stat
from pathlib import Path

from dotenv import dotenv_values

from autores.embedded.demo_settings import (
    APPLICATION_FILE_NAME,
    FILE_NAME,
    load_demo_settings,
    save_application_settings,
    save_demo_settings,
)


def test_secrets_stay_the_same_when_loaded_again(tmp_path: Path) -> None:
    first = load_demo_settings(tmp_path)
    save_demo_settings(tmp_path, {**first, "DEMO_URL": "http://127.0.0.1:8000"})

    assert load_demo_settings(tmp_path) == first
    assert len(first["SECRET_KEY"]) >= 50


def test_file_is_private_and_shell_readable_when_saved_over_an_open_one(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch(mode=0o644)

    save_demo_settings(tmp_path, {"DEMO_URL": "mongodb://127.0.0.1:1/?replicaSet=rs0"})

    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert dotenv_values(tmp_path / FILE_NAME) == {
        "DEMO_URL": "mongodb://127.0.0.1:1/?replicaSet=rs0"
    }


def test_two_folders_have_different_secrets(tmp_path: Path) -> None:
    one, other = load_demo_settings(tmp_path / "one"), load_demo_settings(tmp_path / "other")

    assert one["SECRET_KEY"] != other["SECRET_KEY"]
    assert one["TOKEN_ENCRYPTION_KEYS"] != other["TOKEN_ENCRYPTION_KEYS"]


def test_file_for_manage_py_holds_the_settings_and_nothing_else(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", "MONGODB_URL": "mongodb://127.0.0.1:1/?replicaSet=rs0"}

    save_application_settings(tmp_path, environ)

    path = tmp_path / APPLICATION_FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert dotenv_values(path) == {"MONGODB_URL": environ["MONGODB_URL"]}
