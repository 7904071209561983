"""Read a column of numbers as numbers, with its decimal sign, thousands sign and currency decided once for the whole column.

Converted only where every filled cell is a number in one and the same way of writing, so that each can be written back as it stood:
identifiers, codes with leading zeros, mixed currencies, cells that leave the decimal sign open (1,234), and columns in which 1.5 and 1.50
both occur (as in versions and measurements) stay text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from data_sanitizer.model import Action
from data_sanitizer.profile._scan import DECIMAL_COMMA, INTEGER
from data_sanitizer.profile.column_profile import NUMBER_SHAPES, ColumnProfile

VERSION = 1
OPTIONS: Mapping[str, Any] = {}

_PATTERN = re.compile(r"(?P<before>[^#0]*)(#(?P<thousands>[.,])##)?0((?P<decimal>[.,])(?P<places>#|0+))?(?P<after>[^#0]*)")


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """One way of writing for the whole column, or none."""
    if profile.typed or profile.kind not in ("integer", "decimal"):
        return None
    if profile.thousands is None or profile.flags["plus_sign"]:
        return None
    if profile.count(*NUMBER_SHAPES) != profile.filled:
        signs = {"thousands": profile.thousands, "decimal": decimal_sign(profile)}
        evidence = "no number in a column of numbers, which stays text because of such cells"
        return Action("numbers", VERSION, column, signs, evidence, confidence=0.9, mode="flag")
    currency = _currency(profile)
    style = _decimals(profile)
    if currency is None or style is None:
        return None
    parameters = {"thousands": profile.thousands, "decimal": decimal_sign(profile), "decimals": style, "currency": currency}
    return Action("numbers", VERSION, column, parameters, f"every cell is a number written as {pattern(parameters)}", mode="convert")


def decimal_sign(profile: ColumnProfile) -> str:
    """The sign before the decimals, as far as the column has any."""
    return "," if profile.thousands == "." or (not profile.thousands and profile.count(DECIMAL_COMMA) > 0) else "."


def read(cells: pl.Series, parameters: Mapping[str, Any]) -> pl.Series:
    """The numbers in cells of text, null for all other cells."""
    text = cells.str.strip_chars("$€£¥% ").str.replace_all(parameters["thousands"] or " ", "", literal=True)
    return text.str.replace(parameters["decimal"], ".", literal=True).cast(pl.Float64, strict=False)


def _currency(profile: ColumnProfile) -> str | None:
    """Where the one sign of all cells stands, as in "# €"; "" where there is none, None where some cells have another or none."""
    signs = profile.currencies
    if len(signs) != 1:
        return None
    sign = next(iter(signs))
    if not sign:
        return ""
    shown = profile.sample["value"]
    forms = (f"{sign}#", f"{sign} #", f"#{sign}", f"# {sign}")
    return max(forms, key=lambda f: _fits(shown, *f.split("#")))


def _fits(shown: pl.Series, before: str, after: str) -> int:
    digits = shown.str.strip_prefix(before).str.strip_suffix(after).str.contains(r"^[\d-].*\d$|^\d$")
    return int((shown.str.starts_with(before) & shown.str.ends_with(after) & digits).sum())


def _decimals(profile: ColumnProfile) -> int | str | None:
    """The number of decimals of every cell, "shortest" where they differ and none ends in a zero, None where that is not so."""
    if profile.count(INTEGER) == profile.filled:
        return 0
    details = profile.statistics.shapes.details[list(NUMBER_SHAPES)].sum(axis=0)
    details = details.reshape(-1, 16).sum(axis=0)
    places = details[:8] + details[8:]
    used = np.flatnonzero(places)
    if len(used) == 1 and 0 <= used[0] < 7:
        return int(used[0])
    return "shortest" if not details[8:].any() and not places[7] else None


def pattern(parameters: Mapping[str, Any]) -> str:
    """The way of writing as a spreadsheet would name it: #,##0.00 or #.##0,00 €; 0.### for the shortest form."""
    whole = f"#{parameters['thousands']}##0" if parameters["thousands"] else "0"
    places = parameters["decimals"]
    fraction = "" if places == 0 else parameters["decimal"] + ("#" if places == "shortest" else "0" * places)
    return (parameters["currency"] or "#").replace("#", whole + fraction)


def form(action: Action) -> tuple[str, str]:
    """How the column was written and what it became, for the ledger."""
    return pattern(action.parameters), "Int64" if action.parameters["decimals"] == 0 else "Float64"


def from_form(column: str, old: str, new: str) -> Action:
    """The conversion that the ledger describes; raises ValueError where `old` is no way of writing numbers."""
    found = _PATTERN.fullmatch(old)
    if found is None:
        raise ValueError("no such way of writing numbers")
    places, thousands = found["places"] or "", found["thousands"] or ""
    currency = f"{found['before']}#{found['after']}" if found["before"] or found["after"] else ""
    decimal = found["decimal"] or ("," if thousands == "." else ".")
    decimals = "shortest" if places == "#" else len(places)
    parameters = {"thousands": thousands, "decimal": decimal, "decimals": decimals, "currency": currency}
    return Action("numbers", VERSION, column, parameters, mode="convert")


def parse(action: Action) -> pl.Expr:
    """Text to number."""
    p, text = action.parameters, pl.col(action.column)
    if p["currency"]:
        text = text.str.strip_chars(p["currency"].replace("#", "") + " ")
    if p["thousands"]:
        text = text.str.replace_all(p["thousands"], "", literal=True)
    if p["decimal"] == ",":
        text = text.str.replace(",", ".", literal=True)
    return text.cast(pl.Int64 if p["decimals"] == 0 else pl.Float64, strict=False)


def back(action: Action) -> pl.Expr:
    """Number to text."""
    return pl.col(action.column).map_batches(lambda numbers: written(numbers, action.parameters), return_dtype=pl.String)


def written(numbers: pl.Series, parameters: Mapping[str, Any]) -> pl.Series:
    """Numbers as the column writes them, null for what no digits write (NaN, infinity). Built column by column: as one expression it would
    double with every thousands sign."""
    value = pl.col("value")
    if numbers.dtype.is_float():
        numbers = numbers.to_frame().select(pl.when(pl.first().is_finite()).then(pl.first())).to_series()
    before, after = str(parameters["currency"] or "#").split("#")
    table = numbers.alias("value").to_frame().with_columns(whole=pl.lit(None, pl.String), fraction=pl.lit(None, pl.String))
    table = table.with_columns(**_digits(value, parameters["decimals"]))
    if parameters["thousands"]:
        table = _grouped(table, parameters["thousands"])
    fraction = pl.when(pl.col("fraction").is_not_null()).then(parameters["decimal"] + pl.col("fraction")).otherwise(pl.lit(""))
    sign = pl.when(value < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return table.select(pl.lit(before) + sign + pl.col("whole") + fraction + pl.lit(after))[:, 0].alias(numbers.name)


def _digits(value: pl.Expr, decimals: int | str) -> dict[str, pl.Expr]:
    """The digits before and behind the decimal sign."""
    if decimals == 0:
        return {"whole": value.abs().cast(pl.String)}
    if decimals == "shortest":
        parts = value.abs().cast(pl.String).str.strip_suffix(".0").str.splitn(".", 2).struct
        return {"whole": parts.field("field_0"), "fraction": parts.field("field_1")}
    scale = 10 ** int(decimals)
    units = (value.abs() * scale).round().cast(pl.Int64)
    return {"whole": (units // scale).cast(pl.String), "fraction": (units % scale).cast(pl.String).str.zfill(int(decimals))}


def _grouped(table: pl.DataFrame, sign: str) -> pl.DataFrame:
    """Put the thousands sign into `whole`, from the right."""
    whole = pl.col("whole")
    size = whole.str.len_bytes().cast(pl.Int64)
    for place in (3, 7, 11, 15, 19):  # counted from the right, the signs already put in among them
        if (table["whole"].str.len_bytes() <= place).all():
            break
        split = whole.str.slice(0, size - place) + sign + whole.str.slice(size - place)
        table = table.with_columns(whole=pl.when(size > place).then(split).otherwise(whole))
    return table


def flag(action: Action) -> pl.Expr:
    """True for cells that are no number."""
    return pl.col(action.column).map_batches(
        lambda cells: cells.is_not_null() & read(cells, action.parameters).is_null(), return_dtype=pl.Boolean
    )
