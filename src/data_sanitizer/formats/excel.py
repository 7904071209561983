"""Excel and OpenDocument sheets (xlsx, xlsm, xlsb, xls, ods): one table of one sheet is read, from its header on; dates become ISO.

The first visible sheet with a table that is not small beside the others is read, and in it the largest table; `--sheet NAME` or
`--sheet NAME!B3:F20` chooses another. Title rows are left out, a header of two rows is joined, a footer is quarantined, and everything
else that was not read is named. A cell that is merged over others has its value in the first of them. Before a workbook is opened its
parts are scanned, so that one with cells at the ends of the world, or with gigabytes packed into a megabyte, is refused in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_sanitizer import errors
from data_sanitizer.formats import _sheet_cells as content
from data_sanitizer.formats import _sheet_layout as layout
from data_sanitizer.formats import _workbook
from data_sanitizer.formats._columns import checked_names, plain_names
from data_sanitizer.formats._dialect import has_header
from data_sanitizer.formats._sizes import long_rows
from data_sanitizer.model import Block, Decision, ReadOptions, RowIssue

SUFFIXES = ("xlsx", "xlsm", "xlsb", "xls", "ods")
_SEEN = 300  # rows that the header test looks at
_CELLS = 1 << 18  # cells in one block
_SMALL = 10  # a sheet whose table is this many times smaller than the largest one is a cover or a list beside it
_GROUPS = "the rows above hold groups of the columns that the last one names"
_FOOTER = "a footer: the row fills at most half of the columns, below the table"
_NAMED = 8  # other tables that a decision names

Row = list[Any]


def read(path: Path, name: str, options: ReadOptions, scratch: Path, block: int | None = None) -> Sheet:
    """Loads one sheet into memory, as the format demands; `block` is the number of rows given at once."""
    book = _workbook.inspect(path, name, options.limits)
    grid, decisions = _chosen(path, name, options.sheet, book)
    return Sheet(name, grid, decisions, options, block)


def write(table: pl.LazyFrame, path: Path) -> None:
    """Sheets are read only."""
    raise NotImplementedError


def _chosen(path: Path, name: str, wanted: str | None, book: _workbook.Workbook) -> tuple[content.Grid, tuple[Decision, ...]]:
    """The cells of the sheet asked for, or of the one that holds the data."""
    import python_calamine as calamine

    try:
        with calamine.CalamineWorkbook.from_path(str(path)) as opened:
            sheets = [s.name for s in opened.sheets_metadata]
            hidden = [s.name for s in opened.sheets_metadata if s.visible != calamine.SheetVisibleEnum.Visible]
            if wanted is not None:
                sheet, area = _asked(name, wanted, sheets)
                grid = content.Grid(opened.get_sheet_by_name(sheet), book, area)
                if not grid.tables:
                    raise errors.EmptyInput(path=name)
                return grid, ()
            grids = _candidates(opened, [s for s in sheets if s not in hidden] or sheets, book)
            if not grids and hidden:
                grids = _candidates(opened, hidden, book)
    except calamine.PasswordError as error:
        raise errors.UnsupportedContent(path=name, found="a workbook with a password") from error
    except (calamine.CalamineError, OSError) as error:
        raise _workbook.malformed(name) from error
    if not grids:
        raise errors.EmptyInput(path=name)
    sizes = {grid.name: grid.largest().filled(grid.codes) for grid in grids}
    grid = next(g for g in grids if _SMALL * sizes[g.name] >= max(sizes.values()))
    return grid, tuple(_told(grid.name, sheets, hidden, sizes))


def _candidates(opened: Any, names: Sequence[str], book: _workbook.Workbook) -> list[content.Grid]:
    """The sheets with content that can be the one: those that the scan found small are not even loaded."""
    most = max((book.sheets[n].filled for n in names if n in book.sheets), default=0)
    loaded: list[content.Grid] = []
    for sheet in names:
        facts = book.sheets.get(sheet)
        if facts is not None and (not facts.filled or (_SMALL * facts.filled < most)):
            continue
        grid = content.Grid(opened.get_sheet_by_name(sheet), book)
        if grid.tables:
            loaded.append(grid)
            if facts is not None and _SMALL * grid.largest().filled(grid.codes) >= most:
                break  # no other sheet can hold a table so much larger
    return loaded


def _told(sheet: str, sheets: Sequence[str], hidden: Sequence[str], sizes: Mapping[str, int]) -> Iterator[Decision]:
    others = [f"{s} (hidden)" if s in hidden else s for s in sheets if s != sheet]
    if others:
        why = f"the first with a table of its size ({sizes[sheet]} cells); not read: {', '.join(others)}"
        yield Decision("sheet", f"{sheet} (hidden)" if sheet in hidden else sheet, why)


def _asked(name: str, wanted: str, sheets: Sequence[str]) -> tuple[str, str]:
    """The sheet and the range of `NAME` or `NAME!B3:F20`; raises SheetNotFound."""
    if wanted in sheets:
        return wanted, ""
    sheet, _, area = wanted.rpartition("!")
    if sheet not in sheets or not content.AREA.fullmatch(area):
        raise errors.SheetNotFound(path=name, sheet=wanted, sheets=", ".join(sheets))
    return sheet, area


class Sheet:
    """The rows of one table of a sheet, below its header."""

    format = "excel"
    schema: Mapping[str, pl.DataType]

    def __init__(self, name: str, grid: content.Grid, found: tuple[Decision, ...], options: ReadOptions, block: int | None) -> None:
        self.name, self._grid, self._limits = name, grid, options.limits
        table = grid.largest()
        self._columns = table.columns.tolist()
        cells = table.cells(grid.codes)
        above = [] if grid.area else layout.titles_above(grid.tables, table)
        titles, heads, told = self._header(table, cells, options.header, sum(len(r.rows) for r in above))
        self._rows = table.rows[titles + heads :]
        footers = 0 if grid.area else layout.footer_rows(cells[titles + heads :], self._rows.tolist())
        body = self._rows[: len(self._rows) - footers]
        self._footer = set(self._rows[len(body) :].tolist())
        names, renamed = plain_names(self._names(table, titles, heads))
        checked_names(names, options.limits, name)
        self._days = content.serial_days(grid, body, self._columns)
        kinds = [content.column_type(grid.kinds[body, c], c in self._days) for c in self._columns]
        self.schema = pl.Schema(dict(zip(names, kinds, strict=True)))
        self._block = block or max(1, _CELLS // len(names))
        days = [n for n, c in zip(names, self._columns, strict=True) if c in self._days]
        self.decisions = (*found, *told, *self._remarks(table, above, days, footers), *renamed)

    def _header(self, table: layout.Region, cells: layout.Codes, asked: int | None, above: int) -> tuple[int, int, list[Decision]]:
        """How many title rows and header rows there are, and what is told of them; `above`: title rows apart from the table."""
        titles, told = 0 if self._grid.area else layout.title_rows(cells), []
        groups = 0 if asked is not None else layout.group_rows(cells, table.rows.tolist(), self._columns, self._grid.merges, titles)
        titles -= groups
        heads, why = (groups + 1, _GROUPS) if groups else self._heads(table, cells, titles, asked)
        if titles + above:
            told.append(Decision("header", f"after {titles + above} title rows", "they fill at most half of the columns"))
        if heads != 1:
            told.append(Decision("header", f"{heads} rows joined" if heads else "none", why))
        return titles, heads, told

    def _heads(self, table: layout.Region, cells: layout.Codes, titles: int, asked: int | None) -> tuple[int, str]:
        """How many rows name the columns, and why that is."""
        if asked is not None:
            return int(asked), "as asked for"
        grid, rows = self._grid, table.rows[titles:].tolist()
        seen = [[content.text(row[c]) for c in self._columns] for row in grid.some(rows[:_SEEN])]
        header, against = has_header(seen)
        return (layout.header_rows(cells[titles:], rows, self._columns, grid.merges, seen), _GROUPS) if header else (0, against)

    def _names(self, table: layout.Region, titles: int, heads: int) -> list[str]:
        """The texts of the header; of several rows, the groups before the name."""
        if not heads:
            return [f"column_{i + 1}" for i in range(len(self._columns))]
        numbers = table.rows[titles : titles + heads].tolist()
        rows = [[content.text(row[c]).strip() for c in self._columns] for row in self._grid.some(numbers)]
        groups = [
            content.spread(row, rows[-1], self._columns, number, self._grid.merges) for row, number in zip(rows[:-1], numbers, strict=False)
        ]
        return [" ".join(filter(None, dict.fromkeys(parts))) for parts in zip(*groups, rows[-1], strict=True)]

    def _remarks(self, table: layout.Region, above: Sequence[layout.Region], days: Sequence[str], footers: int) -> Iterator[Decision]:
        """What else the reader should know: blank rows, other tables, hidden and merged cells, errors, dates that are numbers."""
        grid = self._grid
        blank = int(table.rows[-1] - table.rows[0]) + 1 - len(table.rows)
        if blank:
            yield Decision("blank rows", f"{blank} left out", "a row without content is not a record")
        if footers:
            yield Decision("footer", f"{footers} rows quarantined", "they fill at most half of the columns, below the table")
        others = [r for r in grid.tables if r is not table and not any(r is t for t in above)]
        if others:
            listed = ", ".join(f"{r.address()} ({r.filled(grid.codes)} cells)" for r in others[:_NAMED])
            more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            yield Decision("table", table.address(), f"the largest in sheet {grid.name}; not read: {listed}{more}")
        if days:
            why = "most of its cells are dates, and its numbers fall among them"
            yield Decision("dates stored as numbers", f"read as dates in {', '.join(days)}", why)
        yield from grid.told(table)

    def blocks(self) -> Iterator[Block]:
        """Every row once, in order; the rows of the footer are quarantined."""
        numbers = self._rows.tolist()
        source = zip(range(len(numbers)), numbers, self._grid.some(numbers), strict=True)
        while rows := list(islice(source, self._block)):
            kept = [(i, row) for i, number, row in rows if number not in self._footer]
            footer = tuple(RowIssue(i, _FOOTER, self._line(row)) for i, number, row in rows if number in self._footer)
            places, frame = np.array([i for i, _ in kept], np.uint64), self._frame([row for _, row in kept])
            yield Block(places, frame, footer, long_rows(frame, places, self._limits, self.name))

    def _line(self, row: Row) -> str:
        return "\t".join(content.text(row[c]) for c in self._columns)

    def _frame(self, rows: Sequence[Row]) -> pl.DataFrame:
        parts = [
            pl.Series(name, [content.value(row[c], kind, self._grid.epoch if c in self._days else None) for row in rows], kind)
            for c, (name, kind) in zip(self._columns, self.schema.items(), strict=True)
        ]
        return pl.DataFrame(parts)
