"""The blocks of pass 1 in the scratch folder, so that a source is read once: pass 2 and the output map them into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.model import Block, RowIssue
from data_sanitizer.profile import OddCells
from data_sanitizer.sandbox import blocks
from data_sanitizer.sandbox.blocks import Extent


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One block as it was read: `path` and its neighbours hold the cells, the row numbers, the odd cells and the issues."""

    source: int  # number of the source
    extent: Extent
    path: Path

    @property
    def first(self) -> int:
        """The record number of the first row."""
        return self.extent.first

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.extent.height

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The cells, or those of some columns; the file is mapped, not read."""
        with self.path.open("rb") as file:
            return pl.read_ipc(file, columns=None if columns is None else list(columns))

    def rows(self) -> NDArray[np.uint64]:
        """The record number of each row, ascending."""
        return blocks.rows(self.extent, self.path)

    def odd(self, columns: Sequence[str]) -> OddCells:
        """The odd cells of the block's columns, which are to be named in order."""
        stored = np.load(self.path.with_suffix(".odd.npy"))
        ends = np.cumsum(stored[: len(columns)]) + len(columns)
        return {name: stored[end - size : end] for name, size, end in zip(columns, stored, ends, strict=False)}

    def quarantined(self) -> list[RowIssue]:
        """Records that are not among the rows."""
        return blocks.issues(self.extent, self.path, kept=False)

    def flagged(self) -> list[RowIssue]:
        """Records that are among the rows, with a remark."""
        return blocks.issues(self.extent, self.path, kept=True)

    def remove(self) -> None:
        """Free the disk."""
        for path in self.path.parent.glob(f"{self.path.stem}.*"):
            path.unlink()


def store(block: Block, frame: pl.DataFrame, odd: OddCells, source: int, path: Path) -> StoredBlock:
    """Keep a block, with the columns that it shall have, at `path` and beside it; a file that holds just that already is moved there."""
    if block.file is not None and frame is block.frame:
        extent = blocks.extent(block)
        blocks.move(block.file, path)
    else:
        extent = blocks.write(block, frame, path)
        if block.file is not None:
            blocks.remove(block.file)
    np.save(path.with_suffix(".odd.npy"), np.concatenate([np.array([len(o) for o in odd.values()], np.uint32), *odd.values()]))
    return StoredBlock(source, extent, path)
