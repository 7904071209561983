"""Between the passes: which rows of the cleaned table say the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from data_sanitizer import data_cleaning, extensions
from data_sanitizer.duplicates import exact
from data_sanitizer.model import Block
from data_sanitizer.pipeline.pass1 import Survey, aligned, in_order
from data_sanitizer.ports import Reading
from data_sanitizer.profile import Keys, add_to_keys
from data_sanitizer.profile._cells import scan
from data_sanitizer.recipe import Plan, Recipe, converts


def find(readings: Sequence[Reading], survey: Survey, plan: Plan, recipe: Recipe, threads: int, budget: int) -> exact.ExactDuplicates:
    """Rows equal to an earlier one in every compared column, as the plan will leave them."""
    columns = _changing(plan, recipe, survey)
    if columns:
        for source, reading in zip(survey.sources, readings, strict=True):
            for block, change in in_order(reading.blocks(), lambda b: _change(b, columns, survey, plan), threads):
                rows, difference = change
                survey.keys.change(source.first + block.rows.astype(np.int64)[rows], difference)
    return exact.find(survey.keys, budget)


def _changing(plan: Plan, recipe: Recipe, survey: Survey) -> list[str]:
    """Compared columns in which cleaning may do more than trim blanks, which the keys leave out of account already."""
    compared = set(recipe.duplicates.columns(list(survey.schema)))
    return list(dict.fromkeys(a.column for a in plan.actions("clean", "convert") if a.step != "trim_blanks" and a.column in compared))


def _change(block: Block, columns: list[str], survey: Survey, plan: Plan) -> tuple[np.ndarray, Keys]:
    """The rows of a block whose key is another after cleaning, and by how much."""
    frame = aligned(block, survey.schema)
    text = data_cleaning.text_stages(frame, plan)[-1]
    typed = data_cleaning.convert(text, plan)
    difference = np.zeros((frame.height, 2), np.uint64)
    changed = np.zeros(frame.height, bool)
    for name in columns:
        before, after = frame[name], _said(name, typed, plan)
        index = before.cast(pl.String).ne_missing(after).arg_true().to_numpy()
        if len(index):
            part = np.zeros((len(index), 2), np.uint64)
            add_to_keys(part, name, scan(before.gather(index)), -1)
            add_to_keys(part, name, scan(after.gather(index)))
            difference[index] += part
            changed[index] = True
    rows = np.flatnonzero(changed)
    return rows, difference[rows]


def _said(name: str, typed: pl.DataFrame, plan: Plan) -> pl.Series:
    """The text of a cleaned column in the one way of writing that stands for its value."""
    action = converts(plan).get(name)
    if action is None:
        return typed[name].cast(pl.String)
    return typed.select(extensions.load("steps", action.step).back(action).alias(name))[name]
