"""What the two databases write differently: 128-bit keys, moments, and the clock of the database."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class Key128(TypeDecorator[bytes]):
    """16 bytes: `uuid` on Postgres, which is smaller and faster in an index than `bytea`; a blob on SQLite."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """The column type of the database."""
        return dialect.type_descriptor(postgresql.UUID(as_uuid=True) if dialect.name == "postgresql" else sa.LargeBinary(16))

    def process_bind_param(self, value: bytes | None, dialect: sa.Dialect) -> Any:
        """The 16 bytes as the database takes them."""
        return uuid.UUID(bytes=value) if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> bytes | None:
        """The 16 bytes again."""
        return value.bytes if isinstance(value, uuid.UUID) else value


class Moment(TypeDecorator[dt.datetime]):
    """A point in time, always with its zone: UTC in the program, `timestamptz` on Postgres, UTC as text on SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """A moment in UTC."""
        return value.astimezone(dt.UTC) if value is not None else None

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """A moment in UTC with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class now(FunctionElement[dt.datetime]):  # noqa: N801  written like a function of SQL
    """The clock of the database, some seconds from now: leases and waits never trust the clock of a worker."""

    name = "now"
    type = Moment()
    inherit_cache = True

    def __init__(self, seconds: float = 0) -> None:
        super().__init__(sa.literal(float(seconds), sa.Float))


@compiles(now, "postgresql")
def _on_postgres(element: now, compiler: Any, **options: Any) -> str:
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(now, "sqlite")
def _on_sqlite(element: now, compiler: Any, **options: Any) -> str:
    later = f"printf('%+.3f seconds', {compiler.process(element.clauses, **options)})"
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {later}) || '000')"  # milliseconds; SQLAlchemy reads six digits
