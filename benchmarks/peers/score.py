"""Precision, recall and F1 over pairs of rows, counted from the sizes of clusters so that no list of pairs is made."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Truth:
    """The entity of each row, and whether it is the first row with its text."""

    entity: pl.Series
    first: pl.Series


@dataclass(frozen=True, slots=True)
class Found:
    """One answer: rows with the same label are one cluster; `more` has columns a and b, single pairs of rows in addition."""

    setting: str
    labels: pl.Series
    more: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares from 0 to 1, and how many pairs were found and were there to be found."""

    precision: float
    recall: float
    f1: float
    found: int
    true: int


def all_pairs(found: Found, truth: Truth) -> Figures:
    """Over all pairs of rows, exact copies included."""
    return _figures(found.labels, truth.entity, pl.Series(range(len(truth.entity)), dtype=pl.Int64), found.more)


def near_pairs(found: Found, truth: Truth) -> Figures:
    """Over pairs of rows that differ in writing: of rows equal in every sign only the first one is looked at."""
    rows = truth.first.arg_true().cast(pl.Int64)
    return _figures(found.labels.gather(rows), truth.entity.gather(rows), rows, found.more)


def _figures(labels: pl.Series, entity: pl.Series, rows: pl.Series, more: pl.DataFrame | None) -> Figures:
    frame = pl.DataFrame({"row": rows, "label": labels.cast(pl.String), "entity": entity.cast(pl.String)})
    found, true, hit = (_pairs(frame, columns) for columns in (["label"], ["entity"], ["label", "entity"]))
    if more is not None:
        apart = _apart(frame, more)
        found, hit = found + apart.height, hit + apart.filter(pl.col("entity") == pl.col("entity_b")).height
    precision, recall = (hit / count if count else 1.0 for count in (found, true))
    return Figures(precision, recall, 2 * hit / (found + true) if found + true else 1.0, found, true)


def _pairs(frame: pl.DataFrame, columns: list[str]) -> int:
    """The pairs of rows that are equal in these columns."""
    sizes = frame.group_by(columns).len()["len"].cast(pl.Int64)
    return int((sizes * (sizes - 1) // 2).sum())


def _apart(frame: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """The single pairs whose rows are looked at and are not in one cluster anyway."""
    pairs = more.select(a=pl.min_horizontal("a", "b").cast(pl.Int64), b=pl.max_horizontal("a", "b").cast(pl.Int64)).unique()
    joined = pairs.join(frame, left_on="a", right_on="row").join(frame, left_on="b", right_on="row", suffix="_b")
    return joined.filter(pl.col("label") != pl.col("label_b"))
