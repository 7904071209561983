"""Fill missing values: with what related columns say stands there, else with the column's median or commonest value.

Every fill is a value that stands in the column already, written as it stands there, and has its own confidence. Categories and booleans
take a vote of the up to four columns that tell most of them, each speaking through the rows with the same value. Numbers and dates take the
median of the three or more rows with the same value in the column that explains them best. Where no column has such rows, the commonest
value or the median of the whole column is taken.

Columns of personal data, identifiers and texts with few rows for each different value, numbers that count the rows and dates in an open
order have no honest fill: they stay as they are, with a remark why, unless the option `everything` is set. That is decided by the column
alone, not by what others say, so that a second run, which knows the fills of the first, decides the same.

`method` is auto, or mode, median or conditional alone. Fills below `min_confidence` are not made; a second run may be surer.

Confidence is the lower bound (Wilson, 90 %) of a share of rows: for a vote those of the group with the same value, weighted by the square
of the strength of the parents; for a median those within a tenth of all rows, by rank, of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from data_sanitizer.errors import RecipeError
from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile, TableSample
from data_sanitizer.profile.dependencies import explaining, vote_table, wilson
from data_sanitizer.steps import dates, null_tokens, numbers, outliers
from data_sanitizer.steps._votes import Votes, listed, named, vote

VERSION = 1
INVENTS = True
OPTIONS: Mapping[str, Any] = {"method": "auto", "min_confidence": 0.0, "everything": False}

METHODS = ("auto", "conditional", "median", "mode")
PARENTS = 4
LEAST_ROWS = 3  # for the median of a group; in a vote the bound takes care of small groups
ENTRIES = 20_000  # parent values in all tables of one column; the largest groups are kept
_CLOSE = 0.1  # of all rows, by rank
_ORDERED = ("integer", "decimal", "date", "timestamp")
_ALL = "\0all"  # a parent with one value: the column as a whole


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """What fills the column, or a remark why nothing does."""
    method, everything = _method(options), bool(options["everything"])
    table = profile.table
    if table is None or not _misses(profile, table):
        return None
    cells = _ranked(profile, table)
    why = _no_honest_fill(profile, table, cells is not None)
    if why and not (everything and table.rows[column].count()):
        return Action("fill_missing", VERSION, column, evidence=f"not filled: {why}", mode="note")
    least = float(options["min_confidence"])
    tables = _tables(column, table, cells) if method in ("auto", "conditional") else []
    default = _default(column, table, None if method == "mode" else cells, least) if method != "conditional" else None
    if not tables and default is None:
        return Action("fill_missing", VERSION, column, evidence="not filled: no column tells what stands here", mode="note")
    parameters = {"ordered": cells is not None, "least": least, **_numbered(column, table, tables, default)}
    said = _kind(cells is not None) + listed([name for name, *_ in tables]) if tables else str(parameters["default"]["evidence"])
    return Action("fill_missing", VERSION, column, parameters, said)


def _kind(ordered: bool) -> str:
    return "median by " if ordered else "conditional on "


def _method(options: Mapping[str, Any]) -> str:
    method = options["method"]
    if method not in METHODS:
        raise RecipeError(recipe="step fill_missing", why=f"{method!r} is not a method", kind="methods", known=", ".join(METHODS))
    least = options["min_confidence"]
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
        raise RecipeError(recipe="step fill_missing", why="min_confidence is not a share", kind="values", known="0 to 1")
    return str(method)


def _misses(profile: ColumnProfile, table: TableSample) -> bool:
    """Some cells are missing, or will be once the words that stand for nothing are gone."""
    emptied = null_tokens.plan(profile.name, profile, null_tokens.OPTIONS)
    not_numbers = profile.dtype.is_float() and "nan" in profile.tokens
    return bool(profile.missing or emptied or not_numbers or table.rows[profile.name].null_count())


def _no_honest_fill(profile: ColumnProfile, table: TableSample, ordered: bool) -> str | None:
    """Why any fill would be made up."""
    cells = table.rows[profile.name].drop_nulls()
    if cells.is_empty():
        return "every cell is empty"
    if profile.sensitive:
        return "the column holds personal data"
    if not ordered and profile.kind in _ORDERED and not profile.named_as_code:
        return "it is open how its numbers or dates are to be read"
    if not ordered and profile.kind != "boolean" and not _comes_again(profile, cells, whole=table.rows.height >= profile.rows):
        return "too many different values"
    return "its numbers count the rows" if _counts_rows(profile) else None


def _comes_again(profile: ColumnProfile, cells: pl.Series, whole: bool) -> bool:
    """Values that can be guessed from others: four rows for each on average, two in a short column. `whole`: `cells` are all there are."""
    if whole:
        distinct, filled = cells.n_unique(), len(cells)
    else:
        known = profile.distinct if profile.values is None else sum(v.lower() not in profile.tokens for v in profile.values)
        distinct, filled = known, profile.filled
    return distinct * 4 <= filled or distinct * 2 <= filled < 200


def _counts_rows(profile: ColumnProfile) -> bool:
    """Whole numbers, all different, with hardly a gap: 1, 2, 3, … under a name that does not say so."""
    number = profile.number
    if profile.kind != "integer" or number is None or profile.filled < 20 or profile.distinct < 0.97 * profile.filled:
        return False
    return number.most - number.least < 1.5 * profile.rows


def _ranked(profile: ColumnProfile, table: TableSample) -> pl.DataFrame | None:
    """For a column of numbers or dates the `text` and the `rank` (0 to 1) of every sampled cell, null for missing ones; None for others.

    Outliers stand at the outermost ordinary number, so that none is ever a fill.
    """
    order, text = in_order(profile, table), table.rows[profile.name]
    if order is None:
        return None
    far = outliers.plan(profile.name, profile, outliers.OPTIONS)
    if far is not None:
        below, above = order < far.parameters["low"], order > far.parameters["high"]
        ordinary = order.set(below | above, None)
        for beyond, outer in ((below, ordinary.arg_min()), (above, ordinary.arg_max())):
            if outer is not None:
                text, order = text.set(beyond, text[outer]), order.set(beyond, order[outer])
    return pl.DataFrame({"text": text, "rank": order.rank("average") / max(order.count(), 1)})


def in_order(profile: ColumnProfile, table: TableSample) -> pl.Series | None:
    """The sampled cells of a column of numbers or dates as floats that stand in the same order, null for none; None for other columns."""
    text = table.rows[profile.name]
    if profile.kind not in _ORDERED or profile.named_as_code:
        return None
    if profile.typed:
        values = table.typed[profile.name].to_physical().cast(pl.Float64, strict=False)
        return values.set(~values.is_finite().fill_null(value=False), None)
    if profile.kind == "timestamp":
        return text.rank("dense").cast(pl.Float64)  # they begin with the year
    if profile.kind == "date":
        return _days(profile, text)
    if profile.number is None or len(profile.currencies.keys() - {""}) > 1:
        return None
    return numbers.read(text, writing(profile))


def writing(profile: ColumnProfile) -> dict[str, str]:
    """The signs by which `numbers.read` reads the column."""
    return {"thousands": profile.thousands or "", "decimal": numbers.decimal_sign(profile)}


def _days(profile: ColumnProfile, text: pl.Series) -> pl.Series | None:
    """Dates as days, None where their order of day and month is an open question."""
    action = dates.plan(profile.name, profile, dates.OPTIONS)
    if action is None or action.mode != "convert":
        return None
    return text.to_frame().select(dates.parse(action).cast(pl.Int32).cast(pl.Float64))[:, 0]


def _tables(column: str, table: TableSample, cells: pl.DataFrame | None) -> list[tuple[str, float, pl.DataFrame]]:
    """The columns that tell most of this one, the weight of each, and what its values say, as `vote_table` gives it."""
    if cells is None:
        found = table.related_by_all[column][:PARENTS]
        made = [(d.parent, d.strength**2, vote_table(table.rows, d.parent, column)) for d in found]
    else:
        found = explaining(table.rows, column, cells["rank"], PARENTS)
        made = [(d.parent, 1.0, median_table(table.rows[d.parent], cells["text"], cells["rank"])) for d in found]
    kept = [(parent, weight, t.head(ENTRIES // len(made))) for parent, weight, t in made]
    return [(parent, weight, t) for parent, weight, t in kept if t.height]


def median_table(parent: pl.Series, child: pl.Series, order: pl.Series) -> pl.DataFrame:
    """What the rows with the same parent value have in the middle, in the form of `vote_table`, without runner-up and small groups.

    `best` is the text of the lower median by `order` (ranks from 0 to 1), ties by text; `agree` the rows within a tenth of all rows of it.
    """
    rows = pl.DataFrame({parent.name: parent, "\0text": child, "\0rank": order}).drop_nulls().sort(parent.name, "\0rank", "\0text")
    middle = (pl.len() - 1) // 2
    close = (pl.col("\0rank") - pl.col("\0rank").get(middle)).abs() <= _CLOSE
    grouped = rows.group_by(parent.name, maintain_order=True).agg(
        best=pl.col("\0text").get(middle), runner_up=pl.lit(None, pl.String), support=pl.len(), agree=close.sum()
    )
    table = grouped.with_columns(share=wilson(pl.col("agree"), pl.col("support")), agree_next=pl.lit(0, pl.UInt32))
    return table.filter(pl.col("support") >= LEAST_ROWS).sort("support", parent.name, descending=[True, False])


def _default(column: str, table: TableSample, cells: pl.DataFrame | None, least: float) -> dict[str, Any] | None:
    """What fills the column where no other column speaks: its lower median, or its commonest value."""
    alone = pl.repeat("", table.rows.height, eager=True).alias(_ALL)
    if cells is None:
        found = vote_table(table.rows.select(column).with_columns(alone), _ALL, column)
    else:
        found = median_table(alone, cells["text"], cells["rank"])
    if found.is_empty() or found["share"][0] < least:
        return None
    kind = "commonest value" if cells is None else "median"
    return {"best": found["best"][0], "share": found["share"][0], "evidence": f"{kind} of {found['support'][0]} rows"}


def _numbered(
    column: str, table: TableSample, tables: list[tuple[str, float, pl.DataFrame]], default: dict[str, Any] | None
) -> dict[str, Any]:
    """The parameters of the action: the fills in the type of the column, and the tables with places among them."""
    stated = [pl.Series([default["best"]] if default else [], dtype=pl.String)]
    fills = pl.concat([*stated, *(t[name] for *_, t in tables for name in ("best", "runner_up"))]).drop_nulls().unique().sort()
    places = dict(zip(fills, range(len(fills)), strict=True))
    parents = [
        {
            "column": name, "weight": weight, "keys": t[name].to_list(), "support": t["support"].to_list(),
            "best": [places[v] for v in t["best"]], "share": t["share"].to_list(),
            "next": [places.get(v, -1) for v in t["runner_up"]], "next_share": wilson(t["agree_next"], t["support"]).to_list(),
        }
        for name, weight, t in tables
    ]  # fmt: skip
    first = pl.DataFrame({"text": table.rows[column]}).with_row_index("at").unique("text", keep="first", maintain_order=True)
    at = pl.DataFrame({"text": fills}).join(first, on="text", how="left", maintain_order="left")["at"]
    placed = {**default, "best": places[default["best"]]} if default else None
    return {"values": plain(table.typed[column].gather(at)), "parents": parents, "default": placed}


def plain(values: pl.Series) -> list[Any]:
    """Cells as plain values from which `as_typed` makes the same cells."""
    if values.dtype.is_temporal():
        return values.to_physical().to_list()
    return (values if values.dtype == pl.Boolean else values.cast(pl.String)).to_list()


def as_typed(values: list[Any], dtype: pl.DataType) -> pl.Series:
    """The cells of a column of this type that `plain` was given."""
    made = pl.Int64 if dtype.is_temporal() else pl.Boolean if dtype == pl.Boolean else pl.String
    return pl.Series(values, dtype=made).cast(dtype)


def clean(action: Action) -> pl.Expr:
    """The column with its missing cells filled, as far as something tells what stands there."""
    return _cells(action).map_batches(partial(_filled, action.column, action.parameters), return_dtype=pl.dtype_of(action.column))


def confidence(action: Action) -> pl.Expr:
    """The confidence of each fill; 1 for cells that are not missing."""
    return _cells(action).map_batches(partial(_told, action.column, action.parameters, _confidence, 1.0), return_dtype=pl.Float64)


def evidence(action: Action) -> pl.Expr:
    """Which columns said so with how many rows; blank for cells that are not missing. Never a value."""
    return _cells(action).map_batches(partial(_told, action.column, action.parameters, _evidence, ""), return_dtype=pl.String)


def _cells(action: Action) -> pl.Expr:
    return pl.struct(action.column, *(p["column"] for p in action.parameters["parents"]))


def _missing(cells: pl.Series) -> pl.Series:
    if cells.dtype == pl.String:
        return cells.is_null() | (cells.str.strip_chars() == "").fill_null(value=False)
    return cells.is_null() | cells.is_nan().fill_null(value=False) if cells.dtype.is_float() else cells.is_null()


def _filled(column: str, parameters: Mapping[str, Any], cells: pl.Series) -> pl.Series:
    own = cells.struct.field(column)
    missing = _missing(own)
    if not missing.any():
        return own
    place = np.full(len(own), -1)
    place[missing.to_numpy()] = _voted(parameters, cells.filter(missing)).value
    fills = as_typed(parameters["values"], own.dtype).gather(np.maximum(place, 0))
    return fills.zip_with(pl.Series(place >= 0), own).alias(column)


def _voted(parameters: Mapping[str, Any], cells: pl.Series) -> Votes:
    """What the parents say, else the default; nothing below the least confidence."""
    votes, default = vote(parameters["parents"], cells, first=parameters["ordered"]), parameters["default"]
    silent = votes.value < 0
    if default is not None:
        votes.value[silent], votes.share[silent] = default["best"], default["share"]
    votes.value[votes.share < parameters["least"]] = -1
    return votes


def _told(column: str, parameters: Mapping[str, Any], tell: Callable[..., pl.Series], blank: Any, cells: pl.Series) -> pl.Series:
    """What is told of each missing cell, the blank for all others."""
    missing = _missing(cells.struct.field(column))
    told = tell(parameters, _voted(parameters, cells.filter(missing)))
    everywhere = pl.repeat(blank, len(cells), dtype=told.dtype, eager=True)
    return everywhere.scatter(missing.arg_true(), told)


def _confidence(parameters: Mapping[str, Any], votes: Votes) -> pl.Series:
    return pl.Series(votes.share)


def _evidence(parameters: Mapping[str, Any], votes: Votes) -> pl.Series:
    default, spoken = parameters["default"], pl.Series((votes.support > 0).any(axis=0))
    said = _kind(parameters["ordered"]) + named([p["column"] for p in parameters["parents"]], votes.support)
    return said.zip_with(spoken, pl.Series([default["evidence"] if default else ""]))
