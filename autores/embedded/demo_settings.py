"""What the demo remembers between starts: its secrets and its login, in one private file."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from dotenv import dotenv_values

FILE_NAME = "demo.env"
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
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{FILE_NAME}.new"
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("# Made by the demo. The DEMO_ addresses are those of its last start.\n")
        file.writelines(f"{name}='{value}'\n" for name, value in values.items())
    unfinished.replace(folder / FILE_NAME)
