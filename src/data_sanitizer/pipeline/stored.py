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

_ISSUES = {"row": pl.UInt64(), "reason": pl.String(), "text": pl.String(), "kept": pl.Boolean()}


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One block as it was read: `path` and its neighbours hold the cells, the row numbers, the odd cells and the issues."""

    source: int  # number of the source
    first: int  # record number of the first row
    height: int
    gaps: bool  # whether some record between the first and the last is not among the rows
    issues: bool
    path: Path

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The cells, or those of some columns; the file is mapped, not read."""
        with self.path.open("rb") as file:
            return pl.read_ipc(file, columns=None if columns is None else list(columns))

    def rows(self) -> NDArray[np.uint64]:
        """The record number of each row, ascending."""
        if self.gaps:
            return np.asarray(np.load(self.path.with_suffix(".rows.npy")), np.uint64)
        return np.arange(self.first, self.first + self.height, dtype=np.uint64)

    def odd(self, columns: Sequence[str]) -> OddCells:
        """The odd cells of the block's columns, which are to be named in order."""
        stored = np.load(self.path.with_suffix(".odd.npy"))
        ends = np.cumsum(stored[: len(columns)]) + len(columns)
        return {name: stored[end - size : end] for name, size, end in zip(columns, stored, ends, strict=False)}

    def quarantined(self) -> list[RowIssue]:
        """Records that are not among the rows."""
        return self._issues(kept=False)

    def flagged(self) -> list[RowIssue]:
        """Records that are among the rows, with a remark."""
        return self._issues(kept=True)

    def _issues(self, *, kept: bool) -> list[RowIssue]:
        if not self.issues:
            return []
        table = pl.read_ipc(self.path.with_suffix(".issues")).filter(pl.col("kept") == kept)
        return [RowIssue(row, reason, text) for row, reason, text, _ in table.iter_rows()]

    def remove(self) -> None:
        """Free the disk."""
        for path in self.path.parent.glob(f"{self.path.stem}.*"):
            path.unlink()


def store(block: Block, frame: pl.DataFrame, odd: OddCells, source: int, path: Path) -> StoredBlock:
    """Write a block, with the columns that it shall have, to `path` and its neighbours."""
    issues = [*((i, False) for i in block.quarantined), *((i, True) for i in block.flagged)]
    numbers = block.rows
    first = int(numbers[0]) if len(numbers) else min(i.row for i, _ in issues) if issues else 0
    gaps = bool(len(numbers)) and int(numbers[-1]) - first + 1 != len(numbers)
    stored = StoredBlock(source, first, len(numbers), gaps, bool(issues), path)
    frame.write_ipc(stored.path)  # not compressed: that would take as long as all steps together
    np.save(stored.path.with_suffix(".odd.npy"), np.concatenate([np.array([len(o) for o in odd.values()], np.uint32), *odd.values()]))
    if gaps:
        np.save(stored.path.with_suffix(".rows.npy"), numbers)
    if issues:
        told = [(i.row, i.reason, i.text, kept) for i, kept in issues]
        pl.DataFrame(told, schema=_ISSUES, orient="row").write_ipc(stored.path.with_suffix(".issues"))
    return stored
