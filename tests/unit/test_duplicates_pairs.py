"""Pairs of rows with equal keys: all of short runs, neighbours in long ones, whatever the order of the rows."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer.duplicates import pairs as p


def contents(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 2**63, rows).astype(np.uint64)


def hashed(values: np.ndarray) -> np.ndarray:
    return np.where(values == 0, 0, p.keys([values.astype(np.uint64)]))


def unpacked(found: np.ndarray) -> list[tuple[int, int]]:
    return [(int(x) >> 32, int(x) & 0xFFFFFFFF) for x in found]


@given(st.lists(st.integers(0, 6), max_size=40))
@settings(max_examples=200, deadline=None)
def test_short_runs_give_all_their_pairs(values: list[int]) -> None:
    array = np.array(values, np.uint64)
    found = unpacked(p.run_pairs(hashed(array), contents(len(values))))
    assert found == [(a, b) for a, b in combinations(range(len(values)), 2) if values[a] == values[b] != 0]


def test_a_long_run_gives_every_row_a_few_neighbours() -> None:
    rows = 5000
    found = p.run_pairs(np.full(rows, 99, np.uint64), contents(rows))
    assert len(found) == p.NEIGHBOURS * rows - p.NEIGHBOURS * (p.NEIGHBOURS + 1) // 2


def test_too_many_pairs_are_not_given() -> None:
    keys = hashed(np.arange(6000) // 50 + 1)
    assert len(p.run_pairs(keys, contents(6000), 100)) == 120 * 50 * 49 // 2
    assert len(p.run_pairs(keys, contents(6000), 4)) <= 6 * 6000


@pytest.mark.parametrize("sizes", [[3] * 50, [200, 5, 61, 60, 1, 1], [1000]])
def test_pairs_do_not_depend_on_the_order_of_the_rows(sizes: list[int]) -> None:
    values = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    content, order = contents(len(values)), np.random.default_rng(5).permutation(len(values))
    there = unpacked(p.run_pairs(hashed(values), content))
    again = unpacked(p.run_pairs(hashed(values[order]), content[order]))
    assert sorted(tuple(sorted((int(order[a]), int(order[b])))) for a, b in again) == there


def test_a_row_without_a_view_has_no_key() -> None:
    views = [np.array([1, 2, 0, 4], np.uint64), np.array([1, 2, 3, 0], np.uint64)]
    found = p.keys(views)
    assert (found != 0).tolist() == [True, True, False, False]
    assert found[0] != found[1]
    assert (p.keys(views[:1]) != p.keys(views[1:]))[2:].all()


def test_templates_are_merged_and_every_pair_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p, "_MERGED", 20)
    rows, dice = 300, np.random.default_rng(2)
    files, expected = p.PairFiles(tmp_path, contents(rows)), set[tuple[int, int]]()
    for template in range(4):
        values = dice.integers(0, 90, rows)
        for part in np.split(hashed(values), 3):
            files.append(template, part)
        expected |= {(a, b) for a, b in combinations(range(rows), 2) if values[a] == values[b] != 0}
    files.find()
    chunks = [list(zip(a.tolist(), b.tolist(), strict=True)) for a, b in files.merged()]
    assert [pair for chunk in chunks for pair in chunk] == sorted(expected)
    assert len(chunks) > 10


def test_no_rows_no_pairs(tmp_path: Path) -> None:
    files = p.PairFiles(tmp_path, contents(0))
    files.append(0, np.zeros(0, np.uint64))
    files.find()
    assert list(files.merged()) == []


@pytest.mark.parametrize("size", [1770, 5000, 1 << 22])
def test_pairs_are_the_same_however_many_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    values = np.concatenate([np.repeat(np.arange(200), 20), np.repeat(np.arange(200, 230), 70), np.repeat(230, 900)])
    keys, content = hashed(values), contents(len(values))
    whole = p.run_pairs(keys, content)
    monkeypatch.setattr(p, "_PART", size)
    parts = list(p.run_parts(keys.copy(), content))
    assert len(parts) > (1 if size < 10_000 else 0)
    assert np.array_equal(np.sort(np.concatenate(parts)), whole)
    assert len(np.unique(whole)) == len(whole)
