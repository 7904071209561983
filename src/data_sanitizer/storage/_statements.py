"""What several modules of statements need: inserts that give way, keys as bytes, text as Postgres takes it, new identifiers."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import polars as pl
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects import postgresql, sqlite

Keys = NDArray[np.uint64]  # shape (n, 2)
KEY_BYTES: Final = "V16"


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT; both databases write it the same way."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def changed(connection: sa.Connection, statement: Any) -> int:
    """Execute a statement that writes; gives how many rows it wrote."""
    return int(connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount)


def staging(table: sa.Table, columns: Iterable[str], **options: Any) -> sa.Table:
    """A temporary table, not made yet, with these columns of `table` and `place`, their number from 0."""
    kept = (sa.Column(name, table.c[name].type) for name in columns)
    name = f"stage_{table.name}_{uuid.uuid4().hex[:8]}"
    return sa.Table(name, sa.MetaData(), sa.Column("place", sa.Integer), *kept, prefixes=["TEMPORARY"], **options)


def new_id() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): new ones sort after old ones, so that an index grows at its end."""
    bits = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    return uuid.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def as_bytes(keys: Keys) -> NDArray[Any]:
    """128-bit keys as n values of 16 bytes, which sort as the numbers do."""
    return np.ascontiguousarray(keys.astype(">u8")).view(KEY_BYTES).reshape(-1)


def as_keys(packed: bytes) -> Keys:
    """128-bit keys again."""
    return np.frombuffer(packed, ">u8").reshape(-1, 2).astype(np.uint64)


def escape(text: str) -> str:
    """Text without U+0000, which Postgres refuses: a backslash and `0` stand for it, two backslashes for one."""
    return text.replace("\\", "\\\\").replace("\0", "\\0")


def unescape(text: str) -> str:
    r"""The text again.

    >>> unescape(escape("a\0 \\0"))
    'a\x00 \\0'
    """
    return "\\".join(part.replace("\\0", "\0") for part in text.split("\\\\"))


def escaped(column: pl.Series) -> pl.Series:
    """`escape` of a column."""
    return column.str.replace_all("\\", "\\\\", literal=True).str.replace_all("\0", "\\0", literal=True)


def unescaped(column: pl.Series) -> pl.Series:
    """`unescape` of a column."""
    if not column.str.contains("\\", literal=True).any():
        return column
    return column.map_elements(unescape, pl.String)
