"""Neighbours by rare terms, whole rows as texts, and cells that moved."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_sanitizer.duplicates.candidates import is_small
from data_sanitizer.duplicates.comparison import WholeRows, all_pairs
from data_sanitizer.duplicates.moved import exchanged, raise_moved
from data_sanitizer.duplicates.neighbours import READ, neighbours
from data_sanitizer.duplicates.records import RecordFile, Records

MAKERS = ("acme", "zenith", "orion", "lumen")


def titles(count: int) -> list[str]:
    """Titles of products, each followed by another title of the same one."""
    dice, words = np.random.default_rng(3), [f"w{k}ord" for k in range(60)]
    found = []
    for k in range(count):
        some = " ".join(dice.choice(words, 3))
        found += [f"{MAKERS[k % 4]} ab{k * 7 + 1000}x {some}", f"{some.split()[0]} {MAKERS[k % 4]} ab {k * 7 + 1000}x new"]
    return found


def pairs(found: np.ndarray) -> set[tuple[int, int]]:
    return {(int(x) >> 32, int(x) & 0xFFFFFFFF) for x in found}


def records(folder: Path, table: dict[str, list[str | None]]) -> Records:
    folder.mkdir(exist_ok=True)
    file = RecordFile(folder)
    file.append(pl.DataFrame(table))
    return file.finish()


def column(folder: Path, cells: list[str]) -> Records:
    return records(folder, {"title": list(cells)})


@pytest.mark.parametrize("grams", [False, True])
def test_the_nearest_share_what_is_rare(tmp_path: Path, grams: bool) -> None:
    found = pairs(neighbours(column(tmp_path, titles(400)), 0, 2, grams))
    assert sum((2 * k, 2 * k + 1) in found for k in range(400)) >= 390
    assert len(found) <= 2 * 800


def test_neighbours_do_not_depend_on_the_order_of_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, order = titles(300), np.random.default_rng(8).permutation(600)
    there = pairs(neighbours(column(tmp_path / "a", cells), 0, 3))
    monkeypatch.setattr("data_sanitizer.duplicates.neighbours._BLOCK", 50)
    again = pairs(neighbours(column(tmp_path / "b", [cells[k] for k in order]), 0, 3))
    assert {tuple(sorted((int(order[a]), int(order[b])))) for a, b in again} == there


def test_of_many_rows_only_the_rarest_terms_are_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_sanitizer.duplicates.neighbours._ENTRIES", 100)
    found = pairs(neighbours(column(tmp_path, titles(400)), 0, 2))
    assert sum((2 * k, 2 * k + 1) in found for k in range(400)) >= 350


def test_terms_of_many_rows_are_not_read(tmp_path: Path) -> None:
    assert len(neighbours(column(tmp_path / "a", ["same words"] * (READ + 5)), 0)) == 0
    assert pairs(neighbours(column(tmp_path / "b", ["", "a b", "", "a b"]), 0)) == {(1, 3)}
    assert len(neighbours(column(tmp_path / "c", ["", ""]), 0)) == 0


def test_whole_rows_are_compared_as_one_text(tmp_path: Path) -> None:
    table = {"a": ["One Two", "", "Nine"], "b": ["three", "one two three", "ten"], "id": ["1", "2", "3"]}
    kept = records(tmp_path, table)
    joined = kept.joined(np.array([0, 1]), np.array([0, 1]))
    assert bytes(joined.data) == b"one two threeone two three"
    a, b = next(all_pairs(3))
    whole = WholeRows.counted(kept, [0, 1], np.arange(3))
    assert whole.similarity(a, b).tolist() == pytest.approx([1.0, 0.0, 0.0], abs=0.05)
    np.testing.assert_array_equal(whole.similarity(a, b, threads=2), whole.similarity(b, a))


def test_cells_that_moved_agree(tmp_path: Path) -> None:
    table = {"first": ["Ann", "Lee", "Zoe", "Lee", None], "last": ["Lee", "Ann", "Lee", "Kim", "Ann"], "n": ["1", "2", "3", "1", "2"]}
    kept = records(tmp_path, table)
    columns = exchanged(kept, range(3), np.arange(5))
    assert columns.tolist() == [[0, 1]]
    a, b = np.array([0, 0, 0, 0]), np.array([1, 2, 3, 4])
    levels = np.array([[1, 1, 1], [1, 7, 1], [1, 1, 4], [0, 1, 1]], np.int8)
    raise_moved(kept, a, b, columns, np.array([4, 7, 4], np.int8), levels)
    assert levels.tolist() == [[3, 6, 1], [1, 7, 1], [2, 6, 4], [3, 2, 1]]


def test_a_table_is_small_by_its_cells(tmp_path: Path) -> None:
    kept = records(tmp_path, {"a": [str(k) for k in range(2400)]})
    assert is_small(kept)
    assert not is_small(replace(kept, counts=np.full((20, 4), 2400)))
    assert not is_small(replace(kept, contents=np.zeros(2501, np.uint64)))
