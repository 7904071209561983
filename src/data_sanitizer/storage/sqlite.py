"""SQLite in one file: the embedded default, for one machine and without a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl
import sqlalchemy as sa
from numpy.typing import NDArray

from data_sanitizer.errors import SchemaOutdated, StorageUnknown
from data_sanitizer.storage._faults import translated
from data_sanitizer.storage._statements import staging

SCHEMES: Final = ("sqlite",)


@dataclass(frozen=True, slots=True)
class SqliteConfig:
    """The file of the database, and how long to wait for another process that writes."""

    path: Path
    busy_timeout: float = 30.0  # seconds

    @classmethod
    def from_url(cls, url: str, **settings: Any) -> SqliteConfig:
        """From `sqlite:///relative/file.db` or `sqlite:////absolute/file.db`; raises StorageUnknown for anything else."""
        parts = urlsplit(url)
        path = unquote(parts.path)[1:]
        if parts.scheme not in SCHEMES or parts.netloc or not path or path == ":memory:":
            raise StorageUnknown(url=url, known="sqlite:///file.db")
        return cls(Path(path), **settings)


def configure(url: str, **settings: Any) -> SqliteConfig:
    """The configuration that a URL names; settings that only a server has say nothing here."""
    return SqliteConfig.from_url(url, **{k: v for k, v in settings.items() if k == "busy_timeout"})


def connect(config: SqliteConfig) -> SqliteDatabase:
    """The database in that file; it is made when the first transaction begins."""
    return SqliteDatabase(config)


class SqliteDatabase:
    """A SQLite database, as `ports.Database`."""

    dialect = "sqlite"

    def __init__(self, config: SqliteConfig) -> None:
        self.config = config
        url = sa.URL.create("sqlite", database=str(config.path))
        arguments = {"timeout": config.busy_timeout, "isolation_level": None}
        self._engine = sa.create_engine(url, connect_args=arguments, poolclass=sa.NullPool)  # temporary tables end with the connection
        sa.event.listen(self._engine, "connect", _prepare)

    @contextmanager
    def transaction(self, tenant: str, *, read_only: bool = False) -> Iterator[sa.Connection]:
        """A transaction; one that writes takes the file's lock at once, so that it cannot fail half-way for want of it.

        One that only reads takes none, and makes no file: SchemaOutdated where there is none.
        """
        if read_only and not self.config.path.exists():
            raise SchemaOutdated(found="none, the file is not there", needed="one")
        with translated(sqlite3.Error), self._engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
            yield connection

    def stage(self, connection: sa.Connection, table: sa.Table, columns: Mapping[str, pl.Series | NDArray[Any]]) -> sa.Table:
        """Many rows into a temporary table."""
        stage = staging(table, columns)
        stage.create(connection)
        rows = zip(range(len(next(iter(columns.values())))), *(_values(c) for c in columns.values()), strict=True)
        driver: Any = connection.connection.driver_connection
        driver.executemany(str(sa.insert(stage).compile(dialect=connection.dialect)), rows)
        return stage

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _values(column: pl.Series | NDArray[Any]) -> list[Any]:
    if isinstance(column, pl.Series) and column.dtype == pl.UInt64:
        return column.cast(pl.Int64).to_list()
    return column.to_list() if isinstance(column, pl.Series) else np.asarray(column).tolist()


def _prepare(connection: sqlite3.Connection, record: object) -> None:
    """Readers and one writer at a time; a commit is on the disk when it returns."""
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()
