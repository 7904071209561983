"""Repair a rare misspelling of a frequent value where the evidence is overwhelming; flag it where it is merely likely.

A value is suspect when it is rare and one edit (two or three in long values) from a single value at least ten times as frequent, with the
same digits. Overwhelming is: a related column says the same (rows with the same postcode nearly all have the other city), or two letters
are swapped in a word of five and more, or a sign stands where a letter belongs, or one letter of a long word in a long value is wrong.
All other suspects stay as they are with a flag: Iran is not Iraq.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile
from data_sanitizer.profile.dependencies import vote_table

VERSION = 1
OPTIONS: Mapping[str, Any] = {"ratio": 10, "support": 3, "share": 0.6}

_STRENGTH, _COVER, _PARENTS = 0.5, 0.3, 4
_SEPARATORS = r"[\s_/,;:.()-]"
_SHORTEST = 4  # letters of a word in which a slip can be told from another word: Class A is not Class B, ak-7 not al-7
_PAIRS = 4_000_000  # of rare and frequent values to compare; beyond, the most frequent are compared


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """Find the suspects among the values, then what the related columns say of them."""
    if profile.typed or profile.values is None or profile.kind not in ("category", "text") or len(profile.values) * 2 > profile.filled:
        return None
    near = near_values(profile.values)
    rare = max(2, profile.filled // 500)
    suspects = [v for v, w in near.items() if profile.values[v] <= rare and profile.values[w] >= options["ratio"] * profile.values[v]]
    parents = _parents(profile, near, options) if near else {}
    if not suspects and not parents:
        return None
    certain = [v for v in suspects if _obvious(v, near[v], profile.values)]
    parameters = {"near": near, "suspects": suspects, "certain": certain, "parents": parents}
    return Action("category_typos", VERSION, column, parameters, "misspelling of a far more frequent value", 0.97)


def near_values(counts: Mapping[str, int]) -> dict[str, str]:
    """Value -> the one value at least twice as frequent that it may be a misspelling of."""
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    most = max(counts.values()) // 2
    rare = [v for v, n in counts.items() if n <= most and len(v) >= 4 and any(c.isalpha() for c in v)]
    frequent = [v for v, n in counts.items() if n >= 3][: _PAIRS // max(len(rare), 1)]
    if not rare or not frequent:
        return {}
    distances = process.cdist(rare, frequent, scorer=OSA.distance, score_cutoff=3, dtype=np.uint8)
    sizes = np.array([max(1, min(3, len(w) // 6)) for w in frequent])
    found = {}
    for value, row in zip(rare, distances, strict=True):
        row = np.where((row > sizes) | (row == 0), 255, row)
        best = int(row.argmin())
        target = frequent[best]
        if row[best] < 255 and int((row == row[best]).sum()) == 1 and _may_be(value, target, counts):
            found[value] = target
    return found


def _may_be(value: str, target: str, counts: Mapping[str, int]) -> bool:
    if counts[target] < 2 * counts[value] or _digits(value) != _digits(target) or value.casefold() == target.casefold():
        return False
    start = _difference(value, target)[0]
    return min(len(_word_at(value, start)), len(_word_at(target, start))) >= _SHORTEST


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


def _obvious(value: str, target: str, counts: Mapping[str, int]) -> bool:
    """The form of the difference alone shows a slip: swapped letters, a sign among letters, one wrong letter in a long word."""
    start, wrong, right = _difference(value, target)
    word = _word_at(target, start)
    if len(wrong) == len(right) == 2 and wrong == right[::-1] and wrong.isalpha() and len(word) >= 5:
        return counts[target] >= 20 * counts[value]
    if (
        len(wrong) == len(right) == 1
        and not (wrong.isalnum() or wrong.isspace() or wrong in "-'./&")
        and right.isalpha()
        and len(word) >= 4
    ):
        return True
    inside = 0 < start < len(target) - 1 and len(word) >= 6 and len(target) >= 12 and max(len(wrong), len(right)) == 1
    return inside and (wrong + right).isalpha() and counts[target] >= 50 * counts[value]


def _difference(value: str, target: str) -> tuple[int, str, str]:
    """Where the two begin to differ, and what stands there in each up to where they agree again."""
    shorter = min(len(value), len(target))
    start = next((i for i in range(shorter) if value[i] != target[i]), shorter)
    back = next((i for i in range(shorter - start) if value[-1 - i] != target[-1 - i]), shorter - start)
    return start, value[start : len(value) - back], target[start : len(target) - back]


def _word_at(text: str, place: int) -> str:
    """The word (letters, and signs that are no separators) around a place."""
    before, after = re.split(_SEPARATORS, text[:place])[-1], re.split(_SEPARATORS, text[place:])[0]
    return before + after


def _parents(profile: ColumnProfile, near: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Related column -> its value -> the target that rows with that value nearly all have."""
    if profile.table is None:
        return {}
    targets = list(dict.fromkeys(near.values()))
    found = {}
    for dependency in profile.table.related.get(profile.name, ())[:_PARENTS]:
        if dependency.strength > _STRENGTH and dependency.cover > _COVER:
            votes = vote_table(profile.table.rows, dependency.parent, profile.name)
            sure = votes.filter(
                pl.col("best").is_in(targets)
                & (pl.col("agree") >= options["support"])
                & (pl.col("agree") >= options["share"] * pl.col("support"))
            )
            found[dependency.parent] = dict(zip(sure[dependency.parent].to_list(), sure["best"].to_list(), strict=True))
    return {parent: table for parent, table in found.items() if table}


def _suggestion(action: Action) -> pl.Expr:
    near: Mapping[str, str] = action.parameters["near"]
    return pl.col(action.column).replace_strict(list(near), list(near.values()), default=None, return_dtype=pl.String)


def _supported(action: Action) -> pl.Expr:
    """True where a related column says what the suggestion says."""
    votes = [
        pl.col(parent).cast(pl.String).replace_strict(list(table), list(table.values()), default=None, return_dtype=pl.String)
        == _suggestion(action)
        for parent, table in action.parameters["parents"].items()
    ]
    return pl.any_horizontal([v.fill_null(value=False) for v in votes]) if votes else pl.lit(value=False)


def _sure(action: Action) -> pl.Expr:
    return pl.col(action.column).is_in(list(action.parameters["certain"])) | _supported(action)


def clean(action: Action) -> pl.Expr:
    """The column with the misspellings repaired that are beyond doubt."""
    suspects = list(action.parameters["near"])
    repaired = pl.when(_sure(action)).then(_suggestion(action)).otherwise(pl.col(action.column)).alias("cell")

    def only_suspects(row: pl.Series) -> pl.Series:
        table = row.struct.unnest()
        places = table.select(pl.col(action.column).is_in(suspects).fill_null(value=False).arg_true()).to_series()
        column = table[action.column]
        return column.clone().scatter(places, table[places].select(repaired).to_series()) if len(places) else column

    return pl.struct(action.column, *action.parameters["parents"]).map_batches(only_suspects, return_dtype=pl.String)


def flag(action: Action) -> pl.Expr:
    """True for suspects that were left as they are."""
    return pl.col(action.column).cast(pl.String).is_in(list(action.parameters["suspects"]))


def confidence(action: Action) -> pl.Expr:
    """0.97 for what is repaired, 0.6 for what is asked."""
    return pl.when(_sure(action)).then(action.confidence).otherwise(0.6)


def evidence(action: Action) -> pl.Expr:
    """What speaks for it; the suggestion itself stands in the ledger as the new value."""
    parents: Sequence[str] = list(action.parameters["parents"])
    supported = f"misspelling of a more frequent value; {' or '.join(parents)} says the same"
    return pl.when(_supported(action)).then(pl.lit(supported)).otherwise(pl.lit("one slip away from a far more frequent value"))
