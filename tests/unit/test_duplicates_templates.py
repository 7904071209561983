"""Templates chosen from a table of people that knows its duplicates, and the candidates they give."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_sanitizer.duplicates import candidates as c
from data_sanitizer.duplicates.columns import identifiers
from data_sanitizer.duplicates.pairs import PairFiles
from data_sanitizer.duplicates.records import RecordFile, Records
from data_sanitizer.duplicates.templates import Templates, choose, sample

ROWS, COPIES = 3000, 600
SYLLABLES = ("an", "be", "ca", "do", "el", "fa", "gri", "ho", "is", "jo", "ka", "lu", "mar", "ne", "or", "pe")


def people(seed: int = 4) -> pl.DataFrame:
    """People, the last COPIES of them copies of the first with one letter too many in two cells of six."""
    dice = np.random.default_rng(seed)

    def words(size: int) -> np.ndarray:
        vocabulary = ["".join(dice.choice(SYLLABLES, 3)) for _ in range(size)]
        return dice.choice(vocabulary, ROWS)

    table = {
        "number": [f"{k:06d}" for k in range(ROWS + COPIES)],
        "first": words(300),
        "last": words(900),
        "street": [f"{n} {w} street" for n, w in zip(dice.integers(1, 400, ROWS), words(700), strict=True)],
        "city": words(40),
        "phone": [f"0{n}" for n in dice.integers(10**8, 10**9, ROWS)],
        "born": [f"{y}-{m:02d}" for y, m in zip(dice.integers(1940, 2005, ROWS), dice.integers(1, 13, ROWS), strict=True)],
    }
    damaged = dice.permuted(np.tile(np.arange(6), (COPIES, 1)), axis=1)[:, :2]
    names = [n for n in table if n != "number"]
    for k, name in enumerate(names):
        copies = [f"{v}q" if k in damaged[i] else v for i, v in enumerate(table[name][:COPIES])]
        table[name] = [*table[name], *copies]
    return pl.DataFrame(table)


def records(folder: Path, table: pl.DataFrame) -> Records:
    folder.mkdir(exist_ok=True)
    file = RecordFile(folder)
    for part in table.iter_slices(1000):
        file.append(part)
    return file.finish()


def chosen(kept: Records) -> Templates:
    return choose(kept, [k for k, found in enumerate(identifiers(kept)) if not found])


def found(kept: Records, folder: Path, threads: int = 1) -> set[tuple[int, int]]:
    files = PairFiles(folder, kept.contents)
    c.write_keys(kept, chosen(kept), files, threads)
    files.find()
    return {p for a, b in files.merged() for p in zip(a.tolist(), b.tolist(), strict=True)}


def test_templates_bring_duplicates_together_and_few_others(tmp_path: Path) -> None:
    kept = records(tmp_path, people())
    pairs = found(kept, tmp_path)
    assert sum((k, ROWS + k) in pairs for k in range(COPIES)) >= 0.99 * COPIES
    assert len(pairs) < 8 * kept.rows


def test_templates_are_bounded_and_say_what_they_cost(tmp_path: Path) -> None:
    kept = records(tmp_path, people())
    templates = chosen(kept)
    assert 3 <= len(templates.chosen) <= 32
    assert all(1 <= len(t) <= 3 for t in templates.chosen)
    assert max(templates.pairs) <= 4
    assert templates.coverage > 0.95
    assert len(choose(kept, range(1, 7), most=2).chosen) == 2


def test_the_same_templates_and_pairs_for_any_order_and_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "_BLOCK", 1000)
    table, order = people(), np.random.default_rng(9).permutation(ROWS + COPIES)
    there, back = records(tmp_path / "a", table), records(tmp_path / "b", table[order.tolist()])
    assert chosen(there).chosen == chosen(back).chosen
    again = {tuple(sorted((int(order[a]), int(order[b])))) for a, b in found(back, tmp_path / "b", threads=3)}
    assert again == found(there, tmp_path / "a")


def test_a_generated_number_is_an_identifier(tmp_path: Path) -> None:
    assert identifiers(records(tmp_path, people())) == (True,) + (False,) * 6


def test_the_sample_is_of_contents(tmp_path: Path) -> None:
    contents = np.random.default_rng(1).integers(0, 2**63, 500).astype(np.uint64)
    order = np.random.default_rng(2).permutation(500)
    np.testing.assert_array_equal(contents[sample(contents, 50)], np.sort(contents)[:50])
    np.testing.assert_array_equal(order[sample(contents[order], 50)], sample(contents, 50))
    assert len(sample(contents, 900)) == 500


def test_a_table_without_text_has_no_templates(tmp_path: Path) -> None:
    kept = records(tmp_path, pl.DataFrame({"a": [None, None], "b": ["", "-"]}, schema={"a": pl.String, "b": pl.String}))
    assert choose(kept, [0, 1]).chosen == ()
    assert found(kept, tmp_path) == {(0, 1)}  # rows of equal content always meet
