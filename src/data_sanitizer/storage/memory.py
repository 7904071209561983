"""An index of signatures in the memory of the process: the embedded default, and what stands in for Milvus when that is away.

Signatures are found by bands (`duplicates.lsh`) and compared whole. It needs about 900 bytes a row of the datasets that are in use; `scan`
needs none, and passes over all that is stored at each search.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.errors import VectorsUnavailable
from data_sanitizer.model import Candidates, Samples

BAND: Final = 4  # numbers in a band: of 128 numbers, 32 bands find a similarity of 0.5 with 0.87, of 0.7 with 0.9998
_DATASETS: Final = 4  # datasets kept at a time; one that was not asked for the longest goes
_QUERIES: Final = 4096  # asked at a time: bounds the memory for pairs
_SHARED: Final = 64  # rows of a band of equal numbers that a signature is compared with: in a crowd the first ones stand for all
_SCANNED: Final = 1 << 18  # signatures sought in one pass over what is stored
_PAIRS: Final = 1 << 20  # pairs held until those beyond the limit are forgotten


@dataclass(slots=True)
class _Index:
    """The signatures of one dataset; the bands are sorted when they are first asked for."""

    batches: dict[tuple[int, int], Samples] = field(default_factory=dict)
    hashes: NDArray[np.uint64] | None = None
    signatures: NDArray[np.uint32] | None = None
    keys: NDArray[np.uint64] | None = None  # (bands, n) sorted
    rows: NDArray[np.int32] | None = None  # (bands, n) the row of each


class MemoryVectors:
    """Signatures in memory, as `ports.Vectors`."""

    def __init__(self) -> None:
        self._indexes: OrderedDict[tuple[str, str], _Index] = OrderedDict()
        self._lock = threading.RLock()

    def _index(self, tenant: str, dataset: str) -> _Index:
        index = self._indexes.setdefault((tenant, dataset), _Index())
        self._indexes.move_to_end((tenant, dataset))
        while len(self._indexes) > _DATASETS:
            self._indexes.popitem(last=False)
        return index

    def held(self, tenant: str, dataset: str) -> dict[tuple[int, int], int]:
        """(delivery, chunk) of what it holds, with the number of signatures."""
        with self._lock:
            return {place: len(batch.hashes) for place, batch in self._index(tenant, dataset).batches.items()}

    def upsert(self, tenant: str, batch: Samples) -> None:
        """Add a chunk, or put it in the place of what it held of it."""
        with self._lock:
            index = self._index(tenant, batch.dataset)
            index.batches[batch.delivery, batch.chunk] = batch
            index.keys = None

    def delete(self, tenant: str, dataset: str, delivery: int | None) -> None:
        """Forget a delivery, or the dataset."""
        with self._lock:
            index = self._index(tenant, dataset)
            index.batches = {p: b for p, b in index.batches.items() if delivery is not None and p[0] != delivery}
            index.keys = None

    def search(self, tenant: str, dataset: str, signatures: NDArray[np.uint32], limit: int, threshold: float, expected: int) -> Candidates:
        """The most similar signatures."""
        with self._lock:
            index = self._index(tenant, dataset)
            count = sum(len(b.hashes) for b in index.batches.values())
            if count != expected:
                raise VectorsUnavailable(why=f"it holds {count} of {expected} signatures")
            if not count:
                return best([], limit)
            _sort(index)
            found = [_search(index, signatures[k : k + _QUERIES], k, threshold) for k in range(0, len(signatures), _QUERIES)]
        return best(found, limit)


def _sort(index: _Index) -> None:
    if index.keys is not None:
        return
    from data_sanitizer.duplicates import lsh

    places = sorted(index.batches)
    index.hashes = np.concatenate([index.batches[p].hashes for p in places])
    index.signatures = np.concatenate([index.batches[p].signatures for p in places])
    end = 0
    for place in places:  # each batch becomes a view of the whole, so that nothing is held twice
        batch, start = index.batches[place], end
        end += len(batch.hashes)
        views = index.hashes[start:end], index.signatures[start:end]
        index.batches[place] = Samples(batch.dataset, batch.delivery, batch.chunk, *views)
    keys = lsh.bands(index.signatures, BAND)
    index.rows = np.argsort(keys, axis=1, kind="stable").astype(np.int32)
    index.keys = np.take_along_axis(keys, index.rows, axis=1)


Found = tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.float64]]  # queries, hashes, similarity


def _search(index: _Index, signatures: NDArray[np.uint32], first: int, threshold: float) -> Found:
    from data_sanitizer.duplicates import lsh  # compiled kernels: only who searches waits for them
    from data_sanitizer.duplicates.minhash import similarity

    assert index.hashes is not None and index.signatures is not None and index.keys is not None and index.rows is not None  # noqa: PT018
    asked = lsh.bands(signatures, BAND)
    pairs = [_equal(*band) for band in zip(asked, index.keys, index.rows, strict=True)]
    packed = np.unique(np.concatenate(pairs))
    queries, rows = packed >> 32, packed & 0xFFFFFFFF
    alike = similarity(signatures[queries], index.signatures[rows])
    enough = alike >= threshold
    return queries[enough] + first, index.hashes[rows[enough]], alike[enough]


def scan(batches: Callable[[], Iterable[Samples]], signatures: NDArray[np.uint32], limit: int, threshold: float) -> Candidates:
    """What a search finds in batches that are held one at a time; each call of `batches` gives all of them."""
    found: list[Found] = []
    for first in range(0, len(signatures), _SCANNED):
        some = signatures[first : first + _SCANNED]
        numbers = np.arange(first, first + len(some), dtype=np.uint64)
        sought = _Index({(0, 0): Samples("", 0, 0, np.stack([np.zeros_like(numbers), numbers], axis=1), some)})
        _sort(sought)
        for batch in batches():
            for k in range(0, len(batch.hashes), _QUERIES):
                rows, asked, alike = _search(sought, batch.signatures[k : k + _QUERIES], k, threshold)
                found.append((asked[:, 1].astype(np.int64), batch.hashes[rows], alike))
            if sum(len(queries) for queries, _, _ in found) > _PAIRS:
                kept = best(found, limit)
                found = [(kept.queries, kept.hashes, kept.similarity)]
    return best(found, limit)


def _equal(asked: NDArray[np.uint64], keys: NDArray[np.uint64], rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """Pairs that agree in one band, each as query << 32 | row; the key 0 agrees with nothing."""
    low, high = np.searchsorted(keys, asked, "left"), np.searchsorted(keys, asked, "right")
    counts = np.where(asked == 0, 0, np.minimum(high - low, _SHARED))
    queries = np.repeat(np.arange(len(asked), dtype=np.int64), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    pairs: NDArray[np.int64] = queries << 32 | rows[np.repeat(low, counts) + within].astype(np.int64)
    return pairs


def best(found: list[Found], limit: int) -> Candidates:
    """The pairs in order, without a second mention of a row, at most `limit` a query."""
    if not found:
        return Candidates(np.empty(0, np.int64), np.empty((0, 2), np.uint64), np.empty(0))
    queries, hashes, alike = (np.concatenate(side) for side in zip(*found, strict=True))
    order = np.lexsort((hashes[:, 1], hashes[:, 0], -alike, queries))
    queries, hashes, alike = queries[order], hashes[order], alike[order]
    again = np.zeros(len(queries), np.bool_)
    again[1:] = (queries[1:] == queries[:-1]) & (hashes[1:] == hashes[:-1]).all(axis=1)
    queries, hashes, alike = queries[~again], hashes[~again], alike[~again]
    starts = np.maximum.accumulate(np.where(np.diff(queries, prepend=-1) != 0, np.arange(len(queries)), 0)) if len(queries) else queries
    kept = np.arange(len(queries)) - starts < limit
    return Candidates(queries[kept], hashes[kept], alike[kept])
