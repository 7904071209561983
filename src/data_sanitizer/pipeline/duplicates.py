"""Which rows are one entity: first those that say the same in every column, then, among those left, near-duplicates."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import zstandard
from numpy.typing import NDArray

from data_sanitizer import extensions, ledger
from data_sanitizer.duplicates import exact
from data_sanitizer.duplicates.exact import ExactDuplicates
from data_sanitizer.pipeline.pass1 import Survey, in_order
from data_sanitizer.pipeline.pass2 import CleanBlock
from data_sanitizer.pipeline.places import Places
from data_sanitizer.ports import Checkpoints
from data_sanitizer.recipe import Plan, Recipe, converts

if TYPE_CHECKING:
    from data_sanitizer.duplicates.found import NearDuplicates

STAGE = "duplicates"  # under which what was found is kept
Rows = NDArray[np.int64]  # rows counted over all sources
_KEYS = 8  # the part of the memory that the keys of exact duplicates may take
_PROGRAM = 300 << 20  # bytes that are set aside for the program and what it works on at a time, and
_A_ROW = 60  # bytes that a row is reckoned to take where near-duplicates are sought
_LEAST = 64 << 20  # bytes for rows: no limit is kept below it


@dataclass(frozen=True, slots=True)
class Left:
    """The rows that are compared with one another: all but those that were set aside or equal an earlier one."""

    gone: Rows  # ascending
    height: int

    def has(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of some rows, ascending, are left."""
        first, last = np.searchsorted(self.gone, rows[[0, -1]] + [0, 1]) if len(rows) else (0, 0)
        return ~np.isin(rows, self.gone[first:last], assume_unique=True)

    def rows(self, places: Rows) -> Rows:
        """The rows at places among those left."""
        before = self.gone - np.arange(len(self.gone))  # how many rows are left before each that is gone
        return np.asarray(places + np.searchsorted(before, places, side="right"))

    def places(self, rows: Rows) -> Rows:
        """The places of rows that are left."""
        return np.asarray(rows - np.searchsorted(self.gone, rows))


@dataclass(frozen=True, slots=True)
class Near:
    """The near-duplicates among the rows left (see `duplicates.found.NearDuplicates`), and how their columns were compared."""

    found: NearDuplicates
    columns: tuple[str, ...]
    exact: NDArray[np.int8]  # the level of equal cells, one a column; 0 where a column was not compared


@dataclass(frozen=True, slots=True)
class Found:
    """All duplicates of a table. `rows` to `confidences` tell of the rows to remove, ascending: which are kept for them, how sure it is."""

    exact: ExactDuplicates
    left: Left
    near: Near | None
    unsought: str  # why near-duplicates were not sought although the recipe says so
    rows: Rows
    survivors: Rows
    alike: NDArray[np.bool_]  # removed as a near-duplicate, not as an exact one
    confidences: NDArray[np.float32]
    places: Places


def find(blocks: Sequence[CleanBlock], survey: Survey, plan: Plan, recipe: Recipe, scratch: Path, memory: int, threads: int) -> Found:
    """Find the duplicates of the rows as cleaning left them, in `memory` bytes: where near-duplicates need more, they are not sought."""
    same = exact.find(survey.keys, memory // _KEYS)
    left = _left(blocks, same, survey)
    columns, near, unsought = recipe.duplicates.columns(list(survey.schema)), None, ""
    if recipe.duplicates.near and not recipe.duplicates.key and left.height > 1 and columns:
        unsought = beyond(left.height, memory)
        near = None if unsought else _near(blocks, left, columns, plan, scratch, threads)
    removed = to_remove(same, left, near) if recipe.duplicates.remove else none_removed()
    return Found(same, left, near, unsought, *removed, Places(survey.sources))


def kept_or_found(
    blocks: Sequence[CleanBlock], survey: Survey, plan: Plan, recipe: Recipe, scratch: Path, memory: int, threads: int,
    kept: Checkpoints | None,
) -> Found:  # fmt: skip
    """What `find` gives: from an earlier attempt where it was kept, and kept for a later one where it took long enough."""
    data = kept.load(STAGE, 0) if kept else None
    if data is not None:
        found: Found = pickle.loads(zstandard.decompress(data))  # noqa: S301  its digest stands in the database
        return found
    begun = time.monotonic()
    found = find(blocks, survey, plan, recipe, scratch, memory, threads)
    if kept and time.monotonic() - begun >= kept.worth:
        kept.save(STAGE, 0, zstandard.compress(pickle.dumps(found, protocol=5), 1), survey.rows)
    return found


def beyond(rows: int, memory: int) -> str:
    """Why near-duplicates cannot be sought in so many rows with so many bytes of memory; empty if they can."""
    if rows * _A_ROW <= max(memory - _PROGRAM, _LEAST):
        return ""
    needed = (rows * _A_ROW + _PROGRAM) / 2**30
    return f"the search in {rows:,} rows needs {needed:.1f} GB of memory, the limit is {memory / 2**30:.1f} GB (--memory-limit)"


def _left(blocks: Sequence[CleanBlock], same: ExactDuplicates, survey: Survey) -> Left:
    aside = [b.source.first + i.row for b in blocks for i in b.stored.quarantined()]
    gone = np.sort(np.concatenate([same.rows, np.array(aside, np.int64)]))
    return Left(gone, survey.rows - len(gone))


def _near(blocks: Sequence[CleanBlock], left: Left, columns: Sequence[str], plan: Plan, scratch: Path, threads: int) -> Near:
    from data_sanitizer.duplicates import near
    from data_sanitizer.duplicates.comparison import measures
    from data_sanitizer.duplicates.records import Prepared, RecordFile, prepare

    def prepared(block: CleanBlock) -> Prepared:
        staying = left.has(block.ordinals())
        frame = own_words(block, columns, plan)
        return prepare(frame if staying.all() else frame.filter(pl.Series(staying)))

    folder = scratch / "near"
    folder.mkdir()
    file = RecordFile(folder)
    for _, part in in_order(iter(blocks), prepared, threads):
        file.add(part)
    records = file.finish()
    found = near.find(records, folder, threads)
    levels = np.array([m.exact if m else 0 for m in measures(records.kinds)], np.int8)
    return Near(found, records.columns, levels)


def inventing(plan: Plan) -> list[str]:
    """The steps of a plan that put in values which no cell has."""
    return sorted({a.step for a in plan.actions("clean") if getattr(extensions.load("steps", a.step), "INVENTS", False)})


def own_words(block: CleanBlock, columns: Sequence[str], plan: Plan) -> pl.DataFrame:
    """All rows of a block as cleaning made them, as text, but without values that steps put in: those say nothing about identity."""
    converted = {name: action for name, action in converts(plan).items() if name in columns}
    entries = pl.read_ipc(block.entries, columns=["row", "column", "action", "new", "rule"]).filter(pl.col("column").is_in(columns))
    steps = inventing(plan)
    own = entries.filter(~pl.any_horizontal([ledger.made_by(step) for step in steps])) if steps else entries
    cleaned = ledger.applied(block.stored.frame(columns), block.stored.rows(), own, converted)
    return cleaned.select(pl.col(columns).cast(pl.String))


Removed = tuple[Rows, Rows, NDArray[np.bool_], NDArray[np.float32]]  # the last four of `Found`


def none_removed() -> Removed:
    """No row goes."""
    return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.float32)


def to_remove(same: ExactDuplicates, left: Left, near: Near | None) -> Removed:
    """The rows to remove and the rows kept for them, which stay: an exact copy of a near-duplicate follows it."""
    if near is None:
        return same.rows, same.survivors, np.zeros(len(same.rows), np.bool_), np.ones(len(same.rows), np.float32)
    found = near.found
    goes = found.keepers != found.members
    places = found.members[goes]
    followed = left.rows(found.kept_for(left.places(same.survivors)))
    rows = np.concatenate([same.rows, left.rows(places)])
    survivors = np.concatenate([followed, left.rows(found.keepers[goes])])
    alike = np.repeat([False, True], [len(same.rows), len(places)])
    confidences = np.concatenate([np.ones(len(same.rows), np.float32), belief(near, places)])
    order = np.argsort(rows, kind="stable")
    return rows[order], survivors[order], alike[order], confidences[order]


def belief(near: Near, places: Rows) -> NDArray[np.float32]:
    """How sure it is that the rows at these places belong to their clusters: the best match that each has there."""
    found, best = near.found, np.zeros(len(near.found.members), np.float32)
    within = found.cluster_of(found.a) == found.cluster_of(found.b)
    for side in (found.a, found.b):
        np.maximum.at(best, np.searchsorted(found.members, side[within]), found.confidences[within])
    return np.asarray(best[np.searchsorted(found.members, places)])


def described(found: Found) -> dict[str, Any] | None:
    """What was learned in the search for near-duplicates, for profile.json; null where none were to be sought.

    Beside the figures of the model: `rows` that were compared, `prior_bits` (log2 of how likely any two of them are one entity), and
    `related_pairs` that are more likely related, as a household or two versions are, than one entity.
    """
    if found.near is None:
        return {"sought": False, "reason": found.unsought} if found.unsought else None
    near, rows = found.near.found, found.left.height
    pairs_a_row = max(near.figures.duplicates, 1 / rows)  # where there are hardly any, they are rounded to none
    prior = float(np.log2(min(0.5, 2 * pairs_a_row / (rows - 1))))
    related = int(np.count_nonzero((near.related >= 0.5) & (near.confidences < 0.5)))
    return {**near.figures.as_dict(), "rows": rows, "prior_bits": round(prior, 2), "related_pairs": related}
