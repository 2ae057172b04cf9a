"""A private MariaDB for the tests of the import: its own folder, socket, port and binary log."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pymysql

from autores.embedded.apt import install_packages, may_install
from autores.embedded.errors import EmbeddedError, MissingServerError
from autores.embedded.ports import LOOPBACK, PortReservation
from autores.embedded.processes import Child

_REMEDY = (
    "install the package mariadb-server (Debian and Ubuntu: apt-get install mariadb-server; "
    "macOS: brew install mariadb), or set MYSQL_TEST_URL to a server whose user may create "
    "databases, such as mysql+pymysql://root:secret@127.0.0.1:3306/"
)


@dataclass(frozen=True)
class MariaDb:
    """A server that answers; ``url`` names no database, its user is root without a password."""

    child: Child
    url: str
    port: int


def find_mariadb() -> tuple[Path, Path]:
    """Return (mariadbd, mariadb-install-db); installs Debian's package when it may.

    Raises MissingServerError with the remedy.
    """
    found = _find_binaries()
    if found is None and may_install():
        install_packages("mariadb-server", remedy=_REMEDY)
        found = _find_binaries()
    if found is None:
        raise MissingServerError(f"No MariaDB server was found: {_REMEDY}.")
    return found


def start_mariadb(
    binaries: tuple[Path, Path], *, folder: Path, log_path: Path, port: PortReservation
) -> MariaDb:
    """Create a server's system tables in ``folder`` when missing, start it, wait for an answer.

    Row-based binary logging is on, so that the import can follow it. Raises EmbeddedError.
    """
    server, installer = binaries
    data_folder, spare_folder = folder / "data", folder / "tmp"
    # Each server that starts removes the temporary tables of any other from a folder they share.
    spare_folder.mkdir(parents=True, exist_ok=True)
    # As root the server refuses to start unless told that root is meant.
    user = ["--user=root"] if os.geteuid() == 0 else []
    if not (data_folder / "mysql").is_dir():
        made = subprocess.run(  # noqa: S603 - a program found on PATH
            [
                installer,
                "--no-defaults",
                f"--datadir={data_folder}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *user,
            ],
            env={**os.environ, "TMPDIR": str(spare_folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise EmbeddedError(
                f"mariadb-install-db could not prepare {data_folder}:\n"
                f"{(made.stdout + made.stderr)[-2000:]}"
            )
    number = port.port
    child = Child(
        "mariadb",
        [
            str(server),
            "--no-defaults",
            f"--datadir={data_folder}",
            f"--tmpdir={spare_folder}",
            # Beside the data a socket's path may pass the 107 bytes the system allows.
            f"--socket={_choose_socket_path(folder)}",
            f"--port={number}",
            f"--bind-address={LOOPBACK}",
            "--character-set-server=utf8mb4",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=0",
            "--log-bin",
            "--server-id=1",
            "--binlog-format=ROW",
            "--binlog-row-metadata=FULL",
            *user,
        ],
        log_path=log_path,
    )

    def answers() -> bool:
        try:
            pymysql.connect(host=LOOPBACK, port=number, user="root", connect_timeout=1).close()
        except pymysql.err.MySQLError:
            return False
        return True

    try:
        child.wait_until_ready(answers, seconds=60)
    except BaseException:
        child.stop()
        raise
    return MariaDb(child, f"mysql+pymysql://root@{LOOPBACK}:{number}/", number)


def _find_binaries() -> tuple[Path, Path] | None:
    # Debian keeps servers in /usr/sbin, which is not on everybody's PATH.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    server = shutil.which("mariadbd", path=path) or shutil.which("mysqld", path=path)
    installer = shutil.which("mariadb-install-db", path=path)
    return (Path(server), Path(installer)) if server and installer else None


def _choose_socket_path(folder: Path) -> Path:
    beside = folder / "socket"
    # A socket's path must be short.
    return beside if len(os.fsencode(beside)) < 100 else Path("/tmp") / f"autores-{os.getpid()}"  # noqa: S108
