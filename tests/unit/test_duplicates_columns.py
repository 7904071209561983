"""What columns say: numbers of rows, parts of others, chance agreement, dependence."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_sanitizer.duplicates import chance, columns
from data_sanitizer.duplicates.records import RecordFile, Records

FIRST, LAST = ("ann", "bob", "cid", "dora", "eve"), ("stone", "wood", "hill", "lake", "field", "moor")


def records(folder: Path, table: dict[str, list[str | None]]) -> Records:
    file = RecordFile(folder)
    file.append(pl.DataFrame(table))
    return file.finish()


def names(count: int) -> dict[str, list[str | None]]:
    first, last = [FIRST[k % 5] for k in range(count)], [LAST[k * 7 % 11 % 6] for k in range(count)]
    return {
        "id": [f"{k:05d}" for k in range(count)],
        "first": list(first),
        "last": list(last),
        "full": [f"{a} {b}" for a, b in zip(first, last, strict=True)],
        "mail": [f"{a}.{b}{k}@mail.example.org" for k, (a, b) in enumerate(zip(first, last, strict=True))],
        "empty": [None] * count,
    }


def test_generated_numbers_parts_and_empty_columns_are_left_out(tmp_path: Path) -> None:
    found = columns.roles(records(tmp_path, names(300)))
    assert found.identifiers == (0,)
    assert dict(found.contained) == {1: 3, 2: 3}
    assert found.used == (3, 4)


@pytest.mark.parametrize(
    ("cells", "generated"),
    [
        ([str(k) for k in range(4000)], True),
        ([f"rec-{k}-{'org' if k % 2 else 'dup-0'}" for k in range(4000)], True),
        ([f"{k:08x}-{k * 7919 % 65536:04x}-aaaa" for k in range(4000)], True),
        ([str(k) for k in [*range(3999), 7]], False),
        ([str(k) if k else None for k in range(4000)], False),
        ([f"{FIRST[k % 5]} {LAST[k % 6]} the {k}{'abcdefghijk'[k % 11] * (k % 13)}" for k in range(4000)], False),
    ],
    ids=["serial", "prefixed", "hexadecimal", "one comes twice", "one is empty", "text"],
)
def test_what_tells_a_generated_identifier(tmp_path: Path, cells: list[str | None], generated: bool) -> None:
    assert columns.identifiers(records(tmp_path, {"column": cells})) == (generated,)


def test_plain_numbers_are_measures_and_dates_and_codes_are_not(tmp_path: Path) -> None:
    dice = np.random.default_rng(1)
    table: dict[str, list[str | None]] = {
        "year": [str(1990 + k % 30) for k in range(300)],
        "price": [f"{x:.2f}" for x in dice.lognormal(4, 2, 300)],
        "weight": [f"{x:.1f}" for x in dice.uniform(60, 140, 300)],
        "born": [f"19{k % 90 + 10}-0{k % 9 + 1}-1{k % 10}" for k in range(300)],
        "postcode": [f"{x:05d}" for x in dice.integers(10000, 99999, 300)],
        "name": [LAST[k % 6] for k in range(300)],
    }
    assert columns.measures(records(tmp_path, table), np.arange(300)) == (0, 1, 2)


def test_a_part_of_a_cell_that_is_often_empty_still_counts(tmp_path: Path) -> None:
    table = names(300)
    table["full"] = [cell if k % 3 else None for k, cell in enumerate(table["full"])]
    found = columns.roles(records(tmp_path, table))
    assert found.contained == ()
    assert {(1, 3), (2, 3)} <= set(found.parts)


def test_equal_columns_do_not_leave_each_other_out(tmp_path: Path) -> None:
    word = [f"{FIRST[k % 5]} {LAST[k % 6]}" for k in range(200)]
    found = columns.roles(records(tmp_path, {"one": list(word), "other": list(word)}))
    assert len(found.used) == 1


def test_rows_are_ordered_by_content_whatever_their_number(tmp_path: Path) -> None:
    table = pl.DataFrame({"name": [f"n{k % 40}" for k in range(60)], "text": ["a b" if k % 2 else "ab" for k in range(60)]})
    orders = []
    for k, shuffled in enumerate((table, table.sample(fraction=1, shuffle=True, seed=2))):
        folder = tmp_path / str(k)
        folder.mkdir()
        rows = columns.by_content(made := records(folder, shuffled.to_dict(as_series=False)), np.arange(60))
        orders.append([made.joined(rows[i : i + 1], np.array([0, 1])).data.tobytes() for i in range(60)])
    assert orders[0] == orders[1]


def prints(cells: list[list[int]]) -> np.ndarray:
    """Fingerprints that differ in their top bits."""
    values = np.array(cells, np.uint64)
    with np.errstate(over="ignore"):
        return np.where(values == 0, np.uint64(0), values * np.uint64(0x9E3779B97F4A7C15))


def test_frequencies_count_values_and_leave_empty_cells_out() -> None:
    found = chance.Frequencies.counted([prints([[1, 5], [1, 0], [2, 6], [1, 7]])], 4, [0, 1])
    assert found.cells.tolist() == [4, 3]
    assert found.of(0, prints([[1], [2], [0]])[:, 0]) == pytest.approx([3, 1, 0], abs=0.01)
    assert found.agreement()[0] == pytest.approx(0.5, abs=0.01)
    assert found.entropy() == pytest.approx([0.811, 1.585], abs=0.01)


def test_a_column_that_goes_with_another_is_known_from_heavy_values() -> None:
    dice = np.random.default_rng(1)
    city = dice.integers(1, 21, 2000)
    cells = prints(np.stack([city, city % 7 + 100, dice.integers(1, 500, 2000)], axis=1).tolist())
    found = chance.dependence(cells, chance.Frequencies.counted([cells], len(cells), [0, 1, 2]), 10)
    assert found[0, 1] == pytest.approx(1.0)
    assert found[0, 2] < 0.05
    assert found[1, 0] == pytest.approx(0.35, abs=0.1)


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5, 100])
def test_random_pairs_are_of_different_rows(rows: int) -> None:
    a, b = chance.random_pairs(np.arange(rows) * 3, 300)
    assert (a != b).all()
    assert len(a) <= max(300, rows)
    assert (len(a) > 0) == (rows > 1)


def test_the_rarer_the_value_the_less_likely_by_chance() -> None:
    values = [[1]] * 90 + [[2]] * 8 + [[3]] * 2
    frequencies = chance.Frequencies.counted([prints(values)], len(values), [0])
    exact, equal = np.array([4], np.int8), frequencies.agreement()
    levels = np.array([[4], [4], [1]], np.int8)
    known = chance.Chance(chance.table(levels, exact, equal), equal, exact, frequencies, np.zeros((1, 1)))
    used, logs = known.logs(levels, prints([[1], [3], [1]]))
    assert used.all()
    assert logs[0, 0] > logs[1, 0]
