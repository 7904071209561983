"""Where the tables of a sheet are: rows and columns of each, its title rows, its header rows and its footer, from which cells are filled.

All is decided on a matrix of codes, one for each cell: what kind of value it holds, or none. A blank row parts two tables only where what
follows is not like what stood before: other columns, or a header of its own. A blank column parts two only where one side ends before the
other or repeats its names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EMPTY, TEXT, NUMBER, BOOL, DATE, OTHER = range(6)  # codes of cells
_TITLES = 30  # rows at the top that may be titles
_FOOTERS = 10  # rows at the bottom that may be a footer
_NOTES = 3  # rows below a table that are notes on it, where they fill at most half of its columns
_DENSE = 0.9

Codes = NDArray[np.uint8]
Merge = tuple[tuple[int, int], tuple[int, int]]
Labels = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Region:
    """A table: its rows with content and its columns with content, ascending."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    def cells(self, codes: Codes) -> Codes:
        """The part of the matrix."""
        part: Codes = codes[np.ix_(self.rows, self.columns)]
        return part

    def filled(self, codes: Codes) -> int:
        """Cells with content."""
        return int(np.count_nonzero(self.cells(codes)))

    def address(self) -> str:
        """The box as a spreadsheet names it: B3:F20."""
        first, last = self.columns[0], self.columns[-1]
        return f"{letters(int(first))}{self.rows[0] + 1}:{letters(int(last))}{self.rows[-1] + 1}"


def letters(column: int) -> str:
    """The name of a column, counted from 0.

    >>> letters(0), letters(27)
    ('A', 'AB')
    """
    name, column = "", column + 1
    while column:
        column, digit = divmod(column - 1, 26)
        name = chr(65 + digit) + name
    return name


def region(codes: Codes, top: int, bottom: int, columns: NDArray[np.int64]) -> Region | None:
    """What is filled in some rows and columns, None where nothing is."""
    part = codes[top : bottom + 1][:, columns]
    rows, used = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    return Region(rows + top, columns[used]) if len(rows) else None


def tables(codes: Codes, merges: Sequence[Merge] = ()) -> list[Region]:
    """The tables of a sheet from top to bottom and left to right, with every filled cell in one of them."""
    found: list[Region] = []
    flags = np.asarray(codes.any(axis=1))
    for (top, _), (bottom, _) in merges:
        flags[top : bottom + 1] |= flags[top : top + 1]  # a cell that reaches down fills the rows it covers
    for top, bottom in _runs(flags):
        part = region(codes, top, bottom, np.arange(codes.shape[1]))
        if part is None:
            continue
        above = found[-1] if found else None
        if above is not None and _goes_on(codes, above, part):
            rows = np.concatenate([above.rows, part.rows])
            found[-1] = Region(rows, np.union1d(above.columns, part.columns))
        else:
            found.append(part)
    return [side for part in found for side in _sides(codes, part)]


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First and last of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield start, stop - 1


def _goes_on(codes: Codes, above: Region, part: Region) -> bool:
    """Whether rows below a blank one belong to the table above it."""
    if not np.isin(part.columns, above.columns).all():
        return False
    if len(above.rows) == 1 and 2 * len(above.columns) <= len(part.columns):
        return False
    if len(part.rows) <= _NOTES and 2 * len(part.columns) <= len(above.columns):
        return True
    upper, lower = Region(above.rows, part.columns).cells(codes), part.cells(codes)
    kinds, own = column_kinds(upper[1:]), column_kinds(lower[1:])
    heads = (lower[0] == TEXT) & (own > TEXT)
    if heads.any() and not (lower[0] > TEXT).any() and (2 * len(part.columns) > len(above.columns)):
        return False
    both = (kinds != EMPTY) & (column_kinds(lower) != EMPTY)
    same = kinds == column_kinds(lower)
    return 2 * int(np.count_nonzero(same & both)) >= int(np.count_nonzero(both))


def column_kinds(cells: Codes) -> NDArray[np.int64]:
    """The commonest kind of the filled cells of each column; the lower code where two are as common, EMPTY where there is none."""
    counts = np.stack([(cells == kind).sum(axis=0) for kind in range(TEXT, OTHER + 1)]) if len(cells) else np.zeros((OTHER, cells.shape[1]))
    return np.where(counts.any(axis=0), counts.argmax(axis=0) + TEXT, EMPTY)


def _sides(codes: Codes, part: Region) -> Iterator[Region]:
    """The tables beside one another in a region."""
    flags = np.zeros(codes.shape[1], bool)
    flags[part.columns] = True
    left: Region | None = None
    for first, last in _runs(flags):
        right = region(codes, int(part.rows[0]), int(part.rows[-1]), np.arange(first, last + 1))
        if right is None:
            continue
        if left is None:
            left = right
        elif _apart(codes, left, right):
            yield left
            left = right
        else:
            left = Region(np.union1d(left.rows, right.rows), np.concatenate([left.columns, right.columns]))
    if left is not None:
        yield left


def _apart(codes: Codes, left: Region, right: Region) -> bool:
    """Whether a blank column parts two tables: each has columns of its own, is filled to its end, and one ends before the other."""
    if min(len(left.columns), len(right.columns)) < 2 or min(len(left.rows), len(right.rows)) < 2:
        return False
    dense = all(np.count_nonzero(r.cells(codes)[:, 0]) >= _DENSE * len(r.rows) and _gapless(r) for r in (left, right))
    return dense and bool(left.rows[-1] != right.rows[-1] or left.rows[0] != right.rows[0])


def _gapless(part: Region) -> bool:
    return len(part.rows) >= _DENSE * int(part.rows[-1] - part.rows[0] + 1)


def title_rows(cells: Codes) -> int:
    """Rows at the top that fill at most half of the columns, where a fuller one follows."""
    narrow = cells.shape[1] // 2
    full = (i for i, count in enumerate((cells[:_TITLES] != EMPTY).sum(axis=1).tolist()) if count > narrow)
    return next(full, 0)


def titles_above(found: Sequence[Region], table: Region) -> list[Region]:
    """What stands above a table and is at most half as wide and as high: its title and remarks on it."""
    return [
        r
        for r in found
        if r.rows[-1] < table.rows[0] and 2 * len(r.columns) <= len(table.columns) and len(r.rows) <= min(_TITLES, len(table.rows) // 2)
    ]


def header_rows(cells: Codes, rows: Sequence[int], columns: Sequence[int], merges: Sequence[Merge], labels: Labels) -> int:
    """How many rows name the columns, from the first one on. `rows` and `columns` are those of the sheet; `labels` the texts of the rows.

    Cells of the first row that reach down say it. Where none does, a second row counts when it is all text where the first one is blank or
    merged over it, and something shows that it is no data: columns whose other cells are no text, or names that repeat from group to group.
    """
    inside = set(columns)
    reach = max((m[1][0] for m in merges if m[0][0] == rows[0] and m[0][1] in inside), default=rows[0])
    down = sum(row <= reach for row in rows)
    if 1 < down < len(rows) and not (cells[:down] > TEXT).any():
        return down
    return 2 if len(cells) > 2 and rows[1] == rows[0] + 1 and _second(cells, rows, columns, merges, labels) else 1


def _second(cells: Codes, rows: Sequence[int], columns: Sequence[int], merges: Sequence[Merge], labels: Labels) -> bool:
    first, second = cells[0], cells[1]
    blank = first == EMPTY
    if (cells[:2] > TEXT).any() or not (second == TEXT).any() or not blank.any() or blank[0] or (second[blank] == EMPTY).any():
        return False
    spanned = [i for i, c in enumerate(columns) if any(m[0][1] <= c <= m[1][1] for m in _wide(merges, rows[0]))]
    if (second[spanned] == EMPTY).any():
        return False
    named = [labels[1][i] for i in spanned]
    typed = (column_kinds(cells[2:]) > TEXT) & (second == TEXT)
    return bool(typed.any()) or len(named) > len(set(named))


def _wide(merges: Sequence[Merge], row: int) -> list[Merge]:
    """Cells of a row that are merged over several columns and no other row."""
    return [m for m in merges if m[0][0] == m[1][0] == row and m[1][1] > m[0][1]]


def group_rows(cells: Codes, rows: Sequence[int], columns: Sequence[int], merges: Sequence[Merge], header: int) -> int:
    """How many rows above the header, row `header`, hold groups of columns: two labels at least, each merged over several columns."""
    place, found = {c: i for i, c in enumerate(columns)}, 0
    while found < header:
        row = header - found - 1
        inside = [place[m[0][1]] for m in _wide(merges, rows[row]) if m[0][1] in place and m[1][1] in place]
        groups = int(np.count_nonzero(cells[row][inside] == TEXT))
        if rows[row] != rows[row + 1] - 1 or (cells[row : header + 1] > TEXT).any() or groups < 2:
            break
        found += 1
    return found


def footer_rows(cells: Codes, rows: Sequence[int]) -> int:
    """Rows at the bottom that are no records: they fill at most half of the columns, and stand below a blank row or are notes of one cell,
    a text in a column of numbers or dates.
    """
    width = cells.shape[1]
    counts = (cells != EMPTY).sum(axis=1)
    if width < 3 or len(cells) < 3 or np.median(counts) <= width / 2:
        return 0
    kinds, found = column_kinds(cells), 0
    for back in range(1, min(_FOOTERS, len(cells) - 2) + 1):
        if counts[-back] > width / 2:
            break
        note = counts[-back] == 1 and ((cells[-back] == TEXT) & (kinds > TEXT)).any()
        if rows[-back] > rows[-back - 1] + 1 or (back == found + 1 and note):
            found = back
    return found
