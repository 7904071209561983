"""Excel and OpenDocument sheets (xlsx, xlsm, xlsb, xls, ods): one sheet is read, from its header row on; dates become ISO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_sanitizer import errors
from data_sanitizer.formats._columns import plain_names
from data_sanitizer.formats._dialect import has_header
from data_sanitizer.model import Block, Decision, ReadOptions

SUFFIXES = ("xlsx", "xlsm", "xlsb", "xls", "ods")
_TITLES = 30  # rows at the top that may be titles
_SEEN = 300  # rows that the header test looks at
_CELLS = 1 << 19  # cells in one block
_EXACT = 2**53  # beyond this a sheet's numbers, which are floats, do not hold every whole number

Row = list[Any]


def read(path: Path, name: str, options: ReadOptions, scratch: Path, block: int | None = None) -> Sheet:
    """Loads one sheet into memory, as the format demands; `block` is the number of rows given at once."""
    rows, sheet = _sheet(path, name, options.sheet)
    if not rows:
        raise errors.EmptyInput(path=name)
    blank = sum(not any(map(_filled, row)) for row in rows)
    filled = [row for row in rows if any(map(_filled, row))]
    used = [i for i in range(max(map(len, filled))) if any(i < len(row) and _filled(row[i]) for row in filled)]
    table = [[row[i] if i < len(row) else "" for i in used] for row in filled]
    titles = _titles(table)
    header, why = _header(table[titles:], None if options.header is None else bool(options.header))
    names, renamed = plain_names([_text(c) for c in table[titles]] if header else [f"column_{i + 1}" for i in range(len(used))])
    decisions = [*sheet]
    if titles:
        decisions.append(Decision("header", f"after {titles} title rows", "they fill at most half of the columns"))
    if not header:
        decisions.append(Decision("header", "none", why))
    if blank:
        decisions.append(Decision("blank rows", f"{blank} left out", "a row without content is not a record"))
    return Sheet(name, names, table[titles + header :], (*decisions, *renamed), block)


def write(table: pl.LazyFrame, path: Path) -> None:
    """Sheets are read only."""
    raise NotImplementedError


def _sheet(path: Path, name: str, wanted: str | None) -> tuple[list[Row], tuple[Decision, ...]]:
    """The rows of the sheet asked for, or of the first one with content."""
    import python_calamine as calamine

    try:
        with calamine.CalamineWorkbook.from_path(str(path)) as book:
            sheets = book.sheet_names
            if wanted is not None and wanted not in sheets:
                raise errors.SheetNotFound(path=name, sheet=wanted, sheets=", ".join(sheets))
            for sheet in [wanted] if wanted is not None else sheets:
                rows = book.get_sheet_by_name(sheet).to_python(skip_empty_area=True)
                if any(_filled(cell) for row in rows for cell in row):
                    return rows, _others(sheet, sheets, wanted)
    except calamine.PasswordError as error:
        raise errors.UnsupportedContent(path=name, found="a workbook with a password") from error
    except (calamine.CalamineError, OSError) as error:
        raise errors.MalformedInput(path=name, format="spreadsheet", why="the file or one of its parts is damaged") from error
    return [], ()


def _others(sheet: str, sheets: Sequence[str], wanted: str | None) -> tuple[Decision, ...]:
    others = [s for s in sheets if s != sheet]
    if wanted is not None or not others:
        return ()
    return (Decision("sheet", sheet, f"the first with content; not read: {', '.join(others)}"),)


def _filled(cell: Any) -> bool:
    return cell is not None and cell != "" and not (isinstance(cell, str) and not cell.strip())


def _titles(table: Sequence[Row]) -> int:
    """Rows at the top that fill at most half of the columns, where a fuller one follows."""
    narrow = max(len(row) for row in table) // 2
    full = (i for i, row in enumerate(table[:_TITLES]) if sum(map(_filled, row)) > narrow)
    return next(full, 0)


def _header(table: Sequence[Row], asked: bool | None) -> tuple[bool, str]:
    if asked is not None:
        return asked, "as asked for"
    return has_header([[_text(c) for c in row] for row in table[:_SEEN]])


def _text(cell: Any) -> str:
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


def _kind(cells: Sequence[Any]) -> pl.DataType:
    """The type that all filled cells of a column have; text where they differ."""
    kinds = {type(c) for c in cells if _filled(c)}
    if kinds == {bool}:
        return pl.Boolean()
    if kinds and kinds <= {int, float}:
        numbers = [c for c in cells if _filled(c)]
        return pl.Int64() if all(float(c).is_integer() and abs(c) < _EXACT for c in numbers) else pl.Float64()
    if kinds == {date}:
        return pl.Date()
    return pl.Datetime("us") if kinds and kinds <= {date, datetime} else pl.String()


def _value(cell: Any, kind: pl.DataType) -> Any:
    """A cell as a value of its column's type."""
    if isinstance(cell, str) and cell != "" and kind == pl.String:
        return cell
    if not _filled(cell):
        return None
    if kind == pl.String:
        return _text(cell)
    if kind == pl.Datetime and not isinstance(cell, datetime):
        return datetime(cell.year, cell.month, cell.day)
    return int(cell) if kind == pl.Int64 else cell


class Sheet:
    """The rows of one sheet below its header."""

    format = "excel"
    schema: Mapping[str, pl.DataType]

    def __init__(self, name: str, names: Sequence[str], rows: Sequence[Row], decisions: tuple[Decision, ...], block: int | None) -> None:
        self.name, self.decisions = name, decisions
        cells = [[row[i] for row in rows] for i in range(len(names))]
        self.schema = pl.Schema({n: _kind(column) for n, column in zip(names, cells, strict=True)})
        kinds = list(self.schema.values())
        values = ([_value(c, k) for c in column] for column, k in zip(cells, kinds, strict=True))
        self._frame = pl.DataFrame([pl.Series(n, v, k) for (n, k), v in zip(self.schema.items(), values, strict=True)])
        self._block = block or max(1, _CELLS // len(names))

    def blocks(self) -> Iterator[Block]:
        """Every row once, in order."""
        for first in range(0, self._frame.height, self._block):
            frame = self._frame.slice(first, self._block)
            yield Block(np.arange(first, first + frame.height, dtype=np.uint64), frame)
