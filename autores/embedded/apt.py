"""Debian's packages: installed when this user may, otherwise left to a sentence."""

import os
import shutil
import subprocess
import sys

from autores.embedded.errors import MissingServerError


def may_install() -> bool:
    """True on Debian and its kin, as root: there nobody needs to be asked for a password."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_packages(*packages: str, remedy: str) -> None:
    """Install ``packages``, refreshing the package lists when they are too old or missing.

    Raises MissingServerError with apt's own words and ``remedy``.
    """
    names = " ".join(packages)
    # A command speaks to its terminal.
    print(f"Installing the Debian package {names} …", file=sys.stderr)  # noqa: T201
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    for command in (install, ["apt-get", "update"], install):
        done = subprocess.run(  # noqa: S603 - fixed words and our package names
            command, env=environ, capture_output=True, text=True, check=False
        )
        if command is install and done.returncode == 0:
            return
    raise MissingServerError(
        f"apt-get could not install {names} ({done.stderr.strip()[-300:]}): {remedy}."
    )
