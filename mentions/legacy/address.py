"""Where the legacy database is: its address, as MYSQL_DATABASE_URL and --source spell it."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from mentions.legacy.errors import SourceError

_URL_FORM = "mysql+pymysql://user:password@host:3306/database"
_IGNORED_PARAMETERS = {"charset", "use_unicode", "binary_prefix", "autocommit"}


@dataclass(frozen=True)
class SourceUrl:
    """The parts of MYSQL_DATABASE_URL; the password is not in its repr."""

    host: str
    port: int
    user: str
    database: str
    password: str = field(repr=False, default="")
    unix_socket: str | None = None
    ssl_ca: str | None = None

    @property
    def label(self) -> str:
        """Where the rows come from, for reports."""
        return f"{self.unix_socket or f'{self.host}:{self.port}'}/{self.database}"


def parse_source_url(url: str) -> SourceUrl:
    """Raises SourceError for an address that names no MySQL database."""
    if not url:
        raise SourceError(
            f"No legacy database is named: set MYSQL_DATABASE_URL or give --source {_URL_FORM}"
        )
    try:
        parts = urlsplit(url)
        port = parts.port or 3306
    except ValueError:
        raise SourceError(
            f"The legacy database's address cannot be read: it has the form {_URL_FORM}, with "
            "special characters of the password percent-encoded."
        ) from None
    if parts.scheme.split("+")[0] not in {"mysql", "mariadb"}:
        raise SourceError(f"The legacy database's address has the form {_URL_FORM}")
    database = unquote(parts.path.lstrip("/"))
    if not database or "/" in database:
        raise SourceError(f"The legacy database's address names no database: {_URL_FORM}")
    options = dict(parse_qsl(parts.query))
    unknown = sorted(set(options) - _IGNORED_PARAMETERS - {"unix_socket", "ssl_ca"})
    if unknown:
        raise SourceError(
            f"The legacy database's address has parameters the import does not know: "
            f"{', '.join(unknown)}. It knows unix_socket and ssl_ca; charset is always utf8mb4."
        )
    return SourceUrl(
        host=parts.hostname or "127.0.0.1",
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=database,
        unix_socket=options.get("unix_socket"),
        ssl_ca=options.get("ssl_ca"),
    )
