"""Applies the steps to a chunk and finds what changed by comparing after with before, so that no step can forget to report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import extensions, ledger
from data_sanitizer.errors import DataSanitizerError
from data_sanitizer.model import Action
from data_sanitizer.profile import OddCells
from data_sanitizer.recipe import Plan, converts


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """The changed cells of a column of text: their places in the chunk, their text before, and the text that says what they became."""

    column: str
    rows: NDArray[np.uint32]
    before: pl.Series
    said: pl.Series


@dataclass(frozen=True, slots=True)
class CleanedChunk:
    """The cleaned rows, and what was done to them; `entries` lack their source and are in order of row, then column."""

    frame: pl.DataFrame
    entries: pl.DataFrame
    changes: tuple[ColumnChange, ...]


def clean_chunk(
    frame: pl.DataFrame, rows: NDArray[np.uint64], plan: Plan, sensitive: frozenset[str] = frozenset(), odd: OddCells | None = None
) -> CleanedChunk:
    """Clean a chunk whose rows have the given numbers; a row's result depends on that row and the plan alone.

    `odd` are the places of the cells in which pass 1 saw something odd: steps that change only such cells then look at no others.
    """
    stages = text_stages(frame, plan, odd or {})
    cleaned = convert(stages[-1], plan)
    said = _said(stages[-1], cleaned, plan)
    numbers = pl.Series("row", rows)
    found = [_changes(name, index, stages, cleaned, said, plan) for name, index in _changed(frame, said).items()]
    pieces = [*_entries(found, numbers), *_flags(cleaned, numbers, plan)]
    return CleanedChunk(cleaned, _in_order(pieces, frame.columns, sensitive), tuple(f.change for f in found))


def _marks(action: Action) -> bool:
    """Steps of mode flag, and those that repair some cells and ask about others."""
    return hasattr(extensions.load("steps", action.step), "flag")


def text_stages(frame: pl.DataFrame, plan: Plan, odd: OddCells) -> list[pl.DataFrame]:
    """The chunk as read, and after each step that changes cells."""
    stages, ordinary = [frame], set(odd)  # columns in which all but the odd cells are as they were read
    for actions in plan.stages:
        steps = [a for a in actions if a.mode == "clean"]
        wholly = {a.column: extensions.load("steps", a.step).clean(a) for a in steps if not (a.odd_only and a.column in ordinary)}
        partly = {a.column: _odd_cleaned(stages[-1], a, odd[a.column]) for a in steps if a.column not in wholly}
        ordinary.difference_update(wholly)
        stages.append(stages[-1].with_columns(**wholly, **partly) if steps else stages[-1])
    return stages


def _odd_cleaned(frame: pl.DataFrame, action: Action, places: NDArray[np.uint32]) -> pl.Series:
    """The column after a step that changes no cell but those at the places."""
    column = frame[action.column]
    if not len(places):
        return column
    before = column[places].to_frame()
    after = before.select(extensions.load("steps", action.step).clean(action)).to_series()
    changed = after.ne_missing(before.to_series()).to_numpy()
    return ledger.replaced(column, places[changed], after.filter(pl.Series(changed))) if changed.any() else column


def convert(text: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """The chunk with the typed columns of the plan; raises where a cell has no value of that type, which the plan has excluded."""
    actions = converts(plan)
    if not actions:
        return text
    typed = text.with_columns(**{c: extensions.load("steps", a.step).parse(a) for c, a in actions.items()})
    both = typed.select(list(actions)).with_columns(text.select(pl.col(list(actions)).name.suffix("\0")))
    # A blank cell is no value of any type.
    lost = both.select((pl.col(c).is_null() & (pl.col(f"{c}\0").str.strip_chars() != "")).sum() for c in actions).row(0, named=True)
    if any(lost.values()):
        raise DataSanitizerError(why=f"conversion lost {sum(lost.values())} cells of column {next(c for c in lost if lost[c])!r}")
    return typed


def _said(text: pl.DataFrame, cleaned: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """The columns that the plan touches, converted ones as their type writes them back."""
    touched = list(dict.fromkeys(a.column for a in plan.actions("clean", "convert")))
    actions = converts(plan)
    written = [extensions.load("steps", a.step).back(a).alias(c) for c, a in actions.items()]
    said = text.select(touched)
    return said.with_columns(cleaned.select(written)) if written else said


def _changed(frame: pl.DataFrame, said: pl.DataFrame) -> dict[str, pl.Series]:
    """Column -> the places of its cells that do not say what they said; only columns that have some."""
    if not said.width or not said.height:
        return {}
    both = said.with_columns(frame.select(pl.col(said.columns).name.suffix("\0")))
    places = both.select(pl.col(f"{c}\0").ne_missing(pl.col(c)).arg_true().implode().alias(c) for c in said.columns)
    return {c: index for c in said.columns if len(index := places[c][0])}


@dataclass(frozen=True, slots=True)
class _Found:
    """The changed cells of one column: their places, what they were and are, and what did it (columns rule to confidence)."""

    change: ColumnChange
    old: pl.Series
    new: pl.Series
    told: pl.DataFrame


def _changes(name: str, index: pl.Series, stages: Sequence[pl.DataFrame], cleaned: pl.DataFrame, said: pl.DataFrame, plan: Plan) -> _Found:
    steps = [(n, a) for n, actions in enumerate(plan.stages) for a in actions if a.column == name and a.mode == "clean"]
    standing = [stages[0][name], *(stages[n + 1][name] for n, _ in steps)]
    told = [*(s.alias(str(i)) for i, s in enumerate(standing)), said[name].alias("said"), cleaned[name].alias("new")]
    values = pl.DataFrame(told)[index]
    rules = _attributed(name, [a for _, a in steps], values, stages, index, plan)
    old, new = ledger.as_text(values["0"]), ledger.as_text(values["new"])
    own = _own(name, stages, index, plan, values["said"])
    return _Found(ColumnChange(name, index.to_numpy(), old, ledger.as_text(own)), _kept(old, rules, plan), new, rules)


def _entries(found: Sequence[_Found], rows: pl.Series) -> list[pl.DataFrame]:
    """One entry for each changed cell, column after column."""
    if not found:
        return []
    places = np.concatenate([f.change.rows for f in found])
    names = pl.Series([f.change.column for f in found], dtype=pl.String)
    column = names.gather(np.repeat(np.arange(len(found), dtype=np.uint32), [len(f.change.rows) for f in found]))
    old, new = (pl.concat([getattr(f, side).alias(side) for f in found]) for side in ("old", "new"))
    told = pl.concat([f.told for f in found])
    return [ledger.entries(rows[places], column=column, action=ledger.SET, old=old, new=new, **told.to_dict())]


def _kept(old: pl.Series, rules: pl.DataFrame, plan: Plan) -> pl.Series:
    """The values before, save those of masked cells: they are personal data still."""
    if not any(a.step == ledger.MASKING for a in plan.actions("clean")):
        return old
    masked = rules.select(ledger.made_by(ledger.MASKING)).to_series()
    return old.zip_with(~masked, pl.Series([None], dtype=pl.String))


def _own(name: str, stages: Sequence[pl.DataFrame], index: pl.Series, plan: Plan, said: pl.Series) -> pl.Series:
    """What the changed cells say of themselves: without the values that steps put in, which make no two rows the same."""
    putting_in = (i for i, actions in enumerate(plan.stages) if any(a.column == name and _invents(a) for a in actions))
    stage = next(putting_in, None)
    if stage is None:
        return said
    own, action = stages[stage][name].gather(index), converts(plan).get(name)
    return own if action is None else ledger.written(ledger.parsed(own, action), action)


def _invents(action: Action) -> bool:
    return bool(getattr(extensions.load("steps", action.step), "INVENTS", False))


def _attributed(
    name: str, steps: Sequence[Action], values: pl.DataFrame, stages: Sequence[pl.DataFrame], index: pl.Series, plan: Plan
) -> pl.DataFrame:
    """Which steps changed the cells of `index`: columns rule, rule_version, evidence, confidence.

    `values` has the cells as read and after each of the steps ("0", "1", ...) and what they say in the end, which differs from the last
    of those where the column's conversion does not give a cell back as it stood.
    """
    masks = values.select(
        *(pl.col(str(i)).ne_missing(pl.col(str(i + 1))).alias(str(i)) for i in range(len(steps))),
        unlike=pl.col("said").ne_missing(pl.col(str(len(steps)))),
    )
    actions = [*steps, *([converts(plan)[name]] if name in converts(plan) else [])]
    known = [(action, mask) for action, mask in zip(actions, masks.iter_columns(), strict=False) if mask.any()]
    codes = np.zeros(len(index), np.int64)
    for bit, (_, changed) in enumerate(known):
        codes |= changed.to_numpy().astype(np.int64) << bit
    sets, place = np.unique(codes, return_inverse=True)
    told = _combinations([action for action, _ in known], sets)[place]
    for action, changed in known:
        told = _particular(told, action, changed, stages, plan, index)
    return told


def _combinations(actions: Sequence[Action], codes: NDArray[np.int64]) -> pl.DataFrame:
    """For each set of actions (as bits) the joined rule, the highest version, the joined evidence and the least confidence."""
    rows = []
    for code in codes.tolist():
        chosen = [a for bit, a in enumerate(actions) if code >> bit & 1]
        version, sure = max((a.version for a in chosen), default=1), min((a.confidence for a in chosen), default=1.0)
        rows.append(("+".join(a.step for a in chosen), version, "; ".join(a.evidence for a in chosen), sure))
    schema = {"rule": pl.String, "rule_version": pl.UInt16, "evidence": pl.String, "confidence": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _particular(
    joined: pl.DataFrame, action: Action, changed: pl.Series, stages: Sequence[pl.DataFrame], plan: Plan, index: pl.Series
) -> pl.DataFrame:
    """The same with the evidence and the confidence that a step has for each cell."""
    module = extensions.load("steps", action.step)
    if not (hasattr(module, "evidence") or hasattr(module, "confidence")):
        return joined
    stage = next(i for i, actions in enumerate(plan.stages) if action in actions)
    how = _how(action, stages[stage], index)
    mark = pl.lit(changed)
    return joined.with_columns(
        evidence=pl.when(mark & (pl.col("rule") == action.step)).then(pl.lit(how["evidence"])).otherwise(pl.col("evidence")),
        confidence=pl.when(mark).then(pl.min_horizontal(pl.lit(how["confidence"]), "confidence")).otherwise(pl.col("confidence")),
    )


def _how(action: Action, before: pl.DataFrame, index: pl.Series) -> pl.DataFrame:
    """Evidence and confidence of an action for the rows of `index`; from the step where they differ from cell to cell."""
    module = extensions.load("steps", action.step)
    told = {name: getattr(module, name)(action) for name in ("evidence", "confidence") if hasattr(module, name)}
    fixed = {
        "evidence": pl.repeat(action.evidence, len(index), eager=True),
        "confidence": pl.repeat(action.confidence, len(index), eager=True),
    }
    if not told:
        return pl.DataFrame(fixed)
    given = before[index].select(**told)
    return pl.DataFrame({name: given[name] if name in told and given.height == len(index) else fixed[name] for name in fixed})


def _flags(cleaned: pl.DataFrame, rows: pl.Series, plan: Plan) -> list[pl.DataFrame]:
    """For each step that flags, one entry for each cell that looks wrong; the cell stays."""
    actions = [a for a in plan.actions("clean", "flag") if _marks(a)]
    if not actions or not cleaned.height:
        return []
    marks = (extensions.load("steps", a.step).flag(a).fill_null(value=False) for a in actions)
    places = cleaned.select(mark.arg_true().implode().alias(str(i)) for i, mark in enumerate(marks))
    return [_flagged(a, index, cleaned, rows) for i, a in enumerate(actions) if len(index := places[str(i)][0])]


def _flagged(action: Action, index: pl.Series, cleaned: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    how = _how(action, cleaned, index)
    return ledger.entries(
        rows.gather(index), column=action.column, action=ledger.FLAG, old=ledger.as_text(cleaned[action.column].gather(index)),
        rule=action.step, rule_version=action.version, evidence=how["evidence"], confidence=how["confidence"],
    )  # fmt: skip


def _in_order(pieces: list[pl.DataFrame], columns: Sequence[str], sensitive: frozenset[str]) -> pl.DataFrame:
    if not pieces:
        return pl.DataFrame(schema=ledger.SCHEMA)
    place: Mapping[str, int] = {c: i for i, c in enumerate(columns)}
    joined = pl.concat(pieces).with_columns(sensitive=pl.col("column").is_in(list(sensitive)))
    order = pl.col("column").replace_strict(list(place), list(place.values()), return_dtype=pl.UInt32)
    return joined.sort("row", order, pl.col("action") == ledger.FLAG, maintain_order=True)


def column_entries(plan: Plan, source: str) -> pl.DataFrame:
    """The entries that concern a whole column: conversions, and remarks about it."""
    pieces = [pl.DataFrame(schema=ledger.SCHEMA)]
    for action in plan.actions("convert", "note"):
        old, new = extensions.load("steps", action.step).form(action) if action.mode == "convert" else (None, None)
        kind = ledger.CONVERT if action.mode == "convert" else ledger.FLAG
        pieces.append(ledger.entries(1, source=source, column=action.column, action=kind, old=old, new=new, rule=action.step,
                                     rule_version=action.version, evidence=action.evidence, confidence=action.confidence))  # fmt: skip
    return pl.concat(pieces)
