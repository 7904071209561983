"""A block as files: its cells as uncompressed Arrow IPC, the numbers of its rows where they have gaps, its issues where it has any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.model import Block, RowIssue

_ISSUES = {"row": pl.UInt64(), "reason": pl.String(), "text": pl.String(), "kept": pl.Boolean()}
_NUMPY_HEAD = 1024  # bytes, more than a file of numbers has before them
_NEIGHBOURS = (".rows.npy", ".issues")


@dataclass(frozen=True, slots=True)
class Extent:
    """Which records a block holds, and which files it needs."""

    first: int  # record number of the first row
    height: int
    gaps: bool  # whether some record between the first and the last is not among the rows
    issues: bool


def extent(block: Block) -> Extent:
    """The extent of a block."""
    numbers, issues = block.rows, (*block.quarantined, *block.flagged)
    first = int(numbers[0]) if len(numbers) else min(i.row for i in issues) if issues else 0
    gaps = bool(len(numbers)) and int(numbers[-1]) - first + 1 != len(numbers)
    return Extent(first, len(numbers), gaps, bool(issues))


def write(block: Block, frame: pl.DataFrame, path: Path) -> Extent:
    """Write `frame` to `path`, and what else the block has beside it."""
    what = extent(block)
    frame.write_ipc(path)  # not compressed: that would take as long as all steps together
    if what.gaps:
        np.save(path.with_suffix(".rows.npy"), block.rows)
    if what.issues:
        told = [*((i.row, i.reason, i.text, False) for i in block.quarantined), *((i.row, i.reason, i.text, True) for i in block.flagged)]
        pl.DataFrame(told, schema=_ISSUES, orient="row").write_ipc(path.with_suffix(".issues"))
    return what


def rows(what: Extent, path: Path) -> NDArray[np.uint64]:
    """The record number of each row, ascending; raises ValueError where the file has more."""
    if what.gaps:
        numbers = path.with_suffix(".rows.npy")
        if numbers.stat().st_size > 8 * what.height + _NUMPY_HEAD:
            raise ValueError
        return np.asarray(np.load(numbers), np.uint64)
    return np.arange(what.first, what.first + what.height, dtype=np.uint64)


def issues(what: Extent, path: Path, *, kept: bool) -> list[RowIssue]:
    """The records with a remark that are among the rows, or those that are not."""
    if not what.issues:
        return []
    table = pl.read_ipc(path.with_suffix(".issues")).filter(pl.col("kept") == kept)
    return [RowIssue(row, reason, text) for row, reason, text, _ in table.iter_rows()]


def read(what: Extent, path: Path) -> Block:
    """The block again; Polars checks every text and offset of the file. Raises ValueError where it has not the height told."""
    with path.open("rb") as file:
        frame = pl.read_ipc(file)
    if frame.height != what.height:
        raise ValueError
    return Block(rows(what, path), frame, tuple(issues(what, path, kept=False)), tuple(issues(what, path, kept=True)), path)


def move(path: Path, target: Path) -> None:
    """Give the files of a block another name in the same file system."""
    path.rename(target)
    for end in _NEIGHBOURS:
        if path.with_suffix(end).exists():
            path.with_suffix(end).rename(target.with_suffix(end))


def remove(path: Path) -> None:
    """Free the disk."""
    for place in (path, *map(path.with_suffix, _NEIGHBOURS)):
        place.unlink(missing_ok=True)
