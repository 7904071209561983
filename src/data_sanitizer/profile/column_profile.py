"""What the steps are told about a column: its kind, its values, its evidence; frozen and free of the rows themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl

from data_sanitizer.profile import ColumnStatistics, TableStatistics, dependencies
from data_sanitizer.profile._scan import (
    AMBIGUOUS_COMMA,
    AMBIGUOUS_POINT,
    CODE,
    CURRENCIES,
    DATE_AMBIGUOUS,
    DATE_DMY,
    DATE_MDY,
    DATE_YMD,
    DECIMAL_COMMA,
    DECIMAL_POINT,
    DIGITS_AND_SIGNS,
    GROUPED_COMMA,
    GROUPED_POINT,
    INTEGER,
    LEADING_ZERO,
    LONG_DIGITS,
    NULL_TOKENS,
    TIMESTAMP,
)
from data_sanitizer.profile.dependencies import Dependency
from data_sanitizer.profile.frequent import frame, squeezed
from data_sanitizer.profile.numbers import Numbers, NumberSummary, with_exact_values

NUMBER_SHAPES = (INTEGER, DECIMAL_POINT, DECIMAL_COMMA, AMBIGUOUS_POINT, AMBIGUOUS_COMMA, GROUPED_COMMA, GROUPED_POINT)
DATE_SHAPES = (DATE_YMD, DATE_DMY, DATE_MDY, DATE_AMBIGUOUS)
_VALUES = 5_000  # sampled rows whose values stand for a column of many values: enough for its patterns and for what it holds
_SHOWN = 20  # most frequent values that profile.json lists
_LISTED = 200  # the same of a column whose values come again and again: another delivery is compared with them
_QUANTILES = (0.01, *(n / 20 for n in range(1, 20)), 0.99)
_RELATED = 8_000  # sampled rows from which related columns are found: strengths to about 0.01
BOOLEANS = (
    {"true", "false"},
    {"yes", "no"},
    {"y", "n"},
    {"t", "f"},
    {"on", "off"},
    {"ja", "nein"},
    {"oui", "non"},
    {"si", "no"},
    {"sí", "no"},
)

# Columns whose digits are a name, not a quantity. Matched as whole words of the column's name.
_NAMES_OF_CODES = frozenset(
    [
        "id",
        "ids",
        "key",
        "code",
        "codes",
        "zip",
        "zipcode",
        "plz",
        "postcode",
        "postal",
        "phone",
        "telephone",
        "tel",
        "mobile",
        "fax",
        "ssn",
        "sku",
        "isbn",
        "issn",
        "ean",
        "upc",
        "gtin",
        "iban",
        "bic",
        "account",
        "acct",
        "number",
        "no",
        "nr",
        "num",
        "ref",
        "reference",
        "serial",
        "barcode",
        "uuid",
        "guid",
        "vat",
        "tin",
        "npi",
        "fips",
        "siret",
        "ein",
        "index",
        "tuple",
    ]
)

# Null tokens that may be answers in a column of words; whether they are is for the recipe to decide.
_ANSWERS = frozenset({"na", "none", "nil", "unknown", "missing", "not available", "empty", "tbd", "."})


@dataclass(frozen=True, eq=False)
class TableSample:
    """A random sample of whole rows, for steps that ask what other columns say of a cell; worked out when a step first asks.

    `lazy` has the sampled rows with the types of the source, blanks trimmed and collapsed, null tokens made null.
    """

    lazy: pl.LazyFrame

    def after(self, cleaned: Mapping[str, pl.Expr]) -> TableSample:
        """The sample as steps leave it: column -> what it becomes."""
        return TableSample(self.lazy.with_columns(**cleaned)) if cleaned else self

    @cached_property
    def typed(self) -> pl.DataFrame:
        """The rows with the types of the source, in a random order that is always the same."""
        return self.lazy.collect()

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The rows, every column as text."""
        return self.typed.cast(pl.String)

    @cached_property
    def related(self) -> dict[str, tuple[Dependency, ...]]:
        """For each column those that tell what stands in it, the strongest first."""
        return dependencies.related(self.rows.head(_RELATED))

    @cached_property
    def related_by_all(self) -> dict[str, tuple[Dependency, ...]]:
        """The same from every sampled row: slower, and finds what columns with thousands of values tell."""
        return dependencies.related(self.rows) if self.rows.height > _RELATED else self.related


@dataclass(frozen=True)
class ColumnProfile:
    """One column as the steps see it. Counts are cells over all rows; `sample` is a random sample of distinct values with counts."""

    name: str
    dtype: pl.DataType
    rows: int
    missing: int  # null, empty or blank; null tokens are not counted here
    tokens: dict[str, int]  # null token in lower case -> cells
    shapes: dict[str, int]
    flags: dict[str, int]
    distinct: int
    values: dict[str, int] | None  # exact counts, most frequent first, where the column has few values
    sample: pl.DataFrame  # value, count
    lengths: dict[str, float]
    statistics: ColumnStatistics
    sensitive: str | None = None
    personal: Any = None  # the personal data that `flag_personal_data.find` found; False: none; None: it did not look
    table: TableSample | None = None  # the same for all columns

    @property
    def filled(self) -> int:
        """Cells that are neither missing nor a null token."""
        return self.rows - self.missing - sum(self.tokens.values())

    def count(self, *shapes: int) -> int:
        """Cells that have one of the shapes."""
        return self.statistics.shapes.count(*shapes)

    @property
    def typed(self) -> bool:
        """The source gave the column a type of its own."""
        return self.dtype != pl.String

    @cached_property
    def named_as_code(self) -> bool:
        """The name says that its values are identifiers."""
        words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower())
        return not _NAMES_OF_CODES.isdisjoint(words)

    @cached_property
    def kind(self) -> str:
        """empty, boolean, integer, decimal, date, timestamp, identifier, category or text."""
        return _typed_kind(self.dtype) if self.typed else _kind(self)

    @cached_property
    def candidate_key(self) -> bool:
        """Every cell is filled and, as far as the sketch can tell, no value comes twice."""
        return self.rows > 1 and self.missing == 0 and not self.tokens and self.distinct >= 0.97 * self.rows and (
            self.values is None or len(self.values) == self.rows)  # fmt: skip

    @cached_property
    def currencies(self) -> dict[str, int]:
        """Currency or percent sign -> cells with it, "" for numbers without."""
        details = self.statistics.shapes.details[list(NUMBER_SHAPES)].sum(axis=0)
        return {c: int(n) for i, c in enumerate(CURRENCIES) if (n := details[16 * i : 16 * i + 16].sum())}

    @cached_property
    def thousands(self) -> str | None:
        """The sign that groups thousands, "" for none, None where the evidence is missing or contradicts itself."""
        return _thousands(self)

    @cached_property
    def number(self) -> NumberSummary | None:
        """The numbers of a column that is made of numbers."""
        if self.kind not in ("integer", "decimal") or self.thousands is None:
            return None
        numbers: Numbers = self.statistics.numbers
        summary = numbers.resolve(self.thousands or None)
        return summary if self.values is None else with_exact_values(summary, self.sample, self.thousands)

    @cached_property
    def date_order(self) -> str | None:
        """ "ymd", "dmy" or "mdy" where all dates of the column can be read in that one order and at least one can be read in no other."""
        return _date_order(self)


def _typed_kind(dtype: pl.DataType) -> str:
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "decimal"
    return "date" if dtype == pl.Date else "timestamp" if dtype.is_temporal() else "empty" if dtype == pl.Null else "text"


def _kind(c: ColumnProfile) -> str:
    """The kind of a column of text from what nearly all (95 %) of its filled cells are."""
    if c.filled == 0:
        return "empty"
    most = 0.95 * c.filled
    if c.values is not None and _boolean(c) is not None:
        return "boolean"
    if c.count(*DATE_SHAPES) >= most:
        return "date"
    if c.count(TIMESTAMP) >= most:
        return "timestamp"
    if c.count(LEADING_ZERO, LONG_DIGITS) == 0 and c.count(*NUMBER_SHAPES) >= most and not (c.named_as_code and c.count(INTEGER) >= most):
        return "integer" if c.count(INTEGER) >= most and c.currencies.keys() == {""} else "decimal"
    digits = c.count(LEADING_ZERO, LONG_DIGITS, INTEGER, CODE, DIGITS_AND_SIGNS)
    if digits >= 0.9 * c.filled and (c.count(LEADING_ZERO, LONG_DIGITS) or c.named_as_code or c.distinct > 0.5 * c.filled):
        return "identifier"
    return "category" if _repeats(c) else "identifier" if digits >= 0.9 * c.filled else "text"


def _repeats(c: ColumnProfile) -> bool:
    """A category: few values that come again and again, and are not long."""
    if c.values is None or c.lengths.get("mean", 0) > 60:
        return False
    return len(c.values) * 4 <= c.filled or (len(c.values) * 2 <= c.filled and c.filled < 200)


def _boolean(c: ColumnProfile) -> set[str] | None:
    values = {v.casefold() for v in c.values or {}} - set(c.tokens)
    return next((pair for pair in BOOLEANS if values == pair), None)


def _thousands(c: ColumnProfile) -> str | None:
    """One sign must mean one thing in all of the column."""
    comma_groups, point_groups = c.count(GROUPED_COMMA), c.count(GROUPED_POINT)
    comma_decimals, point_decimals = c.count(DECIMAL_COMMA), c.count(DECIMAL_POINT)
    as_comma, as_point = comma_groups + point_decimals, point_groups + comma_decimals  # decimal point; decimal comma
    if as_comma and as_point:
        return None
    if as_comma:
        # 1.234 beside 2.5 is a decimal; 1,234 beside 1,234.50 is grouped; 1,234 beside 2.5 alone: grouped is the only reading left.
        return "," if comma_groups or c.count(AMBIGUOUS_COMMA) else ""
    if as_point:
        return "." if point_groups or c.count(AMBIGUOUS_POINT) else ""
    if c.typed and not c.count(AMBIGUOUS_COMMA):
        return ""
    return None if c.count(AMBIGUOUS_COMMA, AMBIGUOUS_POINT) else ""


def _date_order(c: ColumnProfile) -> str | None:
    ymd, dmy, mdy, open_ = (c.count(shape) for shape in DATE_SHAPES)
    if dmy and mdy:
        return None
    if dmy or mdy:
        return "dmy" if dmy else "mdy"
    return "ymd" if ymd and not open_ else None


def summarise(table: TableStatistics, schema: dict[str, pl.DataType]) -> dict[str, ColumnProfile]:
    """The profile of every column, in the order of the schema; rows of sources that lack a column count as missing."""
    rows = table.sample.rows()
    profiles = {}
    for name, dtype in schema.items():
        statistics = table.columns.get(name, ColumnStatistics())
        if (absent := table.rows - statistics.rows) > 0:
            statistics = replace_missing(statistics, absent)
        profiles[name] = _profile(name, dtype, table.rows, statistics, rows)
    sample = _table_sample(rows, profiles)
    return {name: replace(p, table=sample) for name, p in profiles.items()}


def after_cleaning(profiles: Mapping[str, ColumnProfile], cleaned: Mapping[str, pl.Expr]) -> dict[str, ColumnProfile]:
    """The profiles with the sampled rows as steps leave them (column -> what it becomes): what the next step sees of the other columns."""
    table = next((p.table for p in profiles.values()), None)
    if table is None or not cleaned:
        return dict(profiles)
    left, table = {name: copy(p) for name, p in profiles.items()}, table.after(cleaned)  # a copy keeps what was worked out already
    for profile in left.values():
        object.__setattr__(profile, "table", table)
    return left


def _table_sample(rows: pl.DataFrame, profiles: Mapping[str, ColumnProfile]) -> TableSample:
    columns = []
    for name, profile in profiles.items():
        cell = pl.col(name) if name in rows.columns else pl.lit(None, profile.dtype).alias(name)
        columns.append(cell if profile.typed else _without_tokens(cell, profile.kind))
    return TableSample(rows.lazy().select(columns))


def _without_tokens(cell: pl.Expr, kind: str) -> pl.Expr:
    tokens = [t for t in NULL_TOKENS if kind not in ("category", "text") or t not in _ANSWERS]
    text = cell.str.replace_all(r"[ \t]+", " ").str.strip_chars(" \t\n\r\v\f")
    return pl.when(~text.str.to_lowercase().is_in(["", *tokens])).then(text)


def replace_missing(statistics: ColumnStatistics, absent: int) -> ColumnStatistics:
    """The statistics with `absent` more missing cells."""
    details = statistics.shapes.details.copy()
    details[0, 0] += absent
    return replace(statistics, rows=statistics.rows + absent, shapes=replace(statistics.shapes, details=details))


def _profile(name: str, dtype: pl.DataType, rows: int, s: ColumnStatistics, sample: pl.DataFrame) -> ColumnProfile:
    values = s.frequent.values()
    return ColumnProfile(
        name=name, dtype=dtype, rows=rows, missing=s.shapes.count(0), tokens=s.shapes.named_tokens(), shapes=s.shapes.named(),
        flags=s.shapes.named_flags(), distinct=len(values) if values is not None else min(s.distinct.estimate(), rows), values=values,
        sample=frame(values) if values is not None else _sampled(name, sample), lengths=s.lengths.described(), statistics=s,
    )  # fmt: skip


def _sampled(name: str, sample: pl.DataFrame) -> pl.DataFrame:
    if name not in sample.columns:
        return frame({})
    values = squeezed(sample[name].head(_VALUES).cast(pl.String).drop_nulls()).alias("value")
    counted = values.filter(values != "").value_counts().cast({"count": pl.UInt32})
    return counted.sort(["count", "value"], descending=[True, False])


def patterns(sample: pl.DataFrame, most: int = 10) -> list[tuple[str, int]]:
    """The commonest character patterns of a value sample: A for a capital, a for a small letter, 9 for a digit; long runs shortened."""
    if sample.is_empty():
        return []
    shape = pl.col("value").str.slice(0, 40).str.replace_all(r"\p{Lu}", "A").str.replace_all(r"\p{Ll}", "a").str.replace_all(r"\d", "9")
    for letter in "Aa9":
        shape = shape.str.replace_all(f"{letter}{{5,}}", f"{letter * 4}+")
    counted = sample.select(shape.alias("pattern"), "count").group_by("pattern").agg(pl.col("count").sum())
    counted = counted.sort(["count", "pattern"], descending=[True, False])
    return [(p, int(n)) for p, n in counted.head(most).iter_rows()]


def described(c: ColumnProfile) -> dict[str, Any]:
    """A column of profile.json (schema data-sanitizer.profile/1); values of personal data are left out."""
    shown = [] if c.sensitive or c.values is None else [[v, n] for v, n in list(c.values.items())[: _LISTED if _repeats(c) else _SHOWN]]
    number = c.number
    return {
        "kind": c.kind, "dtype": str(c.dtype), "rows": c.rows, "missing": c.missing + sum(c.tokens.values()), "null_tokens": c.tokens,
        "distinct": c.distinct, "unique": c.candidate_key, "candidate_key": c.candidate_key, "shapes": c.shapes, "lengths": c.lengths,
        "odd_characters": {k: n for k, n in c.flags.items() if n and k not in ("upper", "lower")},
        "number": _numbers(number) if number else None, "date": {"order": c.date_order} if c.kind == "date" else None,
        "frequent": shown, "patterns": patterns(c.sample), "sensitive": c.sensitive,
    }  # fmt: skip


def _numbers(n: NumberSummary) -> dict[str, Any]:
    quantiles = {str(q): n.quantile(q) for q in _QUANTILES}
    return {
        "count": n.count,
        "min": n.least,
        "max": n.most,
        "mean": n.mean,
        "std": n.deviation,
        "quantiles": quantiles,
        "histogram": n.histogram(),
    }
