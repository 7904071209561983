"""Statements on the provenance of cells: what the ledger of a job holds, to be asked by row, column and rule."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import polars as pl
import sqlalchemy as sa

from data_sanitizer.errors import NotStored
from data_sanitizer.ledger import SCHEMA
from data_sanitizer.ports import Database
from data_sanitizer.storage._statements import changed, escape, escaped, insert, unescaped
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import cell_provenance, job_chunks, jobs

STAGE: Final = "provenance"  # in job_chunks: the chunks whose entries are stored


def store(database: Database, connection: sa.Connection, tenant: str, job: UUID, chunk: int, entries: pl.DataFrame) -> int:
    """Store the entries of one chunk, with the columns of the ledger; gives how many. A chunk that is stored already stays as it is."""
    here = sa.select(jobs.c.id).where(jobs.c.tenant_id == tenant, jobs.c.id == job)
    if connection.execute(here.with_for_update(read=True, key_share=True)).first() is None:  # and it stays until all is stored
        raise NotStored(what=f"Job {job}", tenant=tenant)
    mark = {"tenant_id": tenant, "job_id": job, "stage": STAGE, "no": chunk, "row_count": entries.height, "state": "done", "stats": {}}
    marked = changed(connection, insert(connection, job_chunks).values(**mark, updated_at=now()).on_conflict_do_nothing())
    if not marked or entries.is_empty():
        return 0
    columns: dict[str, Any] = {name: escaped(entries[name]) if SCHEMA[name] == pl.String else entries[name] for name in SCHEMA}
    stage = database.stage(connection, cell_provenance, columns)
    constants: tuple[Any, ...] = (
        sa.bindparam("tenant", tenant, sa.String),
        sa.bindparam("job", job, sa.Uuid),
        sa.bindparam("chunk", chunk),
    )
    rows = sa.select(*constants, stage.c.place, *(stage.c[name] for name in SCHEMA))
    names = ["tenant_id", "job_id", "chunk", "no", *SCHEMA]
    return changed(connection, sa.insert(cell_provenance).from_select(names, rows))


def find(
    connection: sa.Connection, tenant: str, job: UUID, row: int | None, column: str | None, rule: str | None, after: tuple[int, int],
    limit: int,
) -> tuple[pl.DataFrame, tuple[int, int] | None]:  # fmt: skip
    """Entries in the order of the ledger, after a place (chunk, number); with the place to go on from, or None at the end."""
    t = cell_provenance.c
    asked = sa.select(t.chunk, t.no, *(t[name] for name in SCHEMA)).where(t.tenant_id == tenant, t.job_id == job)
    for name, value in (("row", row), ("column", None if column is None else escape(column)), ("rule", rule)):
        asked = asked if value is None else asked.where(t[name] == value)
    # A row has few entries: its index finds them, where SQLite would read all of the job in the order asked for if the key could give it.
    place = (t.chunk, t.no) if row is None else (t.chunk + 0, t.no + 0)
    asked = asked.where(sa.tuple_(*place) > sa.tuple_(*after)).order_by(*place).limit(limit)
    rows = connection.execute(asked).all()
    columns = zip(*(r[2:] for r in rows), strict=True) if rows else ([] for _ in SCHEMA)
    frame = pl.DataFrame(
        {name: pl.Series(name, list(c), dtype=_read(kind)) for (name, kind), c in zip(SCHEMA.items(), columns, strict=True)}
    )
    texts = [unescaped(frame[name]) for name, kind in SCHEMA.items() if kind == pl.String]
    return frame.with_columns(texts).cast(pl.Schema(SCHEMA)), (rows[-1][0], rows[-1][1]) if len(rows) == limit else None


def _read(kind: pl.DataType) -> pl.DataType:
    """As the driver gives it: its integers and numbers are wider."""
    return pl.Int64() if kind.is_integer() else pl.Float64() if kind == pl.Float32 else kind
