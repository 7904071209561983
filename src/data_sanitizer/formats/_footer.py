"""What stands below a table and is no row of it: notes of a single field, and lines of nothing but delimiters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.formats._tally import Tally
from data_sanitizer.model import Block, RowIssue

_MOST_NOTES = 20
_PADDING = 20  # empty rows that are no rows even where nothing else says that the text is the export of a sheet
_LEAST_COLUMNS = 3  # in a table of two, a single field may be a row that misses one


def without_footer(blocks: Iterator[Block], tally: Tally) -> Iterator[Block]:
    """The blocks, without the notes and the empty rows that no other row follows."""
    held: list[Block] = []
    for block in blocks:
        if _table_end(block, notes=True) > 0 or block.quarantined:
            yield from map(_restored, held)
            held = []
        held.append(_compact(block))
    yield from _shortened([_restored(block) for block in held], tally)


def _shortened(held: list[Block], tally: Tally) -> Iterator[Block]:
    """The last blocks as far as they are rows; notes below are set aside under the next numbers, unless they are too many."""
    ends = [_table_end(block, notes=True) for block in held]
    notes = [_notes(block, end) for block, end in zip(held, ends, strict=True)]
    if sum(map(len, notes)) > _MOST_NOTES:
        ends = [_table_end(block, notes=False) for block in held]
        last = max((i for i, end in enumerate(ends) if end), default=0)
        ends = [len(block.rows) if i < last else end for i, (block, end) in enumerate(zip(held, ends, strict=True))]
        notes = [[] for _ in held]
    empty = sum(len(block.rows) - end for block, end in zip(held, ends, strict=True))
    if not any(notes) and not tally.has_titles and empty < _PADDING:
        ends = [len(block.rows) for block in held]
    number = None
    for block, end, below in zip(held, ends, notes, strict=True):
        number = int(block.rows[end]) if number is None and end < len(block.rows) else number
        tally.below(len(block.rows) - end - len(below))
        aside = tuple(tally.footer(replace(note, row=(number or 0) + i)) for i, note in enumerate(below))
        number = number + len(aside) if number is not None else None
        flagged = tuple(f for f in block.flagged if f not in below)
        yield Block(block.rows[:end], block.frame.head(end), (*block.quarantined, *aside), flagged)


def _table_end(block: Block, notes: bool) -> int:
    """How many rows of a block stand above its last one with content, that one included; notes do not count with `notes`."""
    count = len(block.rows)
    if block.frame.width == 1 or not count or (block.quarantined and block.quarantined[-1].row > block.rows[-1]):
        return count
    if block.frame.height < count:  # compact
        return 0
    lone = np.isin(block.rows, [n.row for n in _notes(block, 0)]) if notes else np.zeros(count, bool)
    if not lone[-1] and any(cell is not None for cell in block.frame.row(-1)):
        return count
    return int(np.max(np.flatnonzero(_filled(block.frame) & ~lone), initial=-1)) + 1


def _filled(frame: pl.DataFrame) -> NDArray[np.bool_]:
    """The rows with content."""
    return frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().to_numpy()


def _notes(block: Block, start: int) -> list[RowIssue]:
    """The flagged rows from `start` on that are a single field of a table of several."""
    if block.frame.width < _LEAST_COLUMNS or start >= len(block.rows):
        return []
    return [f for f in block.flagged if f.row >= int(block.rows[start]) and f.reason.startswith("1 fields")]


def _compact(block: Block) -> Block:
    """A block of empty rows only without the memory that they take; others as they are."""
    empty = not block.flagged and not block.quarantined and _table_end(block, notes=True) == 0
    return replace(block, frame=block.frame.clear()) if empty else block


def _restored(block: Block) -> Block:
    return replace(block, frame=block.frame.clear(len(block.rows))) if block.frame.height < len(block.rows) else block
