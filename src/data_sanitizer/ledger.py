"""The ledger: one entry for every changed cell, removed row, conversion and flag; and what the entries say about a table.

input + ledger = output and output - ledger = input: `applied` and `given_back` are these two sentences, from the entries alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import extensions
from data_sanitizer.model import Action

SCHEMA: Final = {
    "source": pl.String(), "row": pl.UInt64(), "column": pl.String(), "action": pl.String(), "old": pl.String(), "new": pl.String(),
    "rule": pl.String(), "rule_version": pl.UInt16(), "evidence": pl.String(), "confidence": pl.Float32(), "sensitive": pl.Boolean(),
}  # fmt: skip
SET, CONVERT, REMOVE, QUARANTINE, FLAG = "set", "convert", "remove", "quarantine", "flag"
ACTIONS: Final = (SET, CONVERT, REMOVE, QUARANTINE, FLAG)
MASKING: Final = "mask_personal_data"  # the rule whose old values are not kept: its cells cannot be given back
SAME_ROWS: Final = '{"all columns":{"level":"exact"}}'  # in matches.parquet the evidence of rows that say the same
NOT_COMPARED: Final = "not compared"  # there, the level of a column of which nothing is known

Rows = NDArray[np.uint64]
_TYPES: Final[Mapping[str, pl.DataType]] = {
    "Int64": pl.Int64(), "Float64": pl.Float64(), "Boolean": pl.Boolean(), "Date": pl.Date(), "Datetime": pl.Datetime("us"),
}  # fmt: skip
_ZONE: Final = r"[+-]\d\d:?\d\d$"


def entries(rows: int | pl.Series, **values: Any) -> pl.DataFrame:
    """A piece of ledger: `rows` row numbers (or how many entries without one); a value is a Series, or one value for all entries."""
    n = rows if isinstance(rows, int) else len(rows)
    told: dict[str, Any] = {"row": None if isinstance(rows, int) else rows, "sensitive": False, "confidence": 1.0, **values}
    series = {name: value for name in SCHEMA if isinstance(value := told.get(name), pl.Series)}
    frame = pl.DataFrame({"__n__": pl.repeat(0, n, dtype=pl.UInt8, eager=True), **series})
    return frame.select([(pl.col(c).cast(t) if c in series else pl.lit(told.get(c), t)).alias(c) for c, t in SCHEMA.items()])


def as_text(column: pl.Series) -> pl.Series:
    """Cells of any type as the ledger writes them."""
    return column if column.dtype == pl.String else column.cast(pl.String)


def from_text(text: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Cells in their type again, from the text of `as_text` or of a CSV or JSONL file; null where the text is no value of the type."""
    cell = pl.col("cell")
    if dtype == pl.String:
        return text
    if dtype == pl.Boolean:
        made: pl.Expr = pl.when(cell == "true").then(pl.lit(value=True)).when(cell == "false").then(pl.lit(value=False))
    elif dtype == pl.Date:
        made = cell.str.to_date("%Y-%m-%d", strict=False)
    elif dtype == pl.Time:
        made = cell.str.to_time("%H:%M:%S%.f", strict=False)
    elif isinstance(dtype, pl.Datetime):
        made = _moment(cell, dtype)
    else:
        made = cell.cast(dtype, strict=False)
    return _one(text, made)


def _one(column: pl.Series, expression: pl.Expr) -> pl.Series:
    """What an expression over the column `cell` makes of the column; its own name could be a pattern to Polars."""
    return column.alias("cell").to_frame().select(expression.alias("cell"))[:, 0].alias(column.name)


def _moment(cell: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    plain = cell.str.replace("T", " ", literal=True)
    form = "%Y-%m-%d %H:%M:%S%.f"
    if not dtype.time_zone:
        return plain.str.to_datetime(form, time_unit=dtype.time_unit, strict=False)
    zoned = plain.str.to_datetime(form + "%z", time_unit=dtype.time_unit, strict=False)
    return pl.when(plain.str.contains(_ZONE)).then(zoned).dt.convert_time_zone(dtype.time_zone)


def made_by(rule: str) -> pl.Expr:
    """Whether the rule made an entry, alone or together with others."""
    return pl.col("rule").str.split("+").list.contains(rule)


def conversions(ledger: pl.DataFrame) -> dict[str, Action]:
    """Column -> how its text became a type, from the `convert` entries; raises KeyError or ValueError where an entry does not say it."""
    found = ledger.filter(pl.col("action") == CONVERT).select("column", "old", "new", "rule").unique(maintain_order=True)
    made: dict[str, Action] = {}
    for column, old, new, rule in found.iter_rows():
        if column in made:
            raise ValueError(f"column {column!r} has two conversions")
        action = extensions.load("steps", rule).from_form(column, old, new)
        if _step(action).form(action) != (old, new):
            raise ValueError(f"the conversion of column {column!r} is none that {rule} makes")
        made[column] = action
    return made


def cleaned_schema(schema: Mapping[str, pl.DataType], converted: Mapping[str, Action]) -> dict[str, pl.DataType]:
    """The types of the cleaned table, from those of the table as read."""
    return {c: _type_of(converted[c]) if c in converted else dtype for c, dtype in schema.items()}


def _type_of(action: Action) -> pl.DataType:
    return _TYPES[_step(action).form(action)[1]]


def _step(action: Action) -> Any:
    return extensions.load("steps", action.step)


def parsed(text: pl.Series, action: Action) -> pl.Series:
    """The typed column of a conversion."""
    return _one(text, _step(action).parse(replace(action, column="cell")))


def written(typed: pl.Series, action: Action) -> pl.Series:
    """The text of a converted column in the one way of writing that its entry names."""
    return _one(typed, _step(action).back(replace(action, column="cell")))


def lives(text: pl.Series, action: Action) -> pl.Series:
    """Which cells a converted column can hold without an entry: their text comes back as it is."""
    return written(parsed(text, action), action).eq_missing(text)


def applied(frame: pl.DataFrame, rows: Rows, ledger: pl.DataFrame, converted: Mapping[str, Action]) -> pl.DataFrame:
    """Input + ledger = output: the rows as read, with the new values of the `set` entries and the conversions."""
    columns = {c: parsed(frame[c], action) for c, action in converted.items() if c in frame.columns}
    for name, places, cells in changed_cells(rows, ledger):
        column = columns.get(name, frame[name])
        columns[name] = replaced(column, places, from_text(cells["new"], column.dtype))
    return frame.with_columns(**columns)


def given_back(frame: pl.DataFrame, rows: Rows, ledger: pl.DataFrame, converted: Mapping[str, Action]) -> pl.DataFrame:
    """Output - ledger = input: the cleaned rows with conversions written back as text, and the old values of the `set` entries."""
    columns = {c: written(frame[c], action) for c, action in converted.items() if c in frame.columns}
    for name, places, cells in changed_cells(rows, ledger):
        column = columns.get(name, frame[name])
        columns[name] = replaced(column, places, from_text(cells["old"], column.dtype))
    return frame.with_columns(**columns)


def changed_cells(rows: Rows, ledger: pl.DataFrame) -> Iterator[tuple[str, NDArray[np.int64], pl.DataFrame]]:
    """The `set` entries by column, and where their rows stand among `rows` (ascending; they must be there)."""
    for cells in ledger.filter(pl.col("action") == SET).partition_by("column", maintain_order=True):
        yield cells["column"][0], places(rows, cells["row"]), cells


def places(rows: Rows, wanted: pl.Series) -> NDArray[np.int64]:
    """Where the wanted row numbers stand among ascending `rows`; raises ValueError where one is missing."""
    numbers = wanted.to_numpy()
    found = np.searchsorted(rows, numbers)
    if len(numbers) and (not len(rows) or (rows[found.clip(0, len(rows) - 1)] != numbers).any()):
        raise ValueError("an entry is about a row that is not there")
    return found


def replaced(column: pl.Series, index: NDArray[np.int64], values: pl.Series) -> pl.Series:
    """The column with other values at the given places."""
    return column.clone().scatter(index, values) if len(index) else column
