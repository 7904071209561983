"""Which columns tell what stands in another, learned from a sample of whole rows.

A column (the parent) tells another (the child) as far as two rows with the same parent value also agree in the child, more than any two
rows do: strength = (agreement - base) / (1 - base), where agreement is the chance that two different rows of one group agree, averaged
over the rows, and base the same over the whole table. It is 1 for a functional dependency, 0 for unrelated columns, and, because a row is
never compared with itself, near 0 for a parent whose groups are small by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel

MOST_COLUMNS = 100  # of more, those with the highest entropy are looked at: 9,900 pairs of 20,000 rows take about a second
MOST_DISTINCT = 0.6  # of the filled cells; a column with more different values has no groups to learn from
LEAST_STRENGTH = 0.05
_Z = 1.2816  # normal quantile of 0.9: a Wilson bound that nine of ten true shares lie above
_COUNT = "\0count"  # no column of a table has such a name

Codes = NDArray[np.int64]  # shape (rows,): which value stands in the row, in order of the values; -1 for none


@dataclass(frozen=True, slots=True)
class Dependency:
    """`parent` tells `child`: strength from 0 to 1, cover the share of the child's filled rows in groups of two rows and more."""

    parent: str
    child: str
    strength: float
    cover: float


def related(sample: pl.DataFrame, most: int = 8) -> dict[str, tuple[Dependency, ...]]:
    """For each column of a sample of text columns (null for missing) its strongest parents, at most `most`, strongest first.

    Constant columns and columns of nearly all different values have no place in it; of more than 100 others, those with the highest
    entropy have. Of equally strong parents, to a hundredth, the one with fewer values comes first: its groups are larger.
    """
    codes = _chosen({name: code_values(sample[name]) for name in sample.columns})
    found: dict[str, list[Dependency]] = {name: [] for name in sample.columns}
    for parent, groups in codes.items():
        order, starts = _grouped(groups)
        for child, values in codes.items():
            if child != parent:
                found[child].append(_dependency(parent, child, order, starts, values))
    strong = {c: [d for d in ds if d.strength > LEAST_STRENGTH] for c, ds in found.items()}
    return {c: tuple(sorted(ds, key=lambda d: (-round(d.strength, 2), codes[d.parent].max()))[:most]) for c, ds in strong.items()}


def explaining(sample: pl.DataFrame, child: str, numbers: pl.Series, most: int = 4) -> tuple[Dependency, ...]:
    """The columns whose groups tell most of the numbers of `child` (null for none), strongest first.

    Strength is here 1 - (squared distance to the mean of the other rows of the group) / (the same for all other rows), on the ranks of
    the numbers, so that no far number counts more than another.
    """
    ranks = numbers.rank("average").to_numpy()
    filled = np.flatnonzero(~np.isnan(ranks))
    if len(filled) < 3 or numbers.n_unique() < 3:
        return ()
    codes = _chosen({name: code_values(sample[name]) for name in sample.columns if name != child})
    found = [_explained(parent, child, groups[filled], ranks[filled]) for parent, groups in codes.items()]
    return tuple(sorted((d for d in found if d.strength > LEAST_STRENGTH), key=lambda d: -d.strength)[:most])


def vote_table(sample: pl.DataFrame, parents: str | Sequence[str], child: str) -> pl.DataFrame:
    """What the rows with the same parent values say of the child, largest groups first.

    Columns: the parents; `best` the commonest child value and `runner_up` the next (null where there is none), ties by value; `support`
    the rows of the group, `agree` and `agree_next` those with the two values; `share` the lower Wilson bound of agree / support.
    """
    keys = [parents] if isinstance(parents, str) else list(parents)
    ascending = [False] * len(keys)
    counts = sample.select(*keys, child).drop_nulls().group_by(*keys, child).agg(pl.len().alias(_COUNT))
    counts = counts.sort(*keys, _COUNT, child, descending=[*ascending, True, False])
    value, size = pl.col(child), pl.col(_COUNT)
    agree_next = size.slice(1, 1).first().fill_null(0)
    table = counts.group_by(*keys, maintain_order=True).agg(
        best=value.first(), runner_up=value.slice(1, 1).first(), support=size.sum(), agree=size.first(), agree_next=agree_next
    )
    return table.with_columns(share=wilson(pl.col("agree"), pl.col("support"))).sort("support", *keys, descending=[True, *ascending])


def wilson(hits: Any, of: Any) -> Any:
    """The lower bound of a share that was hits / of in a sample (Wilson 1927, one-sided, 90 %); numbers, arrays or expressions."""
    share, unsure = hits / of, _Z * _Z / of
    return (share + unsure / 2 - (unsure * (share * (1 - share) + unsure / 4)) ** 0.5) / (1 + unsure)


def code_values(column: pl.Series) -> Codes:
    """Each cell as the number of its value in ascending order; -1 for null."""
    values = column.drop_nulls().unique().sort()
    return np.asarray(column.cast(pl.Enum(values)).to_physical().cast(pl.Int64).fill_null(-1).to_numpy())


def _chosen(codes: dict[str, Codes]) -> dict[str, Codes]:
    """The columns that have groups to learn from: at most MOST_COLUMNS, by entropy."""
    entropies = {name: _entropy(c[c >= 0]) for name, c in codes.items()}
    useful = sorted((name for name in codes if entropies[name] > 0), key=lambda name: -entropies[name])[:MOST_COLUMNS]
    return {name: codes[name] for name in codes if name in set(useful)}


def _entropy(filled: Codes) -> float:
    """In bits; 0 for columns that are of no use: constant, or nearly all different."""
    counts = np.bincount(filled)
    if len(counts) < 2 or len(counts) > MOST_DISTINCT * len(filled):
        return 0.0
    shares = counts / len(filled)
    return float(-(shares * np.log2(shares)).sum())


def _grouped(codes: Codes) -> tuple[Codes, Codes]:
    """The filled rows in order of their value, and where each value's rows begin and end."""
    order = np.argsort(codes, kind="stable")[np.count_nonzero(codes < 0) :]
    return order, np.searchsorted(codes[order], np.arange(codes.max(initial=-1) + 2))


@kernel
def _agreement(order: Any, starts: Any, values: Any, counts: Any) -> tuple[float, int]:
    """Over all groups of at least two rows: the sum over their rows of the chance that another row of the group agrees, and the rows."""
    agree, rows = 0.0, 0
    for g in range(len(starts) - 1):
        n, pairs = 0, 0
        for i in range(starts[g], starts[g + 1]):
            v = values[order[i]]
            if v >= 0:
                pairs += counts[v]
                counts[v] += 1
                n += 1
        for i in range(starts[g], starts[g + 1]):
            v = values[order[i]]
            if v >= 0:
                counts[v] = 0
        if n > 1:
            agree += 2.0 * pairs / (n - 1)
            rows += n
    return agree, rows


def _dependency(parent: str, child: str, order: Codes, starts: Codes, values: Codes) -> Dependency:
    counts = np.bincount(values[values >= 0])
    agree, rows = _agreement(order, starts, values, np.zeros(len(counts), np.int64))
    n = int(counts.sum())
    base = float((counts * (counts - 1.0)).sum() / (n * (n - 1.0)))
    strength = (agree / rows - base) / (1 - base) if rows else 0.0
    return Dependency(parent, child, min(max(strength, 0.0), 1.0), rows / n)


def _explained(parent: str, child: str, groups: Codes, ranks: NDArray[np.float64]) -> Dependency:
    """How much nearer a row's rank is to the mean of its group than to the mean of all, itself left out of both."""
    known = groups >= 0
    sizes = np.bincount(groups[known], minlength=1)
    within = np.zeros(len(groups), bool)
    within[known] = sizes[groups[known]] > 1
    if np.count_nonzero(within) < 3:
        return Dependency(parent, child, 0.0, 0.0)
    rows, group = ranks[within], groups[within]
    size, n = sizes[group], len(rows)
    own = (rows - np.bincount(group, rows)[group] / size) * size / (size - 1)
    all_ = (rows - rows.mean()) * n / (n - 1)
    spread = float((all_ * all_).sum())
    strength = 1 - float((own * own).sum()) / spread if spread else 0.0
    return Dependency(parent, child, max(strength, 0.0), n / len(ranks))
