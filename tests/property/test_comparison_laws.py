"""Chance never alarms: two random halves of one table do not differ; and what does not depend on order does not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator

from data_sanitizer.comparison import compare
from data_sanitizer.pipeline.pass1 import with_sensitivity
from data_sanitizer.profile import TableStatistics
from data_sanitizer.profile.column_profile import described, summarise
from data_sanitizer.profile.sample import RowSample

KINDS = ("codes", "days", "days_and_words", "doubtful", "emails", "few", "heavy", "many", "numbers", "odd_dates", "rare", "sparse", "words")


def profile(frame: pl.DataFrame) -> dict[str, Any]:
    """What profile.json says of a frame of text."""
    table = TableStatistics(sample=RowSample(seed=3))
    table.update(frame, 0, np.arange(frame.height, dtype=np.uint64), frozenset())
    found = summarise(table, dict(frame.schema))
    return {"rows": frame.height, "columns": {n: described(with_sensitivity(p)) for n, p in found.items()}}


def cells(kind: str, n: int, rng: Generator) -> list[str | None]:
    """A column whose content is hard to tell from chance: borderline kinds, heavy tails, rare values."""
    spread = rng.lognormal(rng.uniform(-2, 9), rng.uniform(0.01, 3), n)
    numbers = [f"{x:.{rng.integers(0, 4)}f}" for x in spread]
    days = [dt.date(2001, 1, 1) + dt.timedelta(int(d)) for d in rng.integers(0, rng.choice([20, 9000]), n)]
    zipf = [f"v{min(int(x), 10**6)}" for x in rng.zipf(rng.uniform(1.2, 3), n)]
    share = rng.choice([0.01, 0.05, 0.5])  # 0.05: a column of numbers is one up to there
    mixed = rng.random(n) < share
    made: dict[str, list[Any]] = {
        "numbers": numbers, "heavy": zipf, "codes": [f"{x:04d}" for x in rng.integers(0, 9999, n)],
        "few": list(rng.choice(["yes", "no", "maybe"][: int(rng.integers(1, 4))], n)),
        "rare": ["a" if x else "b" for x in rng.random(n) < 0.999],
        "days": [d.strftime("%d/%m/%Y") for d in days], "emails": [f"u{x}@e.org" for x in rng.integers(0, n, n)],
        "days_and_words": [f"{d:%Y-%m-%d}" if not m else "soon" for d, m in zip(days, mixed, strict=True)],
        "odd_dates": [d.strftime("%m/%d/%Y" if m else "%d/%m/%Y") for d, m in zip(days, mixed, strict=True)],
        "doubtful": [f"{x / 7:.3f}" if not m else f"{x:.0f}" for x, m in zip(spread, mixed, strict=True)],
        "sparse": [None if m else x for x, m in zip(numbers, mixed, strict=True)], "many": [str(x) for x in rng.permutation(n)],
        "words": [x if not m else "some words" for x, m in zip(numbers, mixed, strict=True)],
    }  # fmt: skip
    return made[kind]


def test_every_kind_of_column_is_made() -> None:
    assert {kind: len(cells(kind, 9, np.random.default_rng(0))) for kind in KINDS} == dict.fromkeys(KINDS, 9)


@given(seed=st.integers(0, 2**32), n=st.sampled_from([2, 30, 400, 6000]), share=st.floats(0.05, 0.95))
@settings(max_examples=25, deadline=None)
def test_two_random_parts_of_a_table_do_not_differ(seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    table = pl.DataFrame({kind: cells(kind, n, rng) for kind in KINDS}, schema=dict.fromkeys(KINDS, pl.String))
    first = pl.Series(rng.random(n) < share)
    one, other = profile(table.filter(first)), profile(table.filter(~first))
    assert compare(one, other) == []
    assert compare(other, one) == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_the_order_of_rows_says_nothing_and_a_table_does_not_differ_from_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = pl.DataFrame({kind: cells(kind, 500, rng) for kind in KINDS}, schema=dict.fromkeys(KINDS, pl.String))
    other = pl.DataFrame({kind: cells(kind, 700, rng) for kind in KINDS}, schema=dict.fromkeys(KINDS, pl.String))
    turned = table[rng.permutation(500).tolist()]
    assert compare(profile(table), profile(turned)) == []
    assert compare(profile(table), profile(other)) == compare(profile(turned), profile(other))
