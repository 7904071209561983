"""profile(a + b) == merge(profile(a), profile(b)), for every statistic and any split."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer.profile import TableStatistics
from data_sanitizer.profile.column_profile import described, summarise
from data_sanitizer.profile.numbers import Numbers
from data_sanitizer.profile.sample import RowSample

CELLS = st.one_of(
    st.none(),
    st.sampled_from(
        ["", " ", "N/A", "null", "007", "42", "-3", "1,234", "1.234", "1.234,50", "3.14", "18/03/2015", "03/04/2015", "2015-03-18"]
    ),
    st.sampled_from(
        [
            "2015-03-18 10:00:00",
            "a@b.org",
            "http://x.org",
            "+49 30 1234",
            "AB-12",
            "Anna",
            " Anna  B ",
            "é",
            "e\u0301",
            "true",
            "12.5 %",
            "€ 3",
        ]
    ),
    st.text(max_size=12),
    st.integers(-(10**16), 10**16).map(str),
    st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: f"{x:.3f}"),
)


def statistics(frame: pl.DataFrame, first: int = 0) -> TableStatistics:
    table = TableStatistics(sample=RowSample(seed=5))
    table.update(frame, 0, np.arange(first, first + frame.height, dtype=np.uint64), frozenset(frame.columns))
    return table


def told(table: TableStatistics) -> dict[str, object]:
    """Everything a profile says, as plain values."""
    profiles = summarise(table, {"a": pl.String(), "b": pl.String()})
    kinds = {n: (p.values, p.thousands, p.date_order, p.currencies, p.sample.to_dict(as_series=False)) for n, p in profiles.items()}
    return {
        "columns": {n: described(p) for n, p in profiles.items()},
        "kinds": kinds,
        "sample": table.sample.rows().to_dict(as_series=False),
    }


@settings(max_examples=60)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_any_split_and_order_of_merging_gives_the_same_profile(rows: list[tuple[str | None, str | None]], cuts: list[int]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String}, orient="row")
    edges = [0, *sorted(min(c, frame.height) for c in cuts), frame.height]
    parts = [statistics(frame[a:b], a) for a, b in itertools.pairwise(edges)]
    merged = TableStatistics(sample=RowSample(seed=5))
    for part in reversed(parts):
        merged.merge(part)
    assert told(merged) == told(statistics(frame))


@pytest.mark.parametrize("cut", [1, 7_000, 29_999])
def test_large_columns_split_anywhere_profile_the_same(cut: int) -> None:
    """Beyond the caps as well: more values than are counted, more rows than are sampled."""
    dice = np.random.default_rng(3)
    frame = pl.DataFrame({"a": dice.integers(0, 10**9, 30_000).astype(str), "b": np.round(dice.lognormal(3, 2, 30_000), 2).astype(str)})
    merged = statistics(frame[cut:], cut)
    merged.merge(statistics(frame[:cut]))
    assert told(merged) == told(statistics(frame))
    assert summarise(merged, {"a": pl.String()})["a"].values is None


def test_estimates_are_near_the_truth() -> None:
    dice = np.random.default_rng(4)
    values = np.round(dice.lognormal(3, 1, 100_000), 2)
    frame = pl.DataFrame({"a": values.astype(str), "b": dice.integers(0, 10**12, 100_000).astype(str)})
    profiles = summarise(statistics(frame), dict(frame.schema))
    number = profiles["a"].number
    assert number is not None
    assert number.count == 100_000
    assert number.mean == pytest.approx(values.mean(), rel=1e-12)
    assert number.deviation == pytest.approx(values.std(ddof=1), rel=1e-9)
    for q in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert number.quantile(q) == pytest.approx(np.quantile(values, q), rel=0.008)
    assert profiles["b"].distinct == pytest.approx(frame["b"].n_unique(), rel=0.03)


def test_sums_are_exact_where_floats_are_not() -> None:
    table = statistics(pl.DataFrame({"a": ["0.1"] * 10 + ["1000000000000.5"], "b": ["x"] * 11}))
    numbers: Numbers = table.columns["a"].numbers
    lane = numbers.lanes["plain"]
    assert float(lane.total(0)) == 1000000000001.5
