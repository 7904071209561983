"""How likely two rows that have nothing to do with each other agree: by chance, by a frequent value, by columns that go together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel

Levels = NDArray[np.int8]  # (pairs, columns)
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
_RARE: Final = 0.7  # exponent of a value's frequency: its weight in full would trust frequencies too much
_PAIRS: Final = 6000  # pairs of rows that share a heavy value, from which dependence is learned
_LEAST: Final = 1e-9


@kernel
def _count(prints: Any, columns: Any, shift: Any, counters: Any, cells: Any) -> None:
    for row in range(len(prints)):
        for k in range(len(columns)):
            value = prints[row, columns[k]]
            if value != 0:
                counters[k, np.int64(value >> shift)] += np.uint32(1)
                cells[k] += 1


@dataclass(frozen=True, slots=True)
class Frequencies:
    """How often each value of each column occurs, in counters that values share by hash: of shape (columns, counters)."""

    counters: NDArray[np.uint32]
    cells: NDArray[np.int64]  # (columns,) cells that are not empty

    @classmethod
    def counted(cls, blocks: Iterable[NDArray[np.uint64]], rows: int, columns: Sequence[int], size: int = 0) -> Frequencies:
        """Count the fingerprints of some columns in blocks of (rows of the block, all columns), in `size` counters a column (a power of 2)
        or as many as `rows` ask for. Memory: at most 4 MiB a column.
        """
        bits = size.bit_length() - 1 if size else min(max(rows.bit_length() + 3, 12), 20)
        counters = np.zeros((len(columns), 1 << bits), np.uint32)
        cells = np.zeros(len(columns), np.int64)
        for prints in blocks:
            _count(prints, np.array(columns, np.int64), np.uint64(64 - bits), counters, cells)
        return cls(counters, cells)

    def of(self, column: int, prints: NDArray[np.uint64]) -> Floats:
        """Rows with each value, less what other values add to its counter on average; 0 for an empty cell."""
        bits = self.counters.shape[1].bit_length() - 1
        counts = self.counters[column, (prints >> np.uint64(64 - bits)).astype(np.int64)].astype(np.float64)
        noise = (self.cells[column] - counts) / self.counters.shape[1]
        return np.asarray(np.where(prints == 0, 0.0, np.maximum(counts - noise, 1.0)))

    def agreement(self) -> Floats:
        """Chance that two cells of a column, neither empty, are equal, of shape (columns,)."""
        n = np.maximum(self.cells, 2).astype(np.float64)
        squares = np.array([float(np.square(c, dtype=np.uint64).sum()) for c in self.counters])
        equal = (squares - self.cells) / (n * (n - 1)) - 1 / self.counters.shape[1]
        return np.asarray(np.clip(np.maximum(equal, 0.5 / n), None, 0.999))

    def entropy(self) -> Floats:
        """Bits of information of a cell that is not empty (Shannon), of shape (columns,): duplicates lower it less than `agreement`."""
        bits = np.zeros(len(self.cells))
        for column, counters in enumerate(self.counters):
            sizes = np.bincount(counters[counters > 0])  # how many values occur once, twice, …
            shares = np.arange(len(sizes)) / max(int(self.cells[column]), 1)
            bits[column] = -(sizes[1:] * shares[1:] * np.log2(shares[1:])).sum()
        return bits


@dataclass(frozen=True, slots=True)
class Chance:
    """Probabilities of levels among unrelated rows. K = highest level + 1."""

    table: Floats  # (columns, K), level 0 unused
    equal: Floats  # (columns,) chance of equal cells
    exact: NDArray[np.int8]  # (columns,) the level of equal cells
    frequencies: Frequencies
    depends: Floats  # (given, column): chance that `column` is equal where `given` is equal, 0 where not known
    parts: tuple[tuple[int, int], ...] = ()  # (part, whole)

    def logs(self, levels: Levels, prints: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], Floats]:
        """Which cells are evidence at all, and the log2 probability of their level, both (pairs, columns).

        `prints` are the fingerprints of either row of each pair in these columns: they count where the cells are equal. The chance of
        a frequent value is greater, that of a rare one smaller; a column that goes with another one that agrees adds little or nothing.
        """
        equal = levels == self.exact
        chance = np.take_along_axis(self.table, levels.T.astype(np.int64), axis=1).T
        bound = np.zeros(levels.shape, np.bool_)
        alike = levels >= np.maximum(3, self.exact - 1)
        for column, best in self._dependent(alike):
            self._discount(chance, bound, levels, equal, alike, column, best)
        for column in range(levels.shape[1]):
            free = equal[:, column] & ~bound[:, column]
            share = np.maximum(self.frequencies.of(column, prints[free, column]) - 1, 0.7) / max(int(self.frequencies.cells[column]), 2)
            chance[free, column] *= (share / self.equal[column]) ** _RARE
        return (levels != 0) & ~(bound & (chance > 0.98)), np.log2(np.maximum(chance, _LEAST))

    def _dependent(self, alike: NDArray[np.bool_]) -> list[tuple[int, Floats]]:
        """Columns that depend on more selective ones, and the chance of their agreement for each pair (0: none agrees)."""
        order = np.argsort(self.equal, kind="stable")
        rank = np.argsort(order, kind="stable")
        found = []
        for column in order:
            best = np.zeros(len(alike))
            for given in order:
                chance = self._given(int(given), int(column))
                if given != column and (rank[given] < rank[column] or chance == 1.0) and chance > 2 * self.equal[column]:
                    best = np.where(alike[:, given], np.maximum(best, chance), best)
            if best.any():
                found.append((int(column), best))
        return found

    def _given(self, given: int, column: int) -> float:
        return 1.0 if (column, given) in self.parts else float(self.depends[given, column])

    def _discount(self, chance: Floats, bound: NDArray[np.bool_], levels: Levels, equal: NDArray[np.bool_], alike: NDArray[np.bool_],
                  column: int, best: Floats) -> None:  # fmt: skip
        held = best > 0
        same = equal[:, column] & held
        near = alike[:, column] & ~equal[:, column] & held
        apart = (levels[:, column] == 1) & held
        bound[:, column] = same
        chance[same, column] = np.maximum(chance[same, column], best[same])
        chance[near, column] = np.maximum(chance[near, column], best[near] / 2)
        chance[apart, column] = np.maximum(1 - best[apart], 0.02)


def random_pairs(rows: Rows, most: int = 60_000) -> tuple[Rows, Rows]:
    """Each of the given rows with some that follow it, of shape (pairs,): the same for any order of the table if `rows` are by content."""
    n = len(rows)
    distances = np.arange(1, min(max(most // max(n, 1), 1), (n - 1) // 2) + 1) if n > 2 else np.arange(1, n)
    others = (np.arange(n)[:, None] + distances) % max(n, 1)
    return np.repeat(rows, len(distances)), rows[others.ravel()]


def table(levels: Levels, exact: NDArray[np.int8], equal: Floats) -> Floats:
    """Probabilities of levels from random pairs (pairs, columns), with the chance of equal cells known better: (columns, K)."""
    out = np.zeros((len(exact), int(exact.max(initial=1)) + 1))
    for column, top in enumerate(exact):
        counts = np.bincount(levels[:, column], minlength=top + 1)[1 : top + 1] + 0.5
        out[column, 1:top] = counts[:-1] / counts[:-1].sum() * (1 - equal[column])
        out[column, top] = equal[column]
    return out


def dependence(prints: NDArray[np.uint64], frequencies: Frequencies, heavy: float) -> Floats:
    """Chance that a column agrees where another does, (given, column), among rows that share a value of at least `heavy` rows.

    Duplicates are a minority of these pairs, so that they do not confirm themselves. `prints` (rows, columns) is a sample by content.
    """
    found = np.zeros((prints.shape[1], prints.shape[1]))
    for given in range(prints.shape[1]):
        rows = np.flatnonzero(frequencies.of(given, prints[:, given]) >= heavy)
        rows = rows[np.argsort(prints[rows, given], kind="stable")]
        a, b = _within_runs(rows, prints[rows, given])
        if len(a) < 300:
            continue
        both = (prints[a] != 0) & (prints[b] != 0)
        same = (prints[a] == prints[b]) & both
        enough = both.sum(axis=0) >= 50
        found[given, enough] = (same.sum(axis=0) / np.maximum(both.sum(axis=0), 1))[enough]
    np.fill_diagonal(found, 0)
    return found


def _within_runs(rows: Rows, values: NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Each row with others of the same value, some distances apart, at most `_PAIRS` spread over all."""
    ones, others = [], []
    for distance in (1, 2, 3, 5, 8):
        same = np.flatnonzero(values[distance:] == values[:-distance]) if len(values) > distance else np.zeros(0, np.int64)
        ones.append(rows[same])
        others.append(rows[same + distance])
    a, b = np.concatenate(ones), np.concatenate(others)
    step = max(1, -(-len(a) // _PAIRS))
    return a[::step], b[::step]
