"""A person's decision that rows of a dataset are not one entity: they get one of their own, and no later delivery joins them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from data_sanitizer.duplicates.entities import Rows, distinct, hexadecimal, new_ids
from data_sanitizer.errors import NotInDataset
from data_sanitizer.model import DatasetState, EntityEvent, Key, Split
from data_sanitizer.pipeline.delivered_rows import Stored, load
from data_sanitizer.ports import Dataset


class Decided(Dataset, Protocol):
    """A dataset that takes decisions too."""

    def split(self, decision: Split, version: tuple[int, int]) -> None:
        """Store that rows are not one entity; raises DatasetBusy."""
        ...


@dataclass(frozen=True, slots=True)
class Delivered:
    """A row as it was delivered."""

    delivery: int
    source: str | None  # None: the delivery had one source
    row: int


def split(dataset: Decided, rows: Sequence[Delivered], actor: str) -> tuple[EntityEvent, ...]:
    """Set the given rows apart from the other rows of their entities; gives what happened. Raises NotInDataset and DatasetBusy.

    Of each entity the given rows become one entity of their own. Rows that say the same are one row, which stands where it came first.
    """
    state = dataset.state()
    stored = load(state.deliveries, dataset.parts(), state.apart)
    chosen = np.unique(np.array([_found(state, stored, row) for row in rows], np.int64))
    decision = _decision(state, stored, chosen, actor)
    if not decision.events:
        raise NotInDataset(what="Another row of the entity", dataset=state.name, cure="Each of these rows is an entity of its own already.")
    dataset.split(decision, state.version)
    return decision.events


def apart(dataset: Decided, rows: pl.DataFrame, delivery: int, sources: Sequence[str], actor: str) -> dict[tuple[str, int], str]:
    """Set those of some rows (source, row) of a delivery apart that share their entity with others; gives their new entities."""
    state = dataset.state()
    stored = load(state.deliveries, dataset.parts(), state.apart)
    firsts = _labels_before(state, delivery)
    there = {(int(s), int(r)): k for k, (s, r) in enumerate(zip(stored.source, stored.row, strict=True)) if s >= firsts}
    places = [(source, row, there.get((firsts + list(sources).index(source), row))) for source, row in rows.iter_rows()]
    known = [(source, row, place) for source, row, place in places if place is not None]
    decision = _decision(state, stored, np.unique(np.array([p for *_, p in known], np.int64)), actor)
    if not decision.events:
        return {}
    dataset.split(decision, state.version)
    new = {event.entity: str(event.other) for event in decision.events}
    old = hexadecimal(stored.entities[[p for *_, p in known]])
    return {(source, row): new[str(was)] for (source, row, _), was in zip(known, old, strict=True) if was in new}


def _found(state: DatasetState, stored: Stored, wanted: Delivered) -> int:
    made = next((d for d in state.deliveries if d.no == wanted.delivery), None)
    if made is None:
        known = ", ".join(str(d.no) for d in state.deliveries)
        raise NotInDataset(what=f"Delivery {wanted.delivery}", dataset=state.name, cure=f"Its deliveries are: {known}.")
    names = [str(i["name"]) for i in made.inputs]
    if wanted.source not in (*names, None) or (wanted.source is None and len(names) > 1):
        raise NotInDataset(what=f"Source {wanted.source}", dataset=state.name, cure=f"Delivery {made.no} has: {', '.join(names)}.")
    source = _labels_before(state, made.no) + (names.index(wanted.source) if wanted.source else 0)
    found = np.flatnonzero((stored.source == source) & (stored.row == wanted.row))
    if not len(found):
        cure = "It is not in that delivery, or it says what a row before said: duplicates.parquet of the run names that row."
        raise NotInDataset(what=f"Row {wanted.row}", dataset=state.name, cure=cure)
    return int(found[0])


def _labels_before(state: DatasetState, delivery: int) -> int:
    return sum(len(d.inputs) for d in state.deliveries if d.no < delivery)


def _decision(state: DatasetState, stored: Stored, chosen: Rows, actor: str) -> Split:
    number, ids = distinct(stored.entities)
    entities, pairs, events = stored.entities.copy(), list[tuple[Key, Key]](), list[EntityEvent]()
    is_chosen = np.zeros(len(stored), np.bool_)
    is_chosen[chosen] = True
    last = max((d.no for d in state.deliveries), default=0)
    for entity in np.unique(number[chosen]):
        rows = np.flatnonzero(number == entity)
        mine, rest = rows[is_chosen[rows]], rows[~is_chosen[rows]]
        if not len(rest):
            continue
        salt = f"{state.name}/{state.version}/split".encode()
        entities[mine] = new_ids(stored.keys[mine[:1]], salt)
        one, other = hexadecimal(np.concatenate([ids[entity : entity + 1], entities[mine[:1]]]))
        events.append(EntityEvent(0, "split", str(one), other, last, actor, {"rows": len(mine)}))
        pairs.append((stored.keys[mine], stored.keys[rest]))
    changed = stored.in_parts(entities, np.asarray((entities != stored.entities).any(axis=1)))
    return Split(changed, tuple(events), tuple(pairs))
