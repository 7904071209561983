"""Near-duplicates of a delivery in a dataset of which not all rows can be searched: earlier rows are found by their signatures.

Rows are judged as they are where all are searched, with what was learned of the dataset then: the new ones, the earlier ones that the
index holds to be alike, and with each of those all rows of its entity. What was found before stays: entities gain rows and are merged,
never split.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.duplicates.entities import joined
from data_sanitizer.model import Candidates, Key, Samples
from data_sanitizer.pipeline import duplicates
from data_sanitizer.pipeline.delivered_rows import NewRows, Stored, all_rows, first_equal, places_of
from data_sanitizer.pipeline.duplicates import Rows
from data_sanitizer.pipeline.pass1 import in_order
from data_sanitizer.ports import Dataset

if TYPE_CHECKING:
    from data_sanitizer.duplicates.found import NearDuplicates
    from data_sanitizer.duplicates.knowledge import Knowledge
    from data_sanitizer.duplicates.records import Records

_MOST: Final = 10  # earlier rows that a new one is compared with, beside the other rows of their entities
_ALIKE: Final = 0.3  # share of equal numbers in two signatures from which on rows are compared
_TOLD: Final = 20  # sure pairs from which on it is said how many of them the index would have found
_SURE: Final = 0.99
_NO_LEVELS: Final = np.zeros(0, np.int8)
_UNKNOWN: Final = "the dataset has more rows than are searched at once, and nothing was learned of it that earlier rows could be judged by"
_DRY: Final = "the dataset has more rows than are searched at once, and a run that changes nothing cannot bring its index up to date"


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking the index. `groups` has the first row of the entity of each row by age: those stored, then the new ones."""

    groups: Rows
    rows: Rows  # those that were compared, in the order of their keys: of the run, or stored (counted on from the run's)
    found: NearDuplicates | None
    unsought: str
    knowledge: bytes | None = None
    told: Mapping[str, object] | None = None
    signatures: Path | None = None  # of the new rows, ascending by key
    compared: tuple[tuple[str, ...], NDArray[np.int8]] = (), _NO_LEVELS  # columns, and the level of equal cells in each


@dataclass(frozen=True, slots=True)
class Delivered:
    """All rows there are: those stored, and the new ones of delivery `no`, whose run has `height` rows."""

    dataset: Dataset
    no: int
    stored: Stored
    new: NewRows
    height: int

    def ages(self, rows: Rows) -> Rows:
        """The age of rows of the run and stored ones."""
        here = len(self.stored) + np.searchsorted(np.sort(self.new.ordinals), rows)
        return np.where(rows >= self.height, rows - self.height, here)

    def groups(self, rows: Rows, others: Rows) -> Rows:
        """The entities there were, and what ties rows to others."""
        known = first_equal(self.stored.entities)
        one = np.concatenate([np.arange(len(known)), self.ages(rows)])
        return joined(len(known) + len(self.new.ordinals), one, np.concatenate([known, self.ages(others)]))


def search(every: Delivered, apart: Key, scratch: Path, memory: int, threads: int) -> Asked:
    """Seek near-duplicates of the new rows, among them and among the earlier ones that the index finds."""
    from data_sanitizer.duplicates.knowledge import unpacked

    none = np.zeros(0, np.int64)
    nothing = Asked(every.groups(none, none), none, None, "")
    if not len(every.new.ordinals):
        return nothing
    data = every.dataset.knowledge(every.no)
    known = unpacked(data) if data else None
    if known is None:
        return replace(nothing, unsought=_UNKNOWN)
    columns, held = every.dataset.index.opened(known.names)
    if held is None:
        return replace(nothing, unsought=_DRY)
    _fill(every, columns, held, threads)
    signatures = _sign(every.new, columns, scratch / "signatures", threads)
    candidates = every.dataset.index.similar(signatures, _MOST, _ALIKE, every.no)
    wanted, earlier = _wanted(every.stored, candidates)
    if unsought := duplicates.beyond(int(wanted.sum()) + len(every.new.ordinals), memory):
        return replace(nothing, unsought=unsought)
    return _compared(every, known, candidates, wanted, earlier, apart, signatures, scratch, threads)


def _frame(data: bytes | Path, columns: Sequence[str]) -> pl.DataFrame:
    """The cells of a part in some columns; empty in one that it has not."""
    frame = pl.read_ipc(data if isinstance(data, Path) else io.BytesIO(data))
    return frame.select([pl.col(c) if c in frame.columns else pl.lit(None, pl.String).alias(c) for c in columns])


def _fill(every: Delivered, columns: Sequence[str], held: Mapping[tuple[int, int], int], threads: int) -> None:
    """Sign the earlier rows that are not signed yet."""
    from data_sanitizer.duplicates import signing

    missing = [(place, keys) for place, keys in every.stored.laid(every.stored.keys) if held.get(place) != len(keys)]
    parts = ((place, keys, every.dataset.cells(*place)) for place, keys in missing)
    for (place, keys, _), found in in_order(parts, lambda part: signing.signatures(_frame(part[2], columns)), threads):
        every.dataset.index.add(Samples("", *place, keys, found))


def _sign(new: NewRows, columns: Sequence[str], path: Path, threads: int) -> NDArray[np.uint32]:
    """The signatures of the new rows, in a file."""
    from data_sanitizer.duplicates import signing

    with path.open("wb") as file:
        for _, found in in_order(iter(new.files), lambda part: signing.signatures(_frame(part, columns)), threads):
            found.tofile(file)
    shape = len(new.ordinals), signing.NUMBERS
    return np.memmap(path, np.uint32, "c", shape=shape)


def _wanted(stored: Stored, found: Candidates) -> tuple[NDArray[np.bool_], Rows]:
    """The stored rows of entities of which the index found a row, and the row of each candidate (the number of rows where it is gone)."""
    rows = first_equal(np.concatenate([stored.keys, found.hashes]))[len(stored) :]
    rows = np.minimum(rows, len(stored))
    chosen, entity = np.zeros(len(stored), np.bool_), first_equal(stored.entities)
    chosen[entity[rows[rows < len(stored)]]] = True
    return chosen[entity], rows


def _compared(every: Delivered, known: Knowledge, candidates: Candidates, wanted: NDArray[np.bool_], earlier: Rows, apart: Key,
              signatures: NDArray[np.uint32], scratch: Path, threads: int) -> Asked:  # fmt: skip
    from data_sanitizer.duplicates import near
    from data_sanitizer.duplicates.comparison import measures

    old, stored = np.flatnonzero(wanted), every.stored
    keys = np.concatenate([stored.keys[old], every.new.keys])
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    rows = np.concatenate([every.height + old, every.new.ordinals])[order]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    records = _records(every, known, wanted, scratch, threads)
    news = place[len(old) :]
    known = known.grown([records.prints_of(np.sort(news))], len(news))
    there = earlier < len(stored)
    pairs = np.sort(np.stack([news[candidates.queries[there]], place[np.searchsorted(old, earlier[there])]]), axis=0)
    packed = np.unique(pairs[0].astype(np.uint64) << np.uint64(32) | pairs[1].astype(np.uint64))
    found = near.find_known(records, scratch / "near", known, packed, news, threads, places_of(keys[order], apart))
    kept, groups = _tied(every, rows, found, apart)
    told = {"rows": len(rows), "candidates": len(packed), "reach": _reach(found, news, signatures), "degraded": candidates.degraded}
    levels = np.array([m.exact if m else 0 for m in measures(known.kinds)], np.int8)
    return Asked(groups, rows, kept, "", known.packed(), told, scratch / "signatures", (known.columns, levels))


def _records(every: Delivered, known: Knowledge, wanted: NDArray[np.bool_], scratch: Path, threads: int) -> Records:
    from data_sanitizer.duplicates.records import RecordFile, prepare

    folder = scratch / "near"
    folder.mkdir()
    file = RecordFile(folder)
    for _, part in in_order(all_rows(every.dataset, every.stored, every.new, known.columns, wanted), prepare, threads):
        file.add(part)
    return file.finish()


def _tied(every: Delivered, rows: Rows, found: NearDuplicates, apart: Key) -> tuple[NearDuplicates, Rows]:
    """What was found, as far as it says something of a new row and joins nothing that was set apart; and the entities that it gives."""
    new = np.zeros(len(rows), np.bool_)
    new[found.kept[rows < every.height]] = True
    kept = replace(found, keepers=np.where(new[found.keepers], found.keepers, found.members))
    groups = every.groups(rows[kept.members], rows[kept.keepers])
    one, other = places_of(every.stored.keys, apart).T
    broken = np.unique(groups[one[groups[one] == groups[other]]])
    if len(broken):
        loose = np.isin(groups[every.ages(rows[kept.members])], broken)
        kept = replace(kept, keepers=np.where(loose, kept.members, kept.keepers))
        groups = every.groups(rows[kept.members], rows[kept.keepers])
    return kept, groups


def _reach(found: NearDuplicates, news: Rows, signatures: NDArray[np.uint32]) -> float | None:
    """Of the sure pairs of new rows, which are found without the index, the share that it would have found; None of too few."""
    from data_sanitizer.duplicates import minhash

    number = np.full(found.rows, -1)
    number[news] = np.arange(len(news))
    a, b = number[found.a], number[found.b]
    chosen = (a >= 0) & (b >= 0) & (found.confidences >= _SURE)
    if chosen.sum() < _TOLD:
        return None
    return round(float((minhash.similarity(signatures[a[chosen]], signatures[b[chosen]]) >= _ALIKE).mean()), 3)


def keep(asked: Asked, no: int, new: NewRows, dataset: Dataset) -> None:
    """Add the new rows to the index, when they are part of the dataset."""
    from data_sanitizer.duplicates import signing

    if asked.signatures is None:
        return
    signatures = np.memmap(asked.signatures, np.uint32, "r", shape=(len(new.ordinals), signing.NUMBERS))
    for part, (a, b) in enumerate(new.bounds()):
        dataset.index.add(Samples("", no, part, new.keys[a:b], np.array(signatures[a:b])))
