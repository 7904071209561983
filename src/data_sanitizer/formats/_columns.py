"""Column names that are unique, and nested or encoded columns made plain."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import polars as pl

from data_sanitizer import errors
from data_sanitizer.model import Decision, ReadLimits


def plain_names(raw: Sequence[str]) -> tuple[tuple[str, ...], tuple[Decision, ...]]:
    """Names for columns in order: an empty one becomes `column_3`, a second `name` becomes `name_2`; each change is a decision.

    So are names that Polars takes for patterns (`*`, and all from `^` to `$`): they get an underscore in front.

    >>> plain_names(["a", "", "a"])[0]
    ('a', 'column_2', 'a_2')
    """
    taken, names, decisions = set(raw), [], []
    used: set[str] = set()
    counts: dict[str, int] = {}  # the last number given to a stem, so that ten thousand equal names take no longer than others
    for i, name in enumerate(raw):
        new = name if name.strip() else f"column_{i + 1}"
        new = f"_{new}" if new == "*" or (new.startswith("^") and new.endswith("$")) else new
        stem = new
        while new in used or (new != name and new in taken):
            counts[stem] = counts.get(stem, 1) + 1
            new = f"{stem}_{counts[stem]}"
        if new != name:
            why = (
                "the name is empty"
                if not name.strip()
                else "two columns have this name"
                if raw.count(name) > 1
                else "the name is a pattern"
            )
            decisions.append(Decision("column name", f"column {i + 1} is called {new}", why))
        used.add(new)
        names.append(new)
    return tuple(names), tuple(decisions)


def checked_names(names: Sequence[str], limits: ReadLimits, path: str) -> None:
    """Raises TooManyColumns or ColumnNameTooLong where the columns of a table go beyond the limits."""
    if len(names) > limits.columns:
        raise errors.TooManyColumns(path=path, found=f"it has {len(names)}", limit="columns", most=limits.columns)
    longest = max(range(len(names)), key=lambda i: len(names[i]), default=0)
    if names and len(names[longest]) > limits.name_length:
        found = f"that of column {longest + 1} has {len(names[longest])} characters"
        raise errors.ColumnNameTooLong(path=path, found=found, limit="name_length", most=limits.name_length)


def flat(schema: pl.Schema) -> list[tuple[str, pl.Expr, pl.DataType]]:
    """Every column of a typed table as an expression of a plain type: structs as `a.b`, lists and maps as JSON text, categories as text."""
    columns = [leaf for name, kind in schema.items() for leaf in _leaves(name, pl.col(name), kind)]
    names, _ = plain_names([name for name, _, _ in columns])
    return [(name, expr.alias(name), kind) for name, (_, expr, kind) in zip(names, columns, strict=True)]


def _leaves(name: str, expr: pl.Expr, kind: pl.DataType) -> list[tuple[str, pl.Expr, pl.DataType]]:
    text = pl.String()
    if isinstance(kind, pl.Struct) and kind.fields:
        fields = pl.Schema(kind.to_schema())
        return [leaf for f, inner in fields.items() for leaf in _leaves(f"{name}.{f}", expr.struct.field(f), inner)]
    if isinstance(kind, pl.List | pl.Array | pl.Struct | pl.Map):
        return [(name, _json_text(expr), text)]
    if isinstance(kind, pl.BaseExtension):
        return _leaves(name, expr.ext.storage(), _whole_type(kind.ext_storage()))
    if isinstance(kind, pl.Binary):
        return [(name, expr.map_batches(_text_of_bytes, return_dtype=text), text)]
    if isinstance(kind, pl.Duration):
        return [(name, expr.dt.to_string("iso"), text)]
    if isinstance(kind, _PLAIN):
        return [(name, expr, kind)]
    return [(name, expr.cast(pl.String), text)]


def depth(kind: pl.DataType) -> int:
    """How many levels of lists, maps and structs a type has."""
    if isinstance(kind, pl.Struct):
        return 1 + max((depth(_whole_type(f.dtype)) for f in kind.fields), default=0)
    if isinstance(kind, pl.Map):
        return 1 + depth(_whole_type(kind.value))
    return 1 + depth(_whole_type(kind.inner)) if isinstance(kind, pl.List | pl.Array) else 0


def _whole_type(kind: Any) -> pl.DataType:
    """A type as a value: Polars also takes the class for it."""
    return pl.Schema({"": kind})[""]


def text_size(expr: pl.Expr, kind: pl.DataType) -> pl.Expr | None:
    """The bytes that the texts in a value take once written out, with a little for each element of a list; None for plain values."""
    if isinstance(kind, pl.String):
        return expr.str.len_bytes().cast(pl.UInt64)
    if isinstance(kind, pl.Categorical):
        return expr.cat.len_bytes().cast(pl.UInt64)
    if isinstance(kind, pl.Binary):
        return expr.bin.size().cast(pl.UInt64)
    if isinstance(kind, pl.Map):
        return text_size(expr.map.entries(), pl.List(pl.Struct({"key": kind.key, "value": kind.value})))
    if isinstance(kind, pl.BaseExtension):
        return text_size(expr.ext.storage(), _whole_type(kind.ext_storage()))
    if isinstance(kind, pl.Array):
        return text_size(expr.arr.to_list(), pl.List(kind.inner))
    if isinstance(kind, pl.List):
        inner = text_size(pl.element(), _whole_type(kind.inner))
        marks = expr.list.len().cast(pl.UInt64) * _ELEMENT
        return marks if inner is None else marks + expr.list.eval(inner.fill_null(0)).list.sum().fill_null(0)
    if isinstance(kind, pl.Struct):
        sizes = [text_size(expr.struct.field(name), dtype) for name, dtype in pl.Schema(kind.to_schema()).items()]
        known = [size.fill_null(0) for size in sizes if size is not None]
        return pl.sum_horizontal(known) if known else None
    return None


def _text_of_bytes(column: pl.Series) -> pl.Series:
    """Bytes that are UTF-8 as their text (older writers mark text so), others as base64 with its name in front."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        return pl.Series(column.name, [None if v is None else _text_of_value(v) for v in column], pl.String)


def _text_of_value(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return "base64:" + b64encode(value).decode("ascii")


def _json_text(expr: pl.Expr) -> pl.Expr:
    """Lists, maps and empty structs as JSON; null stays null."""
    whole = pl.struct(expr.alias("v")).struct.json_encode().str.strip_prefix('{"v":').str.strip_suffix("}")
    return pl.when(expr.is_not_null()).then(whole)


_ELEMENT = 8  # bytes of a number, its comma and the like, in the JSON of a list
_PLAIN = (
    *(pl.String, pl.Boolean, pl.Date, pl.Datetime, pl.Time, pl.Decimal, pl.Float32, pl.Float64),
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
)
