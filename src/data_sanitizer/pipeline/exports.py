"""Writes the cleaned table of a run in another format: CSV that no spreadsheet takes for formulas, JSONL, Parquet, Excel.

The guard of CSV puts a `'` before a text that a spreadsheet would take for a formula: one that begins with = + - @, a tab, a carriage
return or U+0000 and is not completely a number, a date, a phone number or a handle (`@name`). A text that begins so behind one or more `'`
gets one as well; so the guard can be taken off again: remove one `'` where signs of that kind follow.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import polars as pl

from data_sanitizer import formats
from data_sanitizer.errors import LimitExceeded

FORMATS: Final = ("parquet", "csv", "jsonl", "xlsx")
_BEGINS: Final = r"^'*[=+\-@\t\r\x00]"
_QUOTED: Final = r"^'+"
_PLAIN: Final = "|".join((
    r"^[+-]?(?:\d+|\d{1,3}(?:[ ,.'\u00a0\u202f]\d{3})+)?(?:[.,]\d+)?(?:[eE][+-]?\d{1,3})?[ \u00a0]?(?:%|€|\$|£|[A-Z]{3})?$",  # a number
    r"^[+-]\d{4,6}-\d{2}-\d{2}$",  # a date of ISO 8601 with its sign
    r"^\+\d{1,3}(?:[ ./()-]*\d)+$",  # a phone number
    r"^@[A-Za-z0-9_.]*[a-z0-9_][A-Za-z0-9_.]*$",  # a handle; names of functions are written in capitals
))  # fmt: skip
_ROWS, _COLUMNS, _TEXT = 1_048_576, 16_384, 32_767  # what a sheet can hold
_EXACT: Final = 10**15  # a spreadsheet keeps fifteen digits
_BATCH: Final = 10_000
_MADE: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # the same bytes at any time


def export(source: Path, target: Path, format: str, *, guard: bool = True) -> int:  # noqa: A002
    """Write the table of `source` (cleaned.parquet, .csv or .jsonl) to `target`; gives how many cells were guarded.

    Raises LimitExceeded where a sheet cannot hold it.
    """
    table = _scanned(source)
    if format == "xlsx":
        _write_sheet(table, target)
        return 0
    if format != "csv" or not guard:
        formats.write(table, target, format)
        return 0
    names = table.collect_schema()
    texts = [name for name, kind in names.items() if kind == pl.String]
    count = table.select(pl.sum_horizontal([pl.lit(0, pl.UInt64), *(_is_risky(pl.col(c)).sum() for c in texts)])).collect(
        engine="streaming"
    )
    guarded = table.with_columns(_guarded(pl.col(c)) for c in texts)
    formats.write(guarded.rename({n: _guarded_name(n) for n in names}), target, "csv")
    return int(count.item() or 0)


def _scanned(source: Path) -> pl.LazyFrame:
    kind = source.suffix[1:]
    if kind == "parquet":
        return pl.scan_parquet(source)
    if kind == "csv":
        return pl.scan_csv(source, infer_schema=False, glob=False)
    return pl.scan_ndjson(source, infer_schema_length=None)


def _is_risky(text: pl.Expr) -> pl.Expr:
    bare = text.str.replace(_QUOTED, "")
    return (text.str.contains(_BEGINS) & ~(bare.str.contains(_PLAIN))).fill_null(value=False)


def _guarded(text: pl.Expr) -> pl.Expr:
    return pl.when(_is_risky(text)).then(pl.lit("'") + text).otherwise(text).name.keep()


def _guarded_name(name: str) -> str:
    return str(pl.DataFrame({"name": [name]}).select(_guarded(pl.col("name"))).item())


def _write_sheet(table: pl.LazyFrame, target: Path) -> None:
    """A workbook with one sheet of typed cells: a text is a text there, whatever it begins with."""
    import xlsxwriter

    columns = table.collect_schema()
    if len(columns) > _COLUMNS:
        raise _too_large(target, f"it has {len(columns)} columns", "columns of a sheet", _COLUMNS)
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(target), options) as book:
        book.set_properties({"created": _MADE.replace(tzinfo=None)})
        kinds = {name: book.add_format({"num_format": form}) for name, form in (("date", "yyyy-mm-dd"), ("time", "yyyy-mm-dd hh:mm:ss"))}
        sheet = book.add_worksheet("cleaned")
        for place, name in enumerate(columns):
            sheet.write_string(0, place, name[:_TEXT])
        row = 0
        for batch in _batches(table):
            for cells in batch.iter_rows():
                row += 1
                if row >= _ROWS:
                    raise _too_large(target, "it has more rows", "rows of a sheet", _ROWS - 1)
                for place, cell in enumerate(cells):
                    _write_cell(sheet, row, place, cell, kinds)


def _batches(table: pl.LazyFrame) -> Any:
    return table.collect_batches(chunk_size=_BATCH, maintain_order=True)


def _write_cell(sheet: Any, row: int, place: int, cell: Any, kinds: Any) -> None:
    if cell is None:
        return
    if isinstance(cell, bool):
        sheet.write_boolean(row, place, cell)
    elif isinstance(cell, int | float) and abs(cell) < _EXACT:
        sheet.write_number(row, place, cell)
    elif isinstance(cell, dt.datetime) and cell.tzinfo is None and cell.year >= 1900:
        sheet.write_datetime(row, place, cell, kinds["time"])
    elif isinstance(cell, dt.date) and not isinstance(cell, dt.datetime) and cell.year >= 1900:
        sheet.write_datetime(row, place, cell, kinds["date"])
    else:
        if len(text := str(cell)) > _TEXT:
            raise _too_large(Path("the sheet"), f"a text has {len(text)} signs", "signs of a cell", _TEXT)
        sheet.write_string(row, place, text)


def _too_large(path: Path, found: str, limit: str, most: int) -> LimitExceeded:
    return LimitExceeded(path=path, found=found, limit=limit, most=most)
