"""One connection to MySQL or MariaDB that gives rows as the server's own bytes, undecoded.

asyncmy (Cython, installs as a wheel) reads eight times as many rows per second as PyMySQL, which
stands in where asyncmy has no wheel. Neither decodes: a text that is no UTF-8 would end a page in
its middle.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine, Iterator
from typing import Any, Protocol, TypeVar

import pymysql
from pymysql import converters
from pymysql.cursors import SSCursor

try:
    import asyncmy
    from asyncmy.cursors import SSCursor as AsyncSSCursor
    from asyncmy.errors import MySQLError as AsyncMySQLError
except ImportError:  # pragma: no cover - only on platforms without a wheel
    asyncmy = None  # type: ignore[assignment]

# A page may take its time; a server that is gone is known sooner.
CONNECT_SECONDS = 10
READ_SECONDS = 300
Row = tuple[bytes | None, ...]
_T = TypeVar("_T")
_FETCHED_ROWS = 200
# Python types are still written as SQL; what comes back stays bytes.
ENCODERS_ONLY: dict[Any, Any] = {
    key: value for key, value in converters.conversions.items() if type(key) is type
}


class Connection(pymysql.connections.Connection):
    """Encrypted where the server offers it; who it is, is checked only if a CA is named.

    PyMySQL would read all certificates of the system for every connection, and use none of them:
    several times the work of the rest of connecting.
    """

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        if sslp:
            context: ssl.SSLContext = super()._create_ssl_ctx(sslp)  # type: ignore[misc]
            return context
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


class DriverError(Exception):
    """What the server or the driver said: ``code`` (0 when there is none) and ``detail``."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class Session(Protocol):
    """Raises DriverError, and OSError for files and sockets, from every method."""

    def fetch(self, sql: str) -> list[Row]:
        """All rows at once; none for a statement without a result."""

    def stream(self, sql: str) -> Iterator[list[Row]]:
        """The rows as they arrive, a few hundred at a time."""

    def close(self) -> None: ...


def open_session(
    *,
    host: str,
    port: int,
    user: str,
    password: str,
    database: str,
    unix_socket: str | None,
    ssl_ca: str | None,
    connect_seconds: int,
    read_seconds: int,
) -> Session:
    """Connect with the fastest driver there is."""
    parameters: dict[str, Any] = {
        "host": host,
        "port": port,
        "user": user,
        # The drivers would encode a text as Latin-1.
        "password": password.encode(),
        "database": database,
        "unix_socket": unix_socket,
        "charset": "utf8mb4",
        "use_unicode": False,
        "connect_timeout": connect_seconds,
        "read_timeout": read_seconds,
        "autocommit": True,
    }
    if asyncmy is not None:
        return AsyncmySession(parameters, ssl_ca=ssl_ca)
    return PymysqlSession(parameters, ssl_ca=ssl_ca)


class AsyncmySession:
    """asyncmy on an event loop of its own, called synchronously."""

    def __init__(self, parameters: dict[str, Any], *, ssl_ca: str | None) -> None:
        tls = ssl.create_default_context(cafile=ssl_ca) if ssl_ca else None
        self._loop = asyncio.new_event_loop()
        self._connection: Any = None
        try:
            self._connection = self._run(asyncmy.connect(**parameters, conv={}, ssl=tls))
        except BaseException:
            self._loop.close()
            raise

    def fetch(self, sql: str) -> list[Row]:
        return self._run(self._fetch(sql))

    def stream(self, sql: str) -> Iterator[list[Row]]:
        cursor = self._connection.cursor(cursor=AsyncSSCursor)
        self._run(cursor.execute(sql))
        while rows := self._run(cursor.fetchmany(_FETCHED_ROWS)):
            yield rows

    def close(self) -> None:
        if self._loop.is_closed():
            return
        # A query that Ctrl-C left behind: asyncio would tell of its end after everything else.
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        with contextlib.suppress(AsyncMySQLError, OSError):
            if left:
                self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._connection.close()
            # The transport closes in the loop's next turn.
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _fetch(self, sql: str) -> list[Row]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql)
            return list(await cursor.fetchall()) if cursor.description else []

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return self._loop.run_until_complete(work)
        except AsyncMySQLError as error:
            raise _as_driver_error(error) from None
        except (asyncio.IncompleteReadError, TimeoutError) as error:
            raise DriverError(0, str(error) or type(error).__name__) from None


class PymysqlSession:
    """The pure Python driver."""

    def __init__(self, parameters: dict[str, Any], *, ssl_ca: str | None) -> None:
        with _translated():
            self._connection: Any = Connection(
                **parameters,
                conv=ENCODERS_ONLY,
                cursorclass=SSCursor,
                ssl_ca=ssl_ca,
                ssl_verify_cert=True if ssl_ca else None,
            )

    def fetch(self, sql: str) -> list[Row]:
        with _translated(), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def stream(self, sql: str) -> Iterator[list[Row]]:
        with _translated(), self._connection.cursor() as cursor:
            cursor.execute(sql)
            while rows := cursor.fetchmany(_FETCHED_ROWS):
                yield rows

    def close(self) -> None:
        with contextlib.suppress(pymysql.err.MySQLError):
            self._connection.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except pymysql.err.MySQLError as error:
        raise _as_driver_error(error) from None


def _as_driver_error(error: Exception) -> DriverError:
    code = error.args[0] if error.args else 0
    detail = str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__
    return DriverError(code if isinstance(code, int) else 0, detail)
