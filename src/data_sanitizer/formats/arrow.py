"""Arrow IPC, also called Feather: files and streams, read in row slices with their own types."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from data_sanitizer import errors
from data_sanitizer.formats import _arrow_stream
from data_sanitizer.formats._typed import DAMAGE, Columnar, damaged, slices
from data_sanitizer.model import ReadLimits, ReadOptions
from data_sanitizer.ports import Reading

SUFFIXES = ("arrow", "ipc", "feather", "arrows")
_MAGIC = b"ARROW1"
_BATCH = 100_000  # rows in a record batch, fixed so that the same rows give the same bytes


def read(path: Path, name: str, options: ReadOptions, scratch: Path, block: int | None = None) -> Reading:
    """Reads the schema of a file or a stream; `block` is the number of rows given at once."""
    with path.open("rb") as file:
        is_file = file.read(6) == _MAGIC
    if is_file:
        _whole(path, name, options.limits)
    try:
        table = pl.scan_ipc(path, glob=False) if is_file else None
        schema = _arrow_stream.schema(path, name) if table is None else table.collect_schema()
    except DAMAGE as error:
        raise damaged("arrow", name, "its schema is damaged") from error
    raw = _arrow_stream.batches(path, name) if table is None else slices(table, options.limits, schema, "arrow", name)
    return Columnar("arrow", name, path, schema, raw, options.limits, block)


def write(table: pl.LazyFrame, path: Path) -> None:
    """An Arrow IPC file, lz4, in record batches of a fixed number of rows."""
    table.sink_ipc(path, compression="lz4", record_batch_size=_BATCH, maintain_order=True)


def _whole(path: Path, name: str, limits: ReadLimits) -> None:
    """An Arrow file ends as it begins, and the footer's length stands before that; a cut-off copy does not."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 10))
        end = file.read(10)
    if end[4:] != _MAGIC or size < 24:
        raise errors.TruncatedInput(path=name, format="Arrow IPC", size=size)
    footer = int.from_bytes(end[:4], "little", signed=True)
    if not 0 < footer <= size - 18:
        raise damaged("arrow", name, "its footer is longer than the file")
    if footer > limits.footer_bytes:
        found = f"its footer has {footer} bytes"
        raise errors.ParquetLimit(path=name, found=found, limit="footer_bytes", most=limits.footer_bytes)
