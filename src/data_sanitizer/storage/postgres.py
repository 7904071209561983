"""Postgres 14 or newer, through psycopg and its pool: every tenant's rows are kept apart by row-level security as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
import polars as pl
import sqlalchemy as sa
from numpy.typing import NDArray

from data_sanitizer.errors import DatabaseBusy, DatabaseUnreachable, PackageMissing, StorageUnknown
from data_sanitizer.storage import _postgres_tools
from data_sanitizer.storage._faults import translated
from data_sanitizer.storage._statements import staging
from data_sanitizer.storage._types import Key128

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from data_sanitizer.storage._patience import PatientConnection

SCHEMES: Final = ("postgresql", "postgres")
_PIECE: Final = 1 << 20  # bytes handed to COPY at a time
_LOCAL: Final = sa.text(
    "select set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', :statement, true),"
    " set_config('idle_in_transaction_session_timeout', :idle, true), set_config('transaction_read_only', :read_only, true)"
)  # for this transaction only: a setting of the session would leak to whoever gets the connection next


@dataclass(frozen=True, slots=True)
class PostgresConfig:
    """Where the database is and how it is used. Times are in seconds."""

    host: str = "127.0.0.1"
    port: int = 5432
    database: str = "data_sanitizer"
    user: str = "data_sanitizer"
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = ()  # more of libpq's, such as sslmode
    pool_min: int = 0
    pool_max: int = 10
    pool_timeout: float = 5.0  # to wait for a free connection
    connect_timeout: int = 5
    statement_timeout: float = 300.0
    idle_timeout: float = 60.0  # of a transaction in which nothing happens
    keepalives_idle: int = 5
    keepalives_interval: int = 2
    keepalives_count: int = 3
    tcp_user_timeout: float = 10.0  # until data that nobody confirms breaks the connection

    @classmethod
    def from_url(cls, url: str, **settings: Any) -> PostgresConfig:
        """From `postgresql://user:password@host:port/database?sslmode=require`; raises StorageUnknown for anything else."""
        parts = urlsplit(url)
        if parts.scheme.split("+")[0] not in SCHEMES:
            raise StorageUnknown(url=f"{parts.scheme}:…", known="postgresql://user@host:port/database")
        query = dict(parse_qsl(parts.query))
        given: dict[str, Any] = {
            "host": query.pop("host", None) or parts.hostname, "port": parts.port, "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""), "database": unquote(parts.path.lstrip("/")),
        }  # fmt: skip
        return cls(**{k: v for k, v in given.items() if v}, options=tuple(sorted(query.items())), **settings)

    def for_driver(self) -> dict[str, Any]:
        """The same as libpq names it."""
        return {
            **dict(self.options), "host": self.host, "port": self.port, "dbname": self.database, "user": self.user,
            "password": self.password or None, "application_name": "data-sanitizer", "connect_timeout": self.connect_timeout,
            "keepalives": 1, "keepalives_idle": self.keepalives_idle, "keepalives_interval": self.keepalives_interval,
            "keepalives_count": self.keepalives_count, "tcp_user_timeout": int(self.tcp_user_timeout * 1000),
        }  # fmt: skip


def configure(url: str, **settings: Any) -> PostgresConfig:
    """The configuration that a URL names; settings that only a file has say nothing here."""
    known = {f.name for f in fields(PostgresConfig)}
    return PostgresConfig.from_url(url, **{k: v for k, v in settings.items() if k in known})


def connect(config: PostgresConfig) -> PostgresDatabase:
    """A pool of connections; the first is made when it is needed."""
    try:
        from psycopg_pool import ConnectionPool

        from data_sanitizer.storage._patience import PatientConnection
    except ImportError as error:
        raise PackageMissing(package="psycopg", what="Postgres") from error

    def configure_connection(connection: PatientConnection) -> None:
        connection.patience = config.connect_timeout  # for the look at it before it is lent

    pool = ConnectionPool(
        connection_class=PatientConnection,
        kwargs=config.for_driver(), min_size=config.pool_min, max_size=config.pool_max, timeout=config.pool_timeout,
        reconnect_timeout=config.pool_timeout, check=ConnectionPool.check_connection, configure=configure_connection, open=True,
    )  # fmt: skip
    return PostgresDatabase(config, pool)


def dump(config: PostgresConfig, path: Path) -> None:
    """Save the database in a file, as it is at one moment; the user must see the rows of all tenants (BYPASSRLS)."""
    _postgres_tools.dump(config.for_driver(), path)


def load(config: PostgresConfig, path: Path) -> None:
    """Put a saved database into an empty one; its user becomes the owner."""
    _postgres_tools.load(config.for_driver(), path)


def be_patient(connection: sa.Connection, seconds: float | None) -> None:
    """Say how long a connection waits for an answer in this transaction; the server's own limit shall be shorter."""
    driver: Any = connection.connection.driver_connection
    driver.patience = seconds


class PostgresDatabase:
    """A Postgres database, as `ports.Database`."""

    dialect = "postgresql"

    def __init__(self, config: PostgresConfig, pool: ConnectionPool[Any]) -> None:
        self.config = config
        self._pool = pool
        self._engine = sa.create_engine("postgresql+psycopg://", creator=self._connection, poolclass=sa.NullPool)
        for ending in ("do_close", "do_terminate"):  # SQLAlchemy closes, the pool keeps; a broken one has to go back as well, or it is
            setattr(self._engine.dialect, ending, self._back)  # counted as in use for ever (psycopg's `close_returns` forgets it)
        self._lent: set[int] = set()

    def _connection(self) -> PatientConnection:
        """From the pool; tells a server that is away from one that is busy."""
        import psycopg_pool

        try:
            connection: PatientConnection = self._pool.getconn()
        except psycopg_pool.PoolTimeout as error:
            if len(self._lent) >= self.config.pool_max:
                raise DatabaseBusy(why=f"all {self.config.pool_max} connections were in use for {self.config.pool_timeout:g} s") from error
            raise DatabaseUnreachable(why=f"no connection to {self.config.host}, port {self.config.port}") from error
        self._lent.add(id(connection))
        connection.patience = self.config.statement_timeout + self.config.tcp_user_timeout
        return connection

    def _back(self, connection: PatientConnection) -> None:
        self._lent.discard(id(connection))
        connection.patience = self.config.connect_timeout  # for the look at it when it is lent again
        self._pool.putconn(connection)

    @contextmanager
    def transaction(self, tenant: str, *, read_only: bool = False) -> Iterator[sa.Connection]:
        """A transaction of this tenant."""
        import psycopg

        limits = {"statement": f"{self.config.statement_timeout * 1000:.0f}", "idle": f"{self.config.idle_timeout * 1000:.0f}"}
        with translated(psycopg.Error), self._engine.begin() as connection:
            connection.execute(_LOCAL, {"tenant": tenant, "read_only": "on" if read_only else "off", **limits})
            yield connection

    def stage(self, connection: sa.Connection, table: sa.Table, columns: Mapping[str, pl.Series | NDArray[Any]]) -> sa.Table:
        """Many rows by binary COPY into a temporary table that ends with the transaction."""
        from psycopg import sql

        from data_sanitizer.storage._binary_copy import HEADER, TRAILER, fields, packed

        stage = staging(table, columns, postgresql_on_commit="DROP")
        stage.create(connection)
        places = np.arange(len(next(iter(columns.values()))))
        data = packed([fields(values, _width(stage.c[name].type)) for name, values in [("place", places), *columns.items()]])
        driver: Any = connection.connection.driver_connection
        with driver.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(sql.Identifier(stage.name))) as copy:
            copy.write(HEADER)
            for start in range(0, len(data), _PIECE):
                copy.write(data[start : start + _PIECE].data)
            copy.write(TRAILER)
        return stage

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()


def _width(kind: sa.types.TypeEngine[Any]) -> str:
    """How COPY wants the values of a type; see `_binary_copy.fields`."""
    widths: tuple[tuple[Any, str], ...] = (
        (Key128, "V16"), (sa.Uuid, "V16"), (sa.SmallInteger, ">i2"), (sa.BigInteger, ">i8"), (sa.Integer, ">i4"), (sa.Boolean, "?"),
        (sa.Float, ">f4"), (sa.String, "text"), (sa.LargeBinary, "bytes"),
    )  # fmt: skip
    return next(width for known, width in widths if isinstance(kind, known))
