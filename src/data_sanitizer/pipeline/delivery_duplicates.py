"""The duplicates of a delivery: rows that were delivered before, and rows that are alike, here or in an earlier delivery.

Rows are searched as they were read, all that the dataset has (beyond a limit: `delivery_index`) and in the order of their keys: so what
is found depends on which rows were delivered, and on nothing else. How a cell is cleaned depends on the delivery it came in, so it must
not count here; that rows are the same after cleaning does count for what is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.entities import joined
from data_sanitizer.duplicates.exact import ExactDuplicates, KeyFile
from data_sanitizer.model import Key
from data_sanitizer.pipeline import delivery_index, duplicates
from data_sanitizer.pipeline.delivered_rows import Stored, all_rows, first_equal, places_of
from data_sanitizer.pipeline.delivery_index import Asked, Delivered
from data_sanitizer.pipeline.duplicates import Found, Left, Near, Rows
from data_sanitizer.pipeline.pass1 import Survey, in_order
from data_sanitizer.pipeline.pass2 import CleanBlock
from data_sanitizer.pipeline.places import Places
from data_sanitizer.recipe import Recipe

if TYPE_CHECKING:
    from data_sanitizer.duplicates.found import NearDuplicates


@dataclass(frozen=True, slots=True)
class Same:
    """Which rows say the same. Rows of the run count from 0, those stored follow them."""

    height: int  # rows of the run
    unit: Rows  # (height,) the first row that says the same as it was read: a stored one, if there is one; -1 where it says nothing
    stands: Rows  # (height + stored,) the row that stands for each, which says the same here or after cleaning
    exact: ExactDuplicates

    @property
    def new(self) -> Rows:
        """The rows that say what no row before said, ascending."""
        return np.flatnonzero(self.unit == np.arange(self.height))


def same_rows(raw: Key, said: KeyFile, stored: Stored) -> Same:
    """Compare the keys of all rows, as read and as cleaned, with one another and with those stored."""
    height, size = len(raw), len(stored)
    cleaned = np.concatenate([np.zeros((0, 2), np.uint64), *(keys.copy() for _, keys in said.blocks())])
    by_raw, by_said = _first(stored.keys, raw), _first(stored.said, cleaned)
    own = np.arange(size, size + height)  # stored rows first, so that they are the first of equal ones
    points = np.concatenate([np.arange(size), np.where(by_raw < own, by_raw, by_said)])
    while not np.array_equal(points, points[points]):
        points = points[points]
    points = np.where(points < size, stored.kept[np.minimum(points, max(size - 1, 0))] if size else points, points)
    points = np.where(np.arange(size + height) < size, np.arange(size + height), points)
    turned = np.concatenate([np.arange(height, height + size), np.arange(height)])  # from stored first to run first
    stands = np.empty(size + height, np.int64)
    stands[turned] = turned[points]
    unit = np.where(raw.any(axis=1), turned[by_raw], -1)
    rows = np.flatnonzero(stands[:height] != np.arange(height))
    return Same(height, unit, stands, ExactDuplicates(rows, stands[rows]))


def _first(stored: Key, keys: Key) -> Rows:
    """For each key the first equal one, stored ones counted first; a key of a row that says nothing equals none."""
    first = first_equal(np.concatenate([stored, keys]))[len(stored) :]
    return np.where(keys.any(axis=1), first, np.arange(len(stored), len(stored) + len(keys)))


@dataclass(frozen=True, slots=True)
class Search:
    """What near-duplicates were found among all rows of the dataset, by their place in the order of the keys."""

    found: NearDuplicates | None
    columns: tuple[str, ...]
    exact: NDArray[np.int8]
    unsought: str
    rows: Rows  # (places,) the row at each place: of the run, or stored
    knowledge: bytes | None = None  # what was learned of all rows, where they were searched
    asked: Asked | None = None  # where the index found the rows to search


def search(every: Delivered, columns: Sequence[str], apart: Key, recipe: Recipe, scratch: Path, memory: int, threads: int) -> Search:
    """Seek near-duplicates among all rows of the dataset; where they are too many, among those that its index finds."""
    stored, new, height, told = every.stored, every.new, every.height, recipe.duplicates
    keys = np.concatenate([stored.keys, new.keys])
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    rows = np.concatenate([np.arange(height, height + len(stored)), new.ordinals])[order]
    nothing = Search(None, (), np.zeros(0, np.int8), "", rows)
    if not (told.near and not told.key and columns and len(rows) > 1):
        return nothing
    unsought = duplicates.beyond(len(rows), memory)
    if len(stored) and (unsought or len(rows) > (told.at_once or len(rows))):
        del keys, order, rows
        return _by_index(every, apart, scratch, memory, threads, unsought)
    if unsought:
        return replace(nothing, unsought=unsought)
    pairs = places_of(keys[order], apart)
    del keys, order
    return replace(_sought(every, sorted(columns), pairs, scratch, threads), rows=rows)


def _by_index(every: Delivered, apart: Key, scratch: Path, memory: int, threads: int, why: str) -> Search:
    asked = delivery_index.search(every, apart, scratch, memory, threads)
    columns, levels = asked.compared
    unsought = "; ".join(filter(None, [why, asked.unsought])) if asked.unsought else ""
    return Search(asked.found, columns, levels, unsought, asked.rows, asked.knowledge, asked)


def _sought(every: Delivered, columns: Sequence[str], apart: Rows, scratch: Path, threads: int) -> Search:
    from data_sanitizer.duplicates import near
    from data_sanitizer.duplicates.comparison import measures
    from data_sanitizer.duplicates.records import RecordFile, prepare

    folder = scratch / "near"
    folder.mkdir()
    file = RecordFile(folder)
    for _, part in in_order(all_rows(every.dataset, every.stored, every.new, columns), prepare, threads):
        file.add(part)
    records, learned = file.finish(), list[bytes]()
    found = near.find(records, folder, threads, apart, lambda known: learned.append(known.packed()))
    levels = np.array([m.exact if m else 0 for m in measures(records.kinds)], np.int8)
    return Search(found, records.columns, levels, "", np.zeros(0, np.int64), b"".join(learned))


def told(sought: Search, same: Same, stored: Stored, blocks: Sequence[CleanBlock], survey: Survey, recipe: Recipe) -> Found:
    """What it means for the rows of this run: which belong together, which go, and what is kept for them."""
    aside = np.array([b.source.first + i.row for b in blocks for i in b.stored.quarantined()], np.int64)
    gone = np.sort(np.concatenate([same.exact.rows, aside]))
    left = Left(gone, same.height + len(stored) - len(gone))
    near = None if sought.found is None else Near(_here(sought.found, sought, same, stored, left), sought.columns, sought.exact)
    removed = duplicates.to_remove(same.exact, left, near) if recipe.duplicates.remove else duplicates.none_removed()
    return Found(same.exact, left, near, sought.unsought, *removed, Places(survey.sources, stored.labels, stored.source, stored.row))


def _here(found: NearDuplicates, sought: Search, same: Same, stored: Stored, left: Left) -> NearDuplicates:
    """The same findings by the rows left: pairs and clusters of which some row is of this run.

    Rows that were searched apart may be the same after cleaning: they are one row here, and their clusters are one.
    """
    places = left.places(np.where(sought.rows < same.height, same.stands[sought.rows], sought.rows))
    run = int(left.places(np.array([same.height]))[0])  # places of this run come before it
    height = left.height
    several = places[found.members]
    clusters = joined(height, np.tile(several, 2), places[np.concatenate([found.labels, found.keepers])])
    sure = joined(height, several, places[found.keepers])
    touched = np.zeros(height, np.bool_)
    touched[clusters[:run]] = True
    members = np.unique(several)
    members = members[touched[clusters[members]]]
    members = members[np.bincount(clusters[members], minlength=height)[clusters[members]] > 1] if len(members) else members
    keepers = _keepers(found, places, sure, members, stored, run, same.height, left)
    a, b = np.sort(np.stack([places[found.a], places[found.b]]), axis=0)
    order = np.lexsort((-found.confidences, b, a))
    order = order[(a[order] < run) & (a[order] != b[order])]
    first = np.concatenate([[True], (np.diff(a[order]) != 0) | (np.diff(b[order]) != 0)]) if len(order) else np.zeros(0, np.bool_)
    kept = order[first]
    return replace(found, a=a[kept], b=b[kept], confidences=found.confidences[kept], related=found.related[kept], levels=found.levels[kept],
                   bits=found.bits[kept], rows=height, members=members, labels=clusters[members], keepers=keepers)  # fmt: skip


def _keepers(found: NearDuplicates, places: Rows, sure: Rows, members: Rows, stored: Stored, run: int, height: int, left: Left) -> Rows:
    """The row kept for each member: where its entity came before, the row that was kept then; else the best of this run."""
    chosen = np.arange(len(sure))
    best = places[found.keepers]
    chosen[sure[best[::-1]]] = best[::-1]  # of several, that of the first member
    earlier = members[members >= run]  # ascending, in the order in which they were delivered
    rows = left.rows(earlier) - height
    groups, first = np.unique(sure[earlier], return_index=True)
    chosen[groups] = left.places(height + stored.kept[rows[first]]) if len(groups) else groups
    alone = np.bincount(sure[members], minlength=len(sure))[sure[members]] == 1
    return np.where((members >= run) | alone, members, chosen[sure[members]])
