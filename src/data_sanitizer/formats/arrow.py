"""Arrow IPC, also called Feather: files and streams, read in row slices with their own types."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from data_sanitizer import errors
from data_sanitizer.formats._typed import Columnar
from data_sanitizer.model import ReadOptions
from data_sanitizer.ports import Reading

SUFFIXES = ("arrow", "ipc", "feather", "arrows")
_MAGIC = b"ARROW1"
_BATCH = 100_000  # rows in a record batch, fixed so that the same rows give the same bytes


def read(path: Path, name: str, options: ReadOptions, scratch: Path, block: int | None = None) -> Reading:
    """Reads the schema of a file or a stream; `block` is the number of rows given at once."""
    with path.open("rb") as file:
        is_file = file.read(6) == _MAGIC
    if is_file:
        _whole(path, name)
    try:
        table = pl.scan_ipc(path, glob=False) if is_file else pl.read_ipc_stream(path).lazy()
        return Columnar("arrow", name, path, table, block)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise errors.MalformedInput(path=name, format="Arrow IPC", why="its schema or its data is damaged") from error


def write(table: pl.LazyFrame, path: Path) -> None:
    """An Arrow IPC file, lz4, in record batches of a fixed number of rows."""
    table.sink_ipc(path, compression="lz4", record_batch_size=_BATCH, maintain_order=True)


def _whole(path: Path, name: str) -> None:
    """An Arrow file ends as it begins; a cut-off copy does not."""
    data = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, data - 6))
        if file.read(6) != _MAGIC or data < 24:
            raise errors.TruncatedInput(path=name, format="Arrow IPC", size=data)
