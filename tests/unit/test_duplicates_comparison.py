"""Levels of agreement of pairs of rows."""

from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_sanitizer.duplicates.comparison import Bar, Comparison, Measure, all_pairs, measures, rarities
from data_sanitizer.duplicates.records import RecordFile, Records

PEOPLE = pl.DataFrame(
    {
        "name": ["Martha", "Marhta", "MARTHA", None, "Dwayne", "Zoe"],
        "zip": ["10115", "1 0115", "10151", "10999", "20355", ""],
        "street": ["12 North Elm Street", "12 North Elm Str.", "12 north elm street", "Elm Street 12", "99 Harbour Road", "1 Quay"],
        "nothing": [None] * 6,
    }
)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    file = RecordFile(tmp_path)
    file.append(PEOPLE)
    return file.finish()


def comparison(records: Records, *own: Measure | None) -> Comparison:
    chosen = own or measures(records.kinds)
    return Comparison(records, tuple(chosen), rarities(records, chosen, np.arange(records.rows)))


def test_levels_say_how_far_cells_agree(records: Records) -> None:
    assert records.kinds == ("short", "number", "long", "empty")
    levels = comparison(records).levels(np.array([0, 0, 0, 0, 0]), np.array([1, 2, 3, 4, 5]))
    assert levels[:, 0].tolist() == [3, 4, 0, 1, 1]
    assert levels[:, 1].tolist() == [4, 3, 1, 1, 0]
    assert levels[1, 2] == 7
    assert levels[0, 2] >= 5 > levels[3, 2] >= levels[4, 2] == 1
    assert levels[:, 3].tolist() == [0] * 5


def test_levels_are_the_same_for_any_number_of_threads_and_any_chunk(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = next(all_pairs(records.rows))
    whole = comparison(records).levels(a, b)
    monkeypatch.setattr("data_sanitizer.duplicates.comparison._CHUNK", 3)
    np.testing.assert_array_equal(comparison(records).levels(a, b, threads=3), whole)


def test_agreement_is_mutual(records: Records) -> None:
    a, b = next(all_pairs(records.rows))
    np.testing.assert_array_equal(comparison(records).levels(a, b), comparison(records).levels(b, a))


def test_a_pair_that_cannot_pass_the_bar_is_not_read_further(records: Records) -> None:
    gains = np.zeros((4, 8), np.float32)
    gains[:3, 1], gains[:3, 2:] = -5, 2
    best = np.array([2, 2, 2, 0], np.float32)
    a, b = np.array([0, 0]), np.array([1, 1])
    whole = comparison(records).levels(a, b)
    assert (comparison(records).levels(a, b, bar=Bar(0, gains, best, -20)) == whole).all()
    hopeless = comparison(records).levels(a, b, bar=Bar(0, gains, best, 100))
    assert (hopeless[whole == 1] == 1).all()
    assert hopeless.tolist() == [[1, 4, 1, 0]] * 2


def test_a_column_without_a_measure_is_no_evidence(records: Records) -> None:
    a, b = next(all_pairs(records.rows))
    whole, two = measures(records.kinds), comparison(records).levels(a, b)
    levels = comparison(records, None, whole[1], whole[2], None).levels(a, b)
    assert two[:, 0].any()
    assert (levels[:, [0, 3]] == 0).all()
    assert (levels[:, 1:3] == two[:, 1:3]).all()


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 1500])
def test_all_pairs_are_each_given_once(rows: int) -> None:
    found = [(x, y) for a, b in all_pairs(rows) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert found == list(combinations(range(rows), 2))
