"""What the demo remembers between starts: its secrets and its login, in one private file."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet
from dotenv import dotenv_values

from autores.env import VARIABLES

FILE_NAME = "demo.env"
# What AUTORES_DOTENV names to have manage.py work on the demo's data.
APPLICATION_FILE_NAME = "application.env"
_REMEMBERED = ("SECRET_KEY", "TOKEN_ENCRYPTION_KEYS", "DEMO_USERNAME", "DEMO_PASSWORD")


def load_demo_settings(folder: Path) -> dict[str, str]:
    """Return the remembered values; what is missing is made anew.

    Losing the file is harmless except that accounts connected before must be connected again:
    their tokens were encrypted with the key in it.
    """
    known = {key: value for key, value in dotenv_values(folder / FILE_NAME).items() if value}
    made = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "TOKEN_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DEMO_USERNAME": "ana",
        "DEMO_PASSWORD": secrets.token_urlsafe(9),
    }
    return {name: known.get(name) or made[name] for name in _REMEMBERED}


def save_demo_settings(folder: Path, values: dict[str, str]) -> None:
    """Write ``values`` as a file a shell can source, readable by its owner only."""
    _save(folder / FILE_NAME, values)


def save_application_settings(folder: Path, environ: Mapping[str, str]) -> None:
    """Write the settings of the application, as its processes get them.

    A file of its own: a shell that sourced these addresses would have the next demo use them.
    """
    names = {variable.name for variable in VARIABLES}
    _save(
        folder / APPLICATION_FILE_NAME,
        {name: value for name, value in environ.items() if name in names},
    )


def _save(path: Path, values: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("# Made by the demo. The addresses are those of its last start.\n")
        file.writelines(f"{name}='{value}'\n" for name, value in values.items())
    unfinished.replace(path)
