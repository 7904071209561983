"""Damages records as real tables are damaged, and writes down the truth of every damage.

What a row becomes follows from the seed and its number alone. A row is a founder (a new customer), a relative (a new customer
with the family name and address of a founder: a namesake to trip over), an exact copy or a near copy of an earlier row. An exact copy
has the damage of the row it copies; a near copy has typing errors in one to three fields and damage of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.benchmark_data.records import COLUMNS, Dice, Numbers, identifiers, joined, money, records

Mask = NDArray[np.bool_]

EXACT, NEAR, RELATIVE = 0.07, 0.035, 0.02  # shares of the rows
NEW_ID = 0.5  # share of the near copies that were registered again under an id of their own
MISSING = {
    "email": 0.06, "phone": 0.12, "street": 0.07, "signup_date": 0.08,
    "amount": 0.06, "quantity": 0.09, "status": 0.07, "note": 0.13,
}  # fmt: skip
NULL_TOKENS = pl.Series(["N/A", "NULL", "n/a", "null", "-", "None", "#N/A", "NaN"])
TOKEN = 0.4  # share of the missing cells that hold such a token; the others are empty
OUTLIERS = {"amount": 0.015, "quantity": 0.015}
UNTIDY = {"full_name": 0.04, "city": 0.03, "country": 0.03, "status": 0.03}  # letters' case or blanks
MISTYPED = ("full_name", "email", "phone", "street", "city", "postcode", "note")
WRONG_KEYS = (pl.Series(list("0123456789")), pl.Series(list("etaoinsrhl")))
FIELD_CHOICES = tuple(np.array([sum(1 << f for f in c) for c in combinations(range(len(MISTYPED)), k)], np.uint64) for k in (1, 2, 3))

TRUTH_SCHEMA = {"row": pl.UInt64, "column": pl.String, "kind": pl.String, "original": pl.String, "duplicate_of": pl.UInt64}


@dataclass(frozen=True, slots=True)
class Written:
    """A stretch of the dirty table: the cells as written, for each row its entity (a founder's or relative's row), and the truth."""

    rows: Numbers
    entity: Numbers
    cells: pl.DataFrame
    truth: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Descent:
    """Where rows come from: `entity` is the row first written for the same customer, `layer` the row whose damage this row has."""

    entity: Numbers
    layer: Numbers

    @property
    def near(self) -> Mask:
        """The rows with typing errors: they have damage of their own, but describe an earlier customer."""
        near: Mask = self.entity != self.layer
        return near


def stretch(start: int, stop: int, dice: Dice) -> Written:
    """Rows start to stop - 1 of the dirty table; the same for any cut of the table into stretches."""
    rows = np.arange(start, stop, dtype=np.uint64)
    descent = descents(rows, dice)
    clean = records(descent.entity, homes(descent.entity, dice), dice)
    cells, truths = [], [_copies(rows, descent)]
    for place, column in enumerate(COLUMNS):
        written, kind = _damaged(clean[column], descent, dice)
        cells.append(written)
        truths.append(_cell_truth(rows, clean[column], kind).with_columns(place=pl.lit(place + 1)))
    truth = pl.concat(truths).sort("row", "place").drop("place")
    return Written(rows, descent.entity, pl.DataFrame(cells), truth)


def descents(rows: Numbers, dice: Dice) -> Descent:
    """The origin of each row: copies are of an earlier row that is not a copy itself and not the row just before."""
    exact, near, _ = _roles(rows, dice)
    entity, layer = rows.copy(), rows.copy()
    copies = exact | near
    entity[copies] = _earlier(rows[copies], dice, founders_only=False)
    layer[exact] = entity[exact]
    return Descent(entity, layer)


def homes(entities: Numbers, dice: Dice) -> Numbers:
    """The row whose family name and address each entity has: its own, or for a relative that of an earlier founder."""
    relative = _roles(entities, dice)[2]
    found = entities.copy()
    found[relative] = _earlier(entities[relative], dice, founders_only=True)
    return found


def _roles(rows: Numbers, dice: Dice) -> tuple[Mask, Mask, Mask]:
    lot = dice.below(rows, "role", 1 << 31).astype(np.float64) / (1 << 31)
    lot[rows < 2] = 1.0  # the first two rows have nothing to copy
    exact, near, relative = lot < EXACT, lot < EXACT + NEAR, lot < EXACT + NEAR + RELATIVE
    return exact, near & ~exact, relative & ~near


def _earlier(rows: Numbers, dice: Dice, *, founders_only: bool) -> Numbers:
    """Some row before the last one for each row; drawn again until it has a permitted role (row 0 always has)."""
    found = np.zeros_like(rows)
    open_places = np.arange(len(rows))
    attempt = 0
    while len(open_places):
        asking = rows[open_places]
        drawn = dice.below(asking, f"source {founders_only} {attempt}", asking - np.uint64(1))
        exact, near, relative = _roles(drawn, dice)
        refused = exact | near | (relative if founders_only else False)
        found[open_places] = drawn
        open_places = open_places[refused]
        attempt += 1
    return found


def _copies(rows: Numbers, descent: Descent) -> pl.DataFrame:
    copied = descent.entity != rows
    kinds = np.where(descent.near[copied], "near_duplicate", "exact_duplicate")
    entries = {"row": rows[copied], "column": None, "kind": kinds, "original": None, "duplicate_of": descent.entity[copied], "place": 0}
    return pl.DataFrame(entries, schema={**TRUTH_SCHEMA, "place": pl.Int32})


def _cell_truth(rows: Numbers, clean: pl.Series, kind: pl.Series) -> pl.DataFrame:
    hit = kind.is_not_null().to_numpy()
    entries = {"row": rows[hit], "column": clean.name, "kind": kind.filter(hit), "original": clean.filter(hit), "duplicate_of": None}
    return pl.DataFrame(entries, schema=TRUTH_SCHEMA)


class _Column:
    """One column on its way to damage: at most one damage a cell, the first one stays."""

    def __init__(self, clean: pl.Series) -> None:
        self.written = clean
        self.hurt = np.zeros(len(clean), np.bool_)
        self.kind = pl.Series([None], dtype=pl.String).new_from_index(0, len(clean))

    def damage(self, kind: str, where: Mask, make: Callable[[Mask], pl.Series]) -> None:
        """Replace the cells where `where` holds by what `make` gives for them, unless they are damaged already."""
        where = where & ~self.hurt
        if not where.any():
            return
        self.written = _replaced(self.written, where, make(where))
        self.kind = _replaced(self.kind, where, pl.Series([kind]).new_from_index(0, int(where.sum())))
        self.hurt |= where


def _replaced(text: pl.Series, where: Mask, new: pl.Series) -> pl.Series:
    places = np.arange(len(text))
    places[where] = len(text) + np.arange(len(new))
    return pl.concat([text, new.rename(text.name)]).gather(places)


def _damaged(clean: pl.Series, descent: Descent, dice: Dice) -> tuple[pl.Series, pl.Series]:
    """The cells of a column as written, and the kind of damage (null where the cell is as it was)."""
    name, layer, column = clean.name, descent.layer, _Column(clean)
    near = descent.near
    if name == COLUMNS[0]:
        column.damage("new_id", near & dice.chance(layer, "new id", NEW_ID), lambda m: identifiers(layer[m], dice))
    if name in MISTYPED:
        column.damage("typo", near & _mistyped(layer, name, dice), lambda m: misspelt(clean.filter(m), layer[m], dice))
    if name in MISSING:
        gone = dice.chance(layer, f"missing {name}", MISSING[name])
        column.damage("missing", gone, lambda m: _emptied(layer[m], name, dice))
    if name in OUTLIERS:
        far = dice.chance(layer, f"outlier {name}", OUTLIERS[name])
        column.damage("outlier", far, lambda m: _extreme(layer[m], name, dice))
    if name in UNTIDY:
        untidy = dice.chance(layer, f"untidy {name}", UNTIDY[name])
        blank = dice.chance(layer, f"blank {name}", 0.5)
        column.damage("blank", untidy & blank, lambda m: _blanks(clean.filter(m), layer[m], dice))
        column.damage("case", untidy, lambda m: _cases(clean.filter(m), layer[m], dice))
    return column.written, column.kind


def _mistyped(layer: Numbers, name: str, dice: Dice) -> Mask:
    """Whether this field is among the one to three in which a near copy has typing errors."""
    how_many = dice.below(layer, "how many typos", 3)
    fields = np.zeros_like(layer)
    for count, choices in enumerate(FIELD_CHOICES):
        fields = np.where(how_many == count, choices[dice.below(layer, "which typos", len(choices)).astype(np.intp)], fields)
    chosen: Mask = (fields >> np.uint64(MISTYPED.index(name))) & np.uint64(1) == np.uint64(1)
    return chosen


def misspelt(text: pl.Series, layer: Numbers, dice: Dice) -> pl.Series:
    """Each text with one typing error: two characters swapped, one left out, doubled or replaced; never the text itself.

    Texts need at least two characters.
    """
    name, lengths = text.name, text.str.len_chars().to_numpy().astype(np.uint64)
    place = pl.lit(pl.Series(dice.below(layer, f"typo place {name}", lengths - np.uint64(1))).cast(pl.Int64))
    error = pl.lit(pl.Series(dice.below(layer, f"typo {name}", 4)))
    digit, letter = (pl.lit(keys.gather(dice.below(layer, f"key {name}", 10))) for keys in WRONG_KEYS)
    whole = pl.lit(text)
    left, one, two, right = (whole.str.slice(a, n) for a, n in ((0, place), (place, 1), (place + 1, 1), (place + 2, None)))
    key = pl.when(one.str.contains(r"^\d$")).then(digit).otherwise(letter)
    wrong = (
        pl.when(error == 0)
        .then(pl.concat_str(left, two, one, right))
        .when(error == 1)
        .then(pl.concat_str(left, one, one, two, right))
        .when(error == 2)
        .then(pl.concat_str(left, key, two, right))
    )
    return pl.select(pl.when(wrong != whole).then(wrong).otherwise(pl.concat_str(left, two, right))).to_series()


def _emptied(layer: Numbers, name: str, dice: Dice) -> pl.Series:
    tokens = NULL_TOKENS.gather(dice.below(layer, f"token {name}", len(NULL_TOKENS)))
    as_token = pl.Series(dice.chance(layer, f"as token {name}", TOKEN))
    return pl.select(pl.when(as_token).then(tokens)).to_series()


def _extreme(layer: Numbers, name: str, dice: Dice) -> pl.Series:
    """Far beyond what is usual: amounts from 100,000 to 10 millions, quantities from 500 to 100,000 (both with a long tail)."""
    low, high = (10_000_000, 1_000_000_000) if name == "amount" else (500, 100_000)
    value = dice.early(layer, f"extreme {name}", high - low) + np.uint64(low)
    return money(value) if name == "amount" else pl.Series(value).cast(pl.String)


def _blanks(text: pl.Series, layer: Numbers, dice: Dice) -> pl.Series:
    before, after, doubled = joined([" ", text]), joined([text, " "]), text.str.replace(" ", "  ", literal=True)
    return _variants(layer, f"blanks {text.name}", dice, [before, after, joined([after, " "]), doubled.zip_with(doubled != text, before)])


def _cases(text: pl.Series, layer: Numbers, dice: Dice) -> pl.Series:
    return _variants(layer, f"case {text.name}", dice, [text.str.to_uppercase(), text.str.to_lowercase()])


def _variants(layer: Numbers, purpose: str, dice: Dice, choices: list[pl.Series]) -> pl.Series:
    pick = dice.below(layer, purpose, len(choices)).astype(np.intp)
    return pl.concat([choice.rename("") for choice in choices]).gather(pick * len(layer) + np.arange(len(layer)))


def stretches(rows: int, dice: Dice, length: int) -> Iterator[Written]:
    """The whole dirty table, stretch by stretch."""
    for start in range(0, rows, length):
        yield stretch(start, min(start + length, rows), dice)
