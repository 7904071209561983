"""Levels of agreement of pairs of rows, column by column: nothing to compare, different, alike to some degree, equal.

Equal fingerprints are free; only cells that differ and are not empty are read and measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates import grams, similarity
from data_sanitizer.duplicates.cells import Text, squeezed
from data_sanitizer.duplicates.records import Records
from data_sanitizer.kernels import kernel

Levels = NDArray[np.int8]  # (pairs, columns)
Rows = NDArray[np.int64]
Scores = NDArray[np.float32]
Rarity = NDArray[np.int32] | None  # the weight of every gram in a column, see `grams.rarity`; None where nobody asks
_CHUNK: Final = 1 << 13  # pairs a thread works on at a time
_WHOLE: Final = 4096  # rows of a table that are all read for a chunk


@dataclass(frozen=True, slots=True)
class Yardstick:
    """One way to score two cells (a key of SCORERS), and the scores that reach levels 2, 3, …"""

    scorer: str
    thresholds: tuple[float, ...]  # ascending


@dataclass(frozen=True, slots=True)
class Measure:
    """How a column is compared: the best level that one of the yardsticks gives. All have as many thresholds."""

    yardsticks: tuple[Yardstick, ...]

    @property
    def exact(self) -> int:
        """The level of equal cells."""
        return 2 + len(self.yardsticks[0].thresholds)

    @property
    def by_grams(self) -> bool:
        """Whether it needs to know how rare grams are."""
        return any(yardstick.scorer == "grams" for yardstick in self.yardsticks)


MEASURES: Final[Mapping[str, Measure]] = {
    "number": Measure((Yardstick("edits", (-2, -1)),)),
    "short": Measure((Yardstick("jaro", (0.80, 0.92)), Yardstick("token_sort", (0.90, 0.90)))),
    "long": Measure((Yardstick("grams", (0.20, 0.35, 0.50, 0.65, 0.80)),)),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """What pairs must weigh to be worth reading: a start, and for every column and level (columns, K) what it adds, in bits."""

    start: float
    gains: NDArray[np.float32]
    best: NDArray[np.float32]  # (columns,) the most that a cell adds which is not equal
    least: float

    def hopes(self, levels: Levels) -> NDArray[np.float32]:
        """What each pair weighs if all unequal cells turn out as alike as can be."""
        hopes = np.full(len(levels), self.start, np.float32)
        for column, gain in enumerate(self.gains):
            hoped = gain.copy()
            hoped[1] = self.best[column]
            hopes += hoped[levels[:, column]]
        return hopes


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is needed to compare rows of a table: a measure a column (None: level 0 throughout) and the rarity of terms."""

    records: Records
    measures: tuple[Measure | None, ...]
    rarities: tuple[Rarity, ...]

    def levels(self, a: Rows, b: Rows, threads: int = 1, bar: Bar | None = None) -> Levels:
        """Levels of rows a[k] and b[k]: int8 of shape (pairs, columns); 0 a cell is empty, 1 differ, 2… alike, `Measure.exact` equal.

        Of a pair that cannot pass the bar any more, the cells that were not read yet are 1.
        """
        levels = np.empty((len(a), len(self.measures)), np.int8)
        tasks = [slice(k, k + _CHUNK) for k in range(0, len(a), _CHUNK)]

        def work(part: slice) -> None:
            self._fill(a[part], b[part], levels[part], bar)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, tasks))
        return levels

    def _fill(self, a: Rows, b: Rows, levels: Levels, bar: Bar | None) -> None:
        exact = np.array([m.exact if m else 0 for m in self.measures], np.int8)
        rows, left, right = _sides(a, b, self.records.rows)
        part = self.records.subset(rows)
        _equal(part.prints, left, right, exact, levels)
        hopes = np.zeros(len(a), np.float32) if bar is None else bar.hopes(levels)
        for column in self._cheapest_first():
            measure, worth = self.measures[column], hopes > (-1 if bar is None else bar.least)
            if measure is not None and len(read := np.flatnonzero((levels[:, column] == 1) & worth)):
                found = self._measured(part, left[read], right[read], column, measure)
                levels[read, column] = found
                if bar is not None:
                    hopes[read] += bar.gains[column, found] - bar.best[column]

    def _cheapest_first(self) -> list[int]:
        """The columns by the mean length of their cells."""
        cells, _, characters, _ = self.records.counts.T
        return [int(c) for c in np.argsort(characters / np.maximum(cells, 1), kind="stable")]

    def _measured(self, part: Records, a: Rows, b: Rows, column: int, measure: Measure) -> NDArray[np.int8]:
        rows, left, right = _sides(a, b, part.rows)
        text = part.gather(rows, column)
        best = np.ones(len(a), np.int8)
        for yardstick in measure.yardsticks:
            scores = SCORERS[yardstick.scorer](text, left, right, yardstick, self.rarities[column])
            np.maximum(
                best, 1 + np.searchsorted(np.array(yardstick.thresholds, np.float32), scores, side="right"), out=best, casting="unsafe"
            )
        return best


@dataclass(frozen=True, slots=True)
class WholeRows:
    """Likeness of rows as one text: the cells of some columns joined by blanks, cosine of grams by their rarity among the rows counted."""

    records: Records
    columns: NDArray[np.int64]
    weights: NDArray[np.int32]

    @classmethod
    def counted(cls, records: Records, columns: Sequence[int], rows: Rows) -> WholeRows:
        """The rarity of grams is counted in the given rows."""
        chosen = np.array(columns, np.int64)
        return cls(records, chosen, grams.rarity(*grams.frequencies(records.subset(rows).joined(np.arange(len(rows)), chosen))))

    def similarity(self, a: Rows, b: Rows, threads: int = 1) -> Scores:
        """Cosine of rows a[k] and b[k], 0-1, of shape (pairs,)."""
        scores = np.empty(len(a), np.float32)

        def work(first: int) -> None:
            one, other = a[first : first + _CHUNK], b[first : first + _CHUNK]
            rows, left, right = _sides(one, other, self.records.rows)
            text = self.records.subset(rows).joined(np.arange(len(rows)), self.columns)
            scores[first : first + _CHUNK] = grams.cosine(text, left, right, self.weights)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(0, len(a), _CHUNK)))
        return scores


def _sides(a: Rows, b: Rows, rows: int) -> tuple[Rows, Rows, Rows]:
    """The rows to read for pairs, and where both sides of each are among them: of a small table all, else the left ones that follow
    each other once, and every right one.
    """
    if rows <= min(_WHOLE, len(a)):
        return np.arange(rows), a, b
    lefts = np.concatenate([[True], a[1:] != a[:-1]])
    left = np.cumsum(lefts) - 1
    return np.concatenate([a[lefts], b]), left, np.arange(left[-1] + 1, left[-1] + 1 + len(b))


def measures(kinds: Sequence[str]) -> tuple[Measure | None, ...]:
    """The measure of each kind of column; None for an empty one."""
    return tuple(MEASURES.get(kind) for kind in kinds)


def rarities(records: Records, measures: Sequence[Measure | None], rows: Rows) -> tuple[Rarity, ...]:
    """How rare grams are in the columns whose measure asks for it, counted in the given rows."""
    part = records.subset(rows)
    return tuple(_rarity(part, column) if measure and measure.by_grams else None for column, measure in enumerate(measures))


def _rarity(part: Records, column: int) -> NDArray[np.int32]:
    return grams.rarity(*grams.frequencies(part.gather(np.arange(part.rows), column)))


def _edits(text: Text, left: Rows, right: Rows, yardstick: Yardstick, rarity: Rarity) -> Scores:
    return similarity.edits(squeezed(text), left, right, int(-yardstick.thresholds[0]))


def _jaro(text: Text, left: Rows, right: Rows, yardstick: Yardstick, rarity: Rarity) -> Scores:
    return similarity.jaro(text, left, right)


def _token_sort(text: Text, left: Rows, right: Rows, yardstick: Yardstick, rarity: Rarity) -> Scores:
    return similarity.ratio(similarity.sorted_tokens(text), left, right, yardstick.thresholds[0])


def _grams(text: Text, left: Rows, right: Rows, yardstick: Yardstick, rarity: Rarity) -> Scores:
    assert rarity is not None
    return grams.cosine(text, left, right, rarity)


SCORERS: Final[Mapping[str, Callable[[Text, Rows, Rows, Yardstick, Rarity], Scores]]] = {
    "edits": _edits,  # minus the edits, blanks left out
    "jaro": _jaro,  # Jaro-Winkler
    "token_sort": _token_sort,  # longest common subsequence of the sorted tokens
    "grams": _grams,  # cosine of 3-grams weighted by rarity
}


def all_pairs(rows: int) -> Iterator[tuple[Rows, Rows]]:
    """Every pair a < b of the first `rows` rows, in order, some rows at a time."""
    step = max(1, (1 << 20) // max(rows, 1))
    for first in range(0, rows, step):
        last = min(first + step, rows)
        counts = rows - 1 - np.arange(first, last)
        a = np.repeat(np.arange(first, last), counts)
        yield a, np.arange(len(a)) - np.repeat(np.cumsum(counts) - counts, counts) + a + 1


@kernel
def _equal(prints: Any, a: Any, b: Any, exact: Any, levels: Any) -> None:
    """0 where a cell is empty or the column is left out, `exact` where they are equal, 1 where they differ."""
    for k in range(len(a)):
        for c in range(len(exact)):
            x, y = prints[a[k], c], prints[b[k], c]
            empty = x == 0 or y == 0 or exact[c] == 0
            levels[k, c] = 0 if empty else exact[c] if x == y else 1
