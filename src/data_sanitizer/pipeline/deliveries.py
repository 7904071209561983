"""A run that delivers to a dataset: what was delivered before is recognised, and every row gets the id of its entity.

The dataset changes last, in one transaction, when the folder of the run is complete but does not have its final name yet. Whatever stops
the run before leaves the dataset as it was; what stops it after leaves a delivery without a folder, which the same command makes again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import ledger, run_folder
from data_sanitizer.duplicates.entities import Carried, carried, distinct, hexadecimal
from data_sanitizer.errors import DatasetRulesDiffer
from data_sanitizer.model import DatasetState, Delivery, EntityEvent, Key, NewDelivery, RowPart
from data_sanitizer.pipeline import delivery_duplicates, delivery_index, entity_changes
from data_sanitizer.pipeline.comparison import Before
from data_sanitizer.pipeline.delivered_rows import NewRows, Stored, first_equal, load, packed_told, sort_new
from data_sanitizer.pipeline.delivery_duplicates import Same, Search
from data_sanitizer.pipeline.delivery_index import Delivered
from data_sanitizer.pipeline.duplicates import Found, Rows
from data_sanitizer.pipeline.entity_changes import Changes
from data_sanitizer.pipeline.pass1 import Survey
from data_sanitizer.pipeline.pass2 import CleanBlock
from data_sanitizer.pipeline.spool import ROW_GROUP, ZSTD
from data_sanitizer.ports import Dataset
from data_sanitizer.recipe import Plan, Recipe

ENTITIES: Final = "entities.parquet"
SYSTEM: Final = "data-sanitizer"  # who made an event that no person made


@dataclass(frozen=True, slots=True)
class Opened:
    """A dataset at the beginning of a run."""

    dataset: Dataset
    state: DatasetState
    rules: Mapping[str, Any]
    raw: list[Path] = field(default_factory=list)  # the keys of the rows as they were read

    def remember(self, survey: Survey) -> None:
        """Keep the keys of the rows as they were read, before cleaning corrects them."""
        self.raw.append(survey.keys.path.with_suffix(".raw"))
        if survey.rows:
            shutil.copyfile(survey.keys.path, self.raw[0])

    def keys(self) -> Key:
        """Those keys."""
        return np.fromfile(self.raw[0], np.uint64).reshape(-1, 2) if self.raw[0].exists() else np.zeros((0, 2), np.uint64)


def opened(dataset: Dataset, recipe: Recipe) -> Opened:
    """Look at a dataset; raises DatasetRulesDiffer where the recipe compares rows in another way than its deliveries were compared."""
    state, told = dataset.state(), recipe.duplicates
    rules = {"near": told.near, "key": sorted(told.key), "ignore": sorted(told.ignore)}
    if state.deliveries and state.rules and state.rules != rules:
        raise DatasetRulesDiffer(dataset=state.name, given=json.dumps(rules), known=json.dumps(state.rules))
    return Opened(dataset, state, rules)


def fingerprint(inputs: Sequence[Mapping[str, Any]], raw: Key) -> str:
    """The same for the same inputs: made of their sha256, or where an input can be read but once, of its rows."""
    hashes = [i["sha256"] for i in inputs]
    content = json.dumps(hashes).encode() if all(hashes) else raw.tobytes()
    return hashlib.sha256(content).hexdigest()


def before(opened: Opened, inputs: int, hashes: Callable[[], Sequence[str | None]]) -> Before | None:
    """The delivery to compare this one with: the newest; for inputs that were delivered already the one before them."""
    last = max((d.no for d in opened.state.deliveries), default=0)
    if not last:
        return None
    known = [{"sha256": h} for h in hashes()]
    mark = fingerprint(known, np.zeros((0, 2), np.uint64)) if len(known) == inputs and all(h["sha256"] for h in known) else None
    again = next((d.no for d in opened.state.deliveries if d.fingerprint == mark), last + 1)
    found = max((d for d in opened.state.deliveries if d.no < again), key=lambda d: d.no, default=None)
    return Before(f"delivery {found.no} of {opened.state.name}", opened.dataset.profile(found.no)) if found else None


@dataclass(frozen=True, slots=True)
class Delivering:
    """A delivery as far as it is known. Rows in order of age: those stored, then the new ones as they come."""

    opened: Opened
    no: int
    again: Delivery | None  # the same inputs were delivered before
    inputs: Sequence[Mapping[str, Any]]
    columns: Sequence[str]  # that the dataset keeps
    stored: Stored
    new: NewRows
    same: Same
    search: Search
    found: Found
    raw: Key

    def ages(self, rows: Rows) -> Rows:
        """The age of rows of the run (those that are the first to say it) and stored ones (counted on from the run's)."""
        here = len(self.stored) + np.searchsorted(self.same.new, rows)
        return np.where(rows >= self.same.height, rows - self.same.height, here)

    def carried(self) -> Carried:
        """The entity of every row by age."""
        keys = np.concatenate([self.stored.keys, self.raw[self.same.new]])
        salt = f"{self.opened.state.name}/{self.no}".encode()
        return carried(self.groups(len(keys)), self.stored.entities, keys, salt)

    def groups(self, size: int) -> Rows:
        """A row of the entity of each row by age."""
        groups = np.arange(size)
        if self.search.asked is not None:
            return self.search.asked.groups
        if self.search.found is not None:
            ages = self.ages(self.search.rows)
            groups[ages] = ages[self.search.found.kept]
        elif self.search.unsought:  # what was found before stays
            known = first_equal(self.stored.entities)
            groups[: len(known)] = known
        return groups

    def present(self) -> NDArray[np.bool_]:
        """Which rows by age this delivery has."""
        found, unit = np.zeros(len(self.stored) + len(self.same.new), np.bool_), self.same.unit
        found[self.ages(unit[unit >= 0])] = True
        return found

    def seen(self) -> int:
        """Rows that were delivered before."""
        return int(np.count_nonzero(self.same.stands[: self.same.height] >= self.same.height))


def find(opened: Opened, inputs: Sequence[Mapping[str, Any]], blocks: Sequence[CleanBlock], survey: Survey, plan: Plan, recipe: Recipe,
         scratch: Path, memory: int, threads: int) -> Delivering:  # fmt: skip
    """Find which rows were delivered before and which are alike, among all that the dataset has."""
    raw, state = opened.keys(), opened.state
    mark = fingerprint(inputs, raw)
    again = next((d for d in state.deliveries if d.fingerprint == mark), None)
    no = again.no if again else max((d.no for d in state.deliveries), default=0) + 1
    stored = load([d for d in state.deliveries if d.no < no], opened.dataset.parts(), state.apart)
    same = delivery_duplicates.same_rows(raw, survey.keys, stored)
    columns = compared(survey, plan, recipe)
    new = sort_new(blocks, same.new, raw[same.new], columns, scratch, threads)
    every = sorted({*columns, *_columns_before(state, no)})
    rows = Delivered(opened.dataset, no, stored, new, same.height)
    search = delivery_duplicates.search(rows, every, state.apart, recipe, scratch, memory, threads)
    found = delivery_duplicates.told(search, same, stored, blocks, survey, recipe)
    return Delivering(opened, no, again, inputs, columns, stored, new, same, search, found, raw)


def compared(survey: Survey, plan: Plan, recipe: Recipe) -> list[str]:
    """The columns that the dataset keeps for comparison: not those that are masked, for what was in them is kept nowhere."""
    masked = {a.column for a in plan.actions("clean") if a.step == ledger.MASKING}
    return [c for c in recipe.duplicates.columns(list(survey.schema)) if c not in masked]


def _columns_before(state: DatasetState, no: int) -> set[str]:
    return {c for d in state.deliveries if d.no < no for i in d.inputs for c in i.get("columns", ())}


@dataclass(frozen=True, slots=True)
class Known:
    """The entity of each row of the run, (rows, 2), zeros where a row says nothing; what the run tells; and what the dataset will keep."""

    entities: Key
    told: Mapping[str, Any]
    carried: Carried | None  # None: the dataset has it already
    index: Mapping[str, Any] | None = None  # how the index was asked for earlier rows
    changes: Compared | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """What became of entities since an earlier delivery."""

    delivery: int
    changes: Changes


def entities(made: Delivering) -> Known:
    """Give every row its entity."""
    unit, here = made.same.unit, np.zeros((made.same.height, 2), np.uint64)
    found, counts = None, {}
    if made.again is None:
        found = made.carried()
        counts = {"created": len(found.created), "merged": len(found.merged[0]), "split": len(found.split[0])}
        every = found.entities
    else:
        counts = made.again.counts.get("entities", {})
        every = _kept_entities(made)
    here[unit >= 0] = every[made.ages(unit[unit >= 0])]
    rows = {"seen": made.seen(), "new": int(np.count_nonzero(unit >= 0)) - made.seen()}
    state = made.opened.state
    told = {"tenant": state.tenant, "name": state.name, "delivery": made.no, "rows": rows, "entities": counts,
            "earlier": list(made.stored.labels)}  # fmt: skip
    asked = made.search.asked
    return Known(here, told, found, asked.told if asked else None, _compared(made, every))


def _compared(made: Delivering, entities: Key) -> Compared | None:
    """The comparison with the delivery before, of the entities of all rows by age; None where there is none that kept its rows."""
    last = max((d.no for d in made.opened.state.deliveries if d.no < made.no), default=0)
    was = entity_changes.present(made.stored, made.opened.dataset, last) if last else None
    if was is None:
        return None
    size = len(made.stored)
    before, ever = np.zeros((2, len(entities)), np.bool_)
    before[:size], ever[:size] = was, True
    numbers = made.groups(len(entities)) if made.again is None else distinct(entities)[0]
    return Compared(last, entity_changes.changes(numbers, entities, before, made.present(), ever))


def _kept_entities(made: Delivering) -> Key:
    """The entities that the dataset has for all rows by age, as they are now."""
    state = made.opened.state
    everything = load(state.deliveries, made.opened.dataset.parts(), state.apart)
    keys = np.concatenate([made.stored.keys, made.raw[made.same.new]])
    place = first_equal(np.concatenate([everything.keys, keys]))[len(everything) :]
    return everything.entities[np.minimum(place, max(len(everything) - 1, 0))]


def write(known: Known, blocks: Sequence[CleanBlock], folder: Path) -> None:
    """entities.parquet: source, row and entity of every row, in order; and what became of entities since the delivery before."""

    def parts() -> Iterator[pl.DataFrame]:
        for block in blocks:
            own = pl.Series("entity", hexadecimal(known.entities[block.ordinals()]), pl.String)
            yield pl.DataFrame({"source": pl.repeat(block.source.name, len(own), dtype=pl.String, eager=True),
                                "row": pl.Series(block.stored.rows(), dtype=pl.UInt64), "entity": own})  # fmt: skip

    if known.changes:
        known.changes.changes.write(folder)
    nothing = pl.DataFrame(schema={"source": pl.String, "row": pl.UInt64, "entity": pl.String})
    pl.concat([nothing, *parts()]).write_parquet(folder / ENTITIES, compression="zstd", compression_level=ZSTD, row_group_size=ROW_GROUP)


def commit(made: Delivering, known: Known, survey: Survey, folder: Path, output: str, counts: Mapping[str, int],
           profile: Mapping[str, Any]) -> None:  # fmt: skip
    """Make the delivery part of the dataset; the same one again changes nothing. Raises DatasetBusy."""
    found = known.carried
    if found is None:
        return
    told = {**counts, **known.told["rows"], "entities": known.told["entities"]}
    inputs = tuple({**i, "columns": list(made.columns)} for i in made.inputs)
    manifest = run_folder.sha256(folder / run_folder.MANIFEST)
    name, mark = ", ".join(str(i["name"]) for i in made.inputs), fingerprint(made.inputs, made.raw)
    delivery = Delivery(made.no, name, mark, survey.rows, told, inputs, output, manifest, dt.datetime.now(dt.UTC))
    before = len(made.stored)
    moved = np.asarray((found.entities[:before] != made.stored.entities).any(axis=1))
    changed = made.stored.in_parts(found.entities[:before], moved)
    events = tuple(_events(found, made.no))
    seen = entity_changes.packed(made.stored, made.present()[:before])
    new = NewDelivery(delivery, made.opened.rules, profile, found.created, changed, events, made.search.knowledge, seen)
    made.opened.dataset.commit(new, _parts(made, found, survey), made.opened.state.version)
    if made.search.asked:
        delivery_index.keep(made.search.asked, made.no, made.new, made.opened.dataset)


def _events(found: Carried, no: int) -> Iterator[EntityEvent]:
    for kind, (ids, others, rows) in (("merged", found.merged), ("split", found.split)):
        for one, other, count in zip(hexadecimal(ids), hexadecimal(others), rows.tolist(), strict=True):
            yield EntityEvent(0, kind, str(one), other, no, SYSTEM, {"rows": count})


def _parts(made: Delivering, found: Carried, survey: Survey) -> Callable[[], Iterator[RowPart]]:
    """The new rows as the dataset keeps them."""
    said = np.concatenate([np.zeros((0, 2), np.uint64), *(keys.copy() for _, keys in survey.keys.blocks())])
    every = np.concatenate([made.raw, made.stored.keys])
    stands = np.arange(made.same.height)
    stands[made.found.rows] = made.found.survivors
    firsts = np.array([s.first for s in survey.sources], np.int64)

    def parts() -> Iterator[RowPart]:
        for part, ((a, b), path) in enumerate(zip(made.new.bounds(), made.new.files, strict=True)):
            rows, keys = made.new.ordinals[a:b], made.new.keys[a:b]
            source = np.searchsorted(firsts, rows, side="right") - 1
            packed = packed_told(source, (rows - firsts[source]).astype(np.uint64), keys, said[rows], every[stands[rows]])
            yield RowPart(made.no, part, keys, packed, found.entities[made.ages(rows)], path.read_bytes())

    return parts


def reported(known: Known | None) -> Mapping[str, Any] | None:
    """What the report says of the dataset."""
    if known is None:
        return None
    told = {k: v for k, v in known.told.items() if k != "earlier"} | ({"index": dict(known.index)} if known.index else {})
    if known.changes:
        told["changes"] = {"since": known.changes.delivery, **known.changes.changes.counts()}
    return told
