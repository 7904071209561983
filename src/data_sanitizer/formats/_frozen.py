"""Rows kept in a file of the run's scratch folder: blocks written once, read back one by one any number of times."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data_sanitizer.formats._bytes import not_written


class Frozen:
    """A file of Arrow IPC streams (lz4), one a block, so that reading one needs no memory for the others."""

    def __init__(self, scratch: Path) -> None:
        with tempfile.NamedTemporaryFile(dir=scratch, prefix="frozen-", suffix=".arrows", delete=False) as file:
            self._path = Path(file.name)
        self._sizes: list[int] = []

    def append(self, frame: pl.DataFrame) -> None:
        """Adds one block at the end; raises DiskFull or OutputNotWritable."""
        buffer = io.BytesIO()
        frame.write_ipc_stream(buffer, compression="lz4")
        try:
            with self._path.open("ab") as file:
                file.write(buffer.getbuffer())
        except OSError as error:
            raise not_written(self._path, error) from error
        self._sizes.append(buffer.tell())

    def frames(self) -> Iterator[pl.DataFrame]:
        """The blocks in the order they were added."""
        with self._path.open("rb", buffering=0) as file:
            for size in self._sizes:
                yield pl.read_ipc_stream(file.read(size))
