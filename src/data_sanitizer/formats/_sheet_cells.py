"""The cells of a sheet: what kind each is, what type a column has that holds them all, and how a cell becomes a value of that type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.formats import _sheet_layout as layout
from data_sanitizer.formats._workbook import SheetFacts, Workbook
from data_sanitizer.model import Decision

AREA = re.compile(r"\$?([A-Za-z]{1,3})\$?(\d{1,7}):\$?([A-Za-z]{1,3})\$?(\d{1,7})")
_EXACT = 2**53  # beyond this a sheet's numbers, which are floats, do not hold every whole number
_NEAR = timedelta(days=366)  # before the first and after the last date of a column: there a number may be a date too
_MOSTLY = 0.8  # of a column's cells that must be dates for its numbers to be day numbers
_MILLISECOND = timedelta(milliseconds=1)

EMPTY, TEXT, WHOLE, FRACTION, BOOL, DATE, MOMENT, OTHER = range(8)  # kinds of cells
_PLAIN = np.array(
    [
        layout.EMPTY,
        layout.TEXT,
        layout.NUMBER,
        layout.NUMBER,
        layout.BOOL,
        layout.DATE,
        layout.DATE,
        layout.OTHER,
    ],
    np.uint8,
)

Row = list[Any]


class Grid:
    """A sheet as it was loaded: its cells by row of the sheet, the kind of each, the tables in it."""

    def __init__(self, sheet: Any, book: Workbook, area: str = "") -> None:
        self.name, self.area, self._sheet = str(sheet.name), area, sheet
        self.facts = book.sheets.get(self.name, SheetFacts())
        self.epoch = datetime(1904, 1, 1) if book.from_1904 else datetime(1899, 12, 30)
        self._left = [""] * (sheet.start[1] if sheet.start else 0)  # columns before the first used one, which the rows leave out
        rows = [bytes(map(kind, row)) for row in sheet.iter_rows()] if sheet.start else []
        width = max(map(len, rows), default=0)
        kinds = np.frombuffer(b"".join(row.ljust(width, b"\0") for row in rows), np.uint8).reshape(len(rows), width)
        self.kinds = np.pad(kinds, ((0, 0), (len(self._left), 0)))
        self.codes: layout.Codes = _PLAIN[self.kinds]
        self.merges: list[layout.Merge] = list(sheet.merged_cell_ranges or [])
        self.tables = self._asked(area) if area else layout.tables(self.codes, self.merges)

    def _asked(self, area: str) -> list[layout.Region]:
        """The one region of a range such as B3:F20, none where it is empty."""
        found = AREA.fullmatch(area)
        assert found is not None
        columns = np.arange(_column(found[1]), min(_column(found[3]) + 1, self.codes.shape[1]))
        region = layout.region(self.codes, int(found[2]) - 1, int(found[4]) - 1, columns)
        return [region] if region else []

    def largest(self) -> layout.Region:
        """The table with the most filled cells, the first where two are as large."""
        return max(self.tables, key=lambda r: r.filled(self.codes))

    def some(self, rows: Sequence[int]) -> Iterator[Row]:
        """Some rows of the sheet, ascending."""
        wanted = iter(rows)
        number = next(wanted, -1)
        for i, row in enumerate(self._sheet.iter_rows()):
            if number < 0:
                return
            if i == number:
                yield self._left + row
                number = next(wanted, -1)

    def told(self, table: layout.Region) -> Iterator[Decision]:
        """What a reader who sees the sheet on a screen sees otherwise: hidden and merged cells, errors."""
        hidden = [f"{n} {what}" for n, what in ((self.facts.hidden_rows, "rows"), (self.facts.hidden_columns, "columns")) if n]
        if hidden:
            yield Decision("hidden cells", f"{' and '.join(hidden)} read as the others", "the sheet hides them")
        inside = [m for m in self.merges if m[0][0] > table.rows[0] and m[0][0] <= table.rows[-1]]
        if inside:
            yield Decision("merged cells", f"{len(inside)} ranges with the value in their first cell", "a merged cell has one value")
        if self.facts.errors:
            yield Decision("errors", f"{self.facts.errors} cells read as empty", "they hold an error such as #DIV/0! instead of a value")


def _column(name: str) -> int:
    number = 0
    for letter in name.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def kind(cell: Any) -> int:
    """What kind of value a cell holds."""
    if isinstance(cell, str):
        return TEXT if cell and not cell.isspace() else EMPTY
    if isinstance(cell, bool):
        return BOOL
    if isinstance(cell, float | int):
        return WHOLE if abs(cell) < _EXACT and float(cell).is_integer() else FRACTION
    if isinstance(cell, date):
        return MOMENT if isinstance(cell, datetime) else DATE
    return EMPTY if cell is None else OTHER


def text(cell: Any) -> str:
    """The cell as text: whole numbers without a fraction, dates and times in ISO."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < _EXACT else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return _clock(cell)
    return "" if cell is None else str(cell)


def _clock(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def column_type(kinds: NDArray[np.uint8], days: bool) -> pl.DataType:
    """The type that all filled cells of a column have; text where they differ. `days`: its numbers are dates."""
    found = set(np.unique(kinds).tolist()) - {EMPTY}
    if days:
        found = {MOMENT if k == FRACTION else DATE if k == WHOLE else k for k in found}
    if found == {BOOL}:
        return pl.Boolean()
    if found and found <= {WHOLE, FRACTION}:
        return pl.Int64() if found == {WHOLE} else pl.Float64()
    if found == {DATE}:
        return pl.Date()
    return pl.Datetime("us") if found and found <= {DATE, MOMENT} else pl.String()


def value(cell: Any, dtype: pl.DataType, epoch: datetime | None) -> Any:
    """A cell as a value of its column's type; with an epoch a number is the days since then."""
    if isinstance(cell, str) and cell != "" and dtype == pl.String:
        return cell
    if kind(cell) == EMPTY:
        return None
    if dtype == pl.String:
        return text(cell)
    if epoch is not None and isinstance(cell, float | int):
        cell = day(cell, epoch)
        return cell.date() if dtype == pl.Date else cell
    if dtype == pl.Datetime and not isinstance(cell, datetime):
        return datetime(cell.year, cell.month, cell.day)
    return int(cell) if dtype == pl.Int64 else cell


def day(number: float, epoch: datetime) -> datetime:
    """The moment that a day number stands for, to the millisecond."""
    moment = timedelta(days=number)
    return epoch + _MILLISECOND * round(moment / _MILLISECOND)


def serial_days(grid: Grid, rows: NDArray[np.int64], columns: Sequence[int]) -> list[int]:
    """The columns in which most cells are dates and all others are numbers that fall among these dates when read as days."""
    found = []
    for column in columns:
        kinds = grid.kinds[rows, column]
        dates, numbers = np.isin(kinds, (DATE, MOMENT)), np.isin(kinds, (WHOLE, FRACTION))
        filled = int(np.count_nonzero(kinds))
        if not numbers.any() or dates.sum() + numbers.sum() < filled or dates.sum() < _MOSTLY * filled:
            continue
        if (kinds == FRACTION).any() and not (kinds == MOMENT).any():
            continue
        cells = [row[column] for row in grid.some(rows[dates | numbers].tolist())]
        known = [c if isinstance(c, datetime) else datetime(c.year, c.month, c.day) for c in cells if isinstance(c, date)]
        first, last = min(known) - _NEAR, max(known) + _NEAR
        low, high = (first - grid.epoch) / timedelta(days=1), (last - grid.epoch) / timedelta(days=1)
        if all(low <= c <= high for c in cells if not isinstance(c, date)):
            found.append(column)
    return found


def spread(groups: Sequence[str], names: Sequence[str], columns: Sequence[int], row: int, merges: Sequence[layout.Merge]) -> list[str]:
    """The group over each column: where cells are merged as far as they reach, else from each label on to the next one.

    A group without a name of a column below it reaches no further than itself.
    """
    wide = {c: m[0][1] for m in merges if m[0][0] <= row <= m[1][0] for c in range(m[0][1], m[1][1] + 1)}
    labels, last = dict(zip(columns, groups, strict=True)), ""
    found = []
    for column, label, name in zip(columns, groups, names, strict=True):
        last = label or (last if name and not merges else "")
        found.append(label or (labels.get(wide[column], "") if column in wide else last))
    return found
