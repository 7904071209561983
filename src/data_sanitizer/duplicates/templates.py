"""Templates: which views of which columns, taken together, bring the duplicates of this very table together.

A template is one to three views of different columns; rows that agree on all of them become candidates. Templates are chosen on a
sample by self-supervision: views that survive when a copy of a row is damaged, against the pairs per row that they would give. The
sample is the rows with the least content hashes, so that it does not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates import tokens
from data_sanitizer.duplicates.cells import Text, finish, normalise
from data_sanitizer.duplicates.corruption import damaged
from data_sanitizer.duplicates.pairs import LONGEST_RUN, NEIGHBOURS, keys, run_pairs
from data_sanitizer.duplicates.records import Records
from data_sanitizer.duplicates.views import RARE, VIEWS, views
from data_sanitizer.kernels import kernel

SAMPLE: Final = 10_000
_DAMAGED: Final = 3000  # rows of the sample of which a damaged copy is made
_SHARES: Final = (0.3, 0.5)  # of the cells that are damaged, in every other row
_WIDEST: Final = 72  # views that are tried together: 2,556 pairs
_TRIPLES: Final = 3000
_SLOTS: Final = 1 << 16
_PRICE: Final = 0.15  # pairs per row that making, sorting and keeping the keys of a template is worth
_LEAST: Final = 0.002  # gain of a template worth its price
_HASTE: Final = 4e-8  # gain over cost a row below which a template is left out, at most _HURRY: of many rows the time matters more
_HURRY: Final = 0.02
Template = tuple[tuple[int, str], ...]  # column and view


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates chosen, in the order of their use."""

    chosen: tuple[Template, ...]
    pairs: tuple[float, ...]  # expected pairs per row of each
    coverage: float  # share of damaged rows that would meet their origin
    frequencies: dict[int, tokens.Frequencies]  # of the tokens of columns whose rarest tokens are viewed


@dataclass(frozen=True, slots=True)
class _Views:
    """The views of the sample: arrays of shape (views, sample), and whether each survives in the damaged rows, (views, damaged)."""

    names: tuple[tuple[int, str], ...]
    hashes: NDArray[np.uint64]
    intact: NDArray[np.bool_]
    frequencies: dict[int, tokens.Frequencies]


def sample(contents: NDArray[np.uint64], size: int = SAMPLE) -> NDArray[np.int64]:
    """The rows with the least content hashes, in that order; of rows with equal content, all or some."""
    size = min(size, len(contents))
    rows = np.argpartition(contents, size - 1)[:size] if size else np.zeros(0, np.int64)
    return rows[np.argsort(contents[rows], kind="stable")].astype(np.int64)


def choose(records: Records, columns: Sequence[int], budget: float = 8.0, most: int = 32) -> Templates:
    """Templates over the given columns: at most `most`, with at most `budget` expected pairs per row together."""
    seen = _views(records.subset(sample(records.contents)), columns)
    tried = list(_tried(seen, records.rows))
    if not tried:
        return Templates((), (), 0.0, seen.frequencies)
    members = np.full((len(tried), 3), -1, np.int32)
    for k, template in enumerate(tried):
        members[k, : len(template)] = template
    costs, covers = _evaluated(seen, members, records.rows)
    chosen, coverage = _greedy(seen, tried, costs, covers, records.rows, budget, most)
    names = tuple(tuple(seen.names[v] for v in tried[k]) for k in chosen)
    return Templates(names, tuple(float(costs[k]) for k in chosen), coverage, seen.frequencies)


def _views(part: Records, columns: Sequence[int]) -> _Views:
    names: list[tuple[int, str]] = []
    hashes, intact, frequencies = [], [], {}
    for column in columns:
        wanted = VIEWS[part.kinds[column]]
        text = part.gather(np.arange(part.rows), column)
        if set(wanted) & set(RARE):
            frequencies[column] = tokens.frequencies(text)
        known = frequencies.get(column)
        found = views(text, part.prints[:, column], wanted, known)
        copy = _damaged(text, part.contents, column)
        after = views(copy, normalise(copy).fingerprints, wanted, known)
        for name in found:
            names.append((column, name))
            hashes.append(found[name])
            intact.append((found[name][: len(after[name])] == after[name]) & (after[name] != 0))
    return _Views(tuple(names), np.array(hashes), np.array(intact), frequencies)


def _damaged(text: Text, contents: NDArray[np.uint64], column: int) -> Text:
    """A damaged copy of the first rows of the sample: less damage in the first half, more in the second."""
    n = min(_DAMAGED, len(contents))
    parts = []
    for share, first, last in zip(_SHARES, (0, n // 2), (n // 2, n), strict=True):
        offsets = text.offsets[first : last + 1]
        part = Text(offsets - offsets[0], text.data[offsets[0] : offsets[-1]])
        parts.append(damaged(part, contents[first:last], column, share))
    less, more = parts
    return Text(np.concatenate([less.offsets, more.offsets[1:] + less.offsets[-1]]), np.concatenate([less.data, more.data]))


def _tried(seen: _Views, rows: int) -> Iterator[tuple[int, ...]]:
    """Templates worth trying: every view, pairs of views that are not selective alone, and some triples of the pairs that are not."""
    if not len(seen.names):
        return
    members = np.full((len(seen.names), 3), -1, np.int32)
    members[:, 0] = np.arange(len(members))
    costs, covers = _evaluated(seen, members, rows, capped=False)
    for k in np.flatnonzero(covers.any(axis=1)):
        yield (int(k),)
    broad = [int(k) for k in np.argsort(costs, kind="stable") if 0.05 < costs[k] < 0.2 * rows][:_WIDEST]
    pairs = [(a, b) for a, b in combinations(sorted(broad), 2) if _may_meet(seen, a, b) and costs[a] * costs[b] * 2 / rows < 20]
    yield from pairs
    survival = covers.mean(axis=1)
    wide = [(a, b) for a, b in combinations(sorted(broad), 2) if _may_meet(seen, a, b) and costs[a] * costs[b] * 2 / rows >= 0.5]
    wide.sort(key=lambda p: (-survival[p[0]] * survival[p[1]], p))
    yield from _triples(seen, broad, wide, costs, survival, rows)


def _triples(seen: _Views, broad: list[int], pairs: list[tuple[int, int]], costs: NDArray[np.float64], survival: NDArray[np.float64],
             rows: int) -> Iterator[tuple[int, ...]]:  # fmt: skip
    """The triples that most damaged copies survive, of views that are selective enough together if they are independent."""
    found: set[tuple[int, ...]] = set()
    thirds = sorted(broad, key=lambda v: (-survival[v], v))
    for a, b in pairs:
        for c in thirds:
            alone = costs[a] * costs[b] * costs[c] * 4 / rows**2
            triple = tuple(sorted((a, b, c)))
            if alone < 4 and triple not in found and _may_meet(seen, a, c) and _may_meet(seen, b, c):
                found.add(triple)
                yield triple
        if len(found) >= _TRIPLES:
            return


def _may_meet(seen: _Views, a: int, b: int) -> bool:
    """Views of different columns, or two rare tokens of one."""
    (one, x), (other, y) = seen.names[a], seen.names[b]
    return one != other or (x != y and x in RARE and y in RARE)


def _evaluated(seen: _Views, members: NDArray[np.int32], rows: int, capped: bool = True) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Expected pairs per row of each template, and which damaged rows it would bring to their origin: (templates, damaged)."""
    costs, covers = np.zeros(len(members)), np.zeros((len(members), seen.intact.shape[1]), np.bool_)
    n = seen.hashes.shape[1]
    tags, counts, slots = np.zeros(_SLOTS, np.uint32), np.zeros(_SLOTS, np.int32), np.zeros(n, np.int32)
    _evaluate(seen.hashes, seen.intact, members, rows / n, capped, tags, counts, slots, costs, covers)
    return costs, covers


@kernel
def _evaluate(hashes: Any, intact: Any, members: Any, scale: float, capped: bool, tags: Any, counts: Any, slots: Any, costs: Any,
              covers: Any) -> None:  # fmt: skip
    """A run of c rows of the sample stands for 1 + (c - 1) x scale rows. Four rows and more of the sample make a long run certain."""
    n = hashes.shape[1]
    for t in range(len(members)):
        _group(hashes, members[t], tags, counts, slots)
        total = 0.0
        for k in range(n):
            s = slots[k]
            if s < 0:
                continue
            others = (counts[s] - 1) * scale
            long = capped and counts[s] >= 4 and others >= LONGEST_RUN
            total += NEIGHBOURS if long else others / 2.0
            if k < covers.shape[1]:
                whole = not long
                for v in members[t]:
                    whole = whole and (v < 0 or intact[v, k])
                covers[t, k] = whole
        costs[t] = total / n


@kernel
def _group(hashes: Any, views: Any, tags: Any, counts: Any, slots: Any) -> None:
    """Count the rows of the sample by their key, in an open table; slots[k] is the place of row k, -1 without key."""
    counts[:] = 0
    mask = np.uint64(len(counts) - 1)
    for k in range(len(slots)):
        key = np.uint64(0x1234567)
        for v in views:
            if v >= 0 and key != 0:
                view = hashes[v, k]
                key = finish(key ^ view * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1) if view != 0 else np.uint64(0)
        slots[k] = -1
        if key == 0:
            continue
        place, tag = key >> np.uint64(8) & mask, np.uint32(key >> np.uint64(32))
        while counts[place] > 0 and tags[place] != tag:
            place = (place + np.uint64(1)) & mask
        tags[place] = tag
        counts[place] += 1
        slots[k] = place


@kernel
def _best(covers: Any, worth: Any, costs: Any, order: Any, floor: float, gains: Any) -> int:
    """The template of greatest gain over cost. Gains only fall from round to round: one is worked out anew only where its last value,
    an upper bound, could still win (M. Minoux, Accelerated greedy algorithms, 1978)."""
    best, most = -1, floor
    for t in order:
        if gains[t] / (costs[t] + _PRICE) < most:
            break
        gain = 0.0
        for k in range(covers.shape[1]):
            if covers[t, k]:
                gain += worth[k]
        gains[t] = gain / covers.shape[1]
        score = gains[t] / (costs[t] + _PRICE)
        if gains[t] > _LEAST and (score > most or (score == most and t < best)):
            best, most = t, score
    return best


def _greedy(seen: _Views, tried: list[tuple[int, ...]], costs: NDArray[np.float64], covers: NDArray[np.bool_], rows: int, budget: float,
            most: int) -> tuple[list[int], float]:  # fmt: skip
    """Templates by gain over cost: a damaged row that was met t times before counts 0.25^t.

    What is spent are the pairs of all templates together, each counted once: duplicates meet in many templates, others in few.
    """
    met, chosen, gains = np.zeros(covers.shape[1], np.int64), list[int](), np.ones(len(costs))
    possible, pairs = costs <= budget / 2, np.zeros(0, np.uint64)
    contents = np.arange(seen.hashes.shape[1], dtype=np.uint64)  # the sample is in the order of the content hashes
    scale, floor = rows / len(contents) ** 2, min(_HASTE * rows, _HURRY)
    while len(chosen) < most:
        order = np.flatnonzero(possible)
        order = order[np.argsort(-gains[order] / (costs[order] + _PRICE), kind="stable")]
        best = _best(covers, 0.25**met, costs, order, floor, gains)
        if best < 0:
            break
        possible[best] = False
        union = np.union1d(pairs, run_pairs(keys([seen.hashes[v] for v in tried[best]]), contents))
        if len(union) * scale <= budget:
            chosen.append(best)
            met, pairs = met + covers[best], union
        if (met > 0).mean() > 0.999 and (met > 1).mean() > 0.99:
            break
    return chosen, float((met > 0).mean()) if len(met) else 0.0
