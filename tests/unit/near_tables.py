"""Tables with known near-duplicates: people with households, products, each with the entity of every row."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from data_sanitizer.duplicates.found import NearDuplicates
from data_sanitizer.duplicates.near import find
from data_sanitizer.duplicates.records import RecordFile

SYLLABLES = ("an", "be", "ca", "do", "el", "fa", "gri", "ho", "is", "jo", "ka", "lu", "mar", "ne", "or", "pe", "qui", "ra", "sto", "ta")
Row = list[str | None]


def words(dice: np.random.Generator, count: int, parts: int) -> list[str]:
    return ["".join(dice.choice(SYLLABLES, parts)) for _ in range(count)]


def people(count: int, seed: int, households: float = 0.0, copies: float = 0.2) -> tuple[pl.DataFrame, np.ndarray]:
    """First and last name, birthday, street, city, phone, mail; some live with the one before, some come twice with one or two errors."""
    dice = np.random.default_rng(seed)
    first, last, street, city = words(dice, 120, 2), words(dice, 900, 3), words(dice, 300, 3), words(dice, 40, 2)
    rows: list[Row] = []
    for k in range(count):
        name, family = str(dice.choice(first)), str(dice.choice(last))
        home: Row = [f"{dice.integers(1, 400)} {dice.choice(street)} street", str(dice.choice(city)), str(dice.integers(10**8, 10**9))]
        if k and dice.random() < households:
            family, home = str(rows[-1][1]), rows[-1][3:6]
        born = f"{dice.integers(1940, 2005)}-{dice.integers(1, 13):02d}-{dice.integers(1, 29):02d}"
        rows.append([name, family, born, *home, f"{name}.{family}{dice.integers(1, 99)}@mail.example"])
    entities = list(range(count))
    for k in dice.choice(count, int(count * copies), replace=False):
        rows.append(damaged(dice, rows[k]))
        entities.append(int(k))
    order = dice.permutation(len(rows))
    names = ("first", "last", "born", "street", "city", "phone", "mail")
    return pl.DataFrame([rows[k] for k in order], list(names), orient="row"), np.array(entities)[order]


def damaged(dice: np.random.Generator, row: Row) -> Row:
    """A copy with an error in one or two cells."""
    copy = list(row)
    for column in dice.choice(len(row), int(dice.integers(1, 3)), replace=False):
        cell = copy[column]
        place = int(dice.integers(len(cell))) if cell else 0
        copy[column] = None if dice.random() < 0.15 or not cell else cell[:place] + str(dice.choice(list("abc123"))) + cell[place + 1 :]
    return copy


def products(count: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Titles of products: each twice in other words, in families whose members differ by a number."""
    dice = np.random.default_rng(seed)
    makers, things, traits = words(dice, 20, 2), words(dice, 60, 3), words(dice, 400, 3)
    rows: list[Row] = []
    for _ in range(count):
        maker, thing, trait = dice.choice(makers), dice.choice(things), dice.choice(traits, 5)
        code = f"{dice.choice(list('abcdxyz'))}{dice.integers(100, 9999)}"
        rows.append([f"{maker} {thing} {code} {trait[0]} {trait[1]}", f"{maker} {thing} with {trait[0]} {trait[1]} {trait[2]} {trait[3]}"])
        rows.append([f"{maker} {code} {thing} {trait[2]}", f"{trait[0]} {thing} by {maker} {trait[3]} {trait[4]}"])
    order = dice.permutation(len(rows))
    return pl.DataFrame([rows[k] for k in order], ["title", "text"], orient="row"), np.repeat(np.arange(count), 2)[order]


def found(table: pl.DataFrame, block: int = 1 << 16, threads: int = 1) -> NearDuplicates:
    """The near-duplicates of a table."""
    with tempfile.TemporaryDirectory() as folder:
        file = RecordFile(Path(folder))
        for first in range(0, max(table.height, 1), block):
            file.append(table[first : first + block])
        return find(file.finish(), Path(folder), threads)


def pairs(labels: np.ndarray) -> set[tuple[int, int]]:
    """Every pair of rows with one label."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return {(int(a), int(b)) for g in groups for i, a in enumerate(g) for b in g[i + 1 :]}


def figures(labels: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Precision and recall of pairs."""
    said, right = pairs(labels), pairs(true)
    return len(said & right) / max(len(said), 1), len(said & right) / max(len(right), 1)
