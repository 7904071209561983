"""What related columns say stands in a cell: each speaks through the rows of a sample that share its value.

The parents travel as plain mappings: `column`, `weight`, and for each of its values (`keys`) the fill it proposes (`best`, a place in a
list of fills) with its `share`, the next one (`next`, -1 for none, `next_share`), and the rows behind it (`support`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Parent = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Votes:
    """For n cells and p parents: `value` (n,) the fill chosen, -1 for none; `share` (n,) its confidence; `support` (p, n) the rows with
    which each parent speaks for it, 0 where it does not."""

    value: NDArray[np.int64]
    share: NDArray[np.float64]
    support: NDArray[np.int64]


def vote(parents: Sequence[Parent], cells: pl.Series, first: bool) -> Votes:
    """The fill with the largest sum of weight x share, its confidence that sum over all weights; or what the first parent says that
    has a say. `cells` is a struct of the parents' columns. Ties go to the earlier parent."""
    n = len(cells)
    if not parents:
        return Votes(np.full(n, -1), np.zeros(n), np.zeros((0, n), np.int64))
    rows = [_row(p, cells.struct.field(p["column"])) for p in parents]
    speaks = np.stack(rows) >= 0
    if first:
        speaks &= np.cumsum(speaks, axis=0) == 1
    best, following = (_spread(parents, rows, speaks, name, -1) for name in ("best", "next"))
    shares = [_spread(parents, rows, speaks, name, 0.0) for name in ("share", "next_share")]
    weights = np.array([p["weight"] for p in parents])[:, None]
    value, total = _winner(np.concatenate([best, following]), np.concatenate([weights * s for s in shares]))
    whole = (weights * speaks).sum(axis=0)
    support = _spread(parents, rows, speaks & (best == value), "support", 0)
    return Votes(value, np.divide(total, whole, out=np.zeros(n), where=whole > 0), support)


def _row(parent: Parent, cells: pl.Series) -> NDArray[np.int64]:
    """Where each cell stands among the keys of a parent; -1 for nowhere."""
    keys = pl.Series(parent["keys"], dtype=pl.String)
    found = cells.cast(pl.String).replace_strict(keys, pl.int_range(len(keys), eager=True), default=-1, return_dtype=pl.Int64)
    return np.asarray(found.fill_null(-1).to_numpy())


def _spread(parents: Sequence[Parent], rows: list[NDArray[np.int64]], where: NDArray[np.bool_], name: str, blank: float) -> NDArray[Any]:
    """What each parent has under a name for each cell, of shape (p, n); `blank` where it does not speak."""
    return np.stack([np.where(w, np.asarray(p[name])[r], blank) for p, r, w in zip(parents, rows, where, strict=True)])


def _winner(values: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each column of two (k, n) arrays the value with the largest sum of scores, and that sum; summed in one order on any machine."""
    totals = np.stack([_sum(scores, values == own) for own in values])
    totals[values < 0] = -1.0
    best = totals.argmax(axis=0)
    columns = np.arange(values.shape[1])
    return values[best, columns], np.maximum(totals[best, columns], 0.0)


def _sum(scores: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    total = np.zeros(scores.shape[1])
    for row, counts in zip(scores, where, strict=True):
        total += np.where(counts, row, 0.0)
    return total


def named(columns: Sequence[str], support: NDArray[np.int64]) -> pl.Series:
    """The columns that speak for each of n cells, and the most rows that one of them speaks with, as in "city and zip, 9 rows"."""
    speaks = support > 0
    pattern = (speaks * (1 << np.arange(len(columns)))[:, None]).sum(axis=0)
    patterns = np.unique(pattern)
    texts = [listed([c for j, c in enumerate(columns) if int(p) >> j & 1]) for p in patterns]
    who = pl.Series(texts, dtype=pl.String).gather(np.searchsorted(patterns, pattern))
    rows = pl.Series(support.max(axis=0, initial=0))
    return pl.DataFrame({"who": who, "rows": rows}).select(
        pl.format("{}, {} {}", "who", "rows", pl.when(rows == 1).then(pl.lit("row")).otherwise(pl.lit("rows")))
    )[:, 0]


def listed(columns: list[str]) -> str:
    """The first two columns, shortened where their names are long, and how many more there are."""
    short = [c if len(c) <= 20 else f"{c[:19]}…" for c in columns[:2]]
    return " and ".join(short) + (f" and {len(columns) - 2} more" if len(columns) > 2 else "")
