"""The measuring itself: what counts as found and as wrong, the reliability curve, skewed tables, sections of a page."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import calibration, scaling, sections, skewed
from benchmarks.near_truth import EXACT, judged_matches, planted, read_truth
from data_sanitizer import benchmark_generator


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A generated table and a skewed one of the same size and seed."""
    folder = tmp_path_factory.mktemp("tables")
    benchmark_generator.generate(3000, folder / "usual")
    skewed.generate(3000, folder / "skewed")
    return folder / "usual", folder / "skewed"


def read(folder: Path) -> pl.DataFrame:
    return pl.read_csv(folder / "customers.csv", infer_schema=False)


def test_a_share_of_the_customers_of_a_skewed_table_have_one_address_and_one_name(tables: tuple[Path, Path]) -> None:
    usual, table = map(read, tables)
    same = (table["city"] == skewed.CITY) & (table["full_name"].str.ends_with(skewed.SURNAME))
    assert 0.27 < same.mean() < 0.33
    assert 0.23 < (same & (table["street"] == skewed.STREET)).mean() < 0.31  # missing streets are still missing
    assert [c for c in table.columns if not table[c].equals(usual[c])] == ["full_name", "street", "city"]
    assert table["street"].null_count() == usual["street"].null_count()


def test_copies_in_a_skewed_table_are_still_copies_and_typing_errors_are_errors(tables: tuple[Path, Path]) -> None:
    table, truth = read(tables[1]), pl.read_parquet(tables[1] / "truth.parquet")
    exact = truth.filter(pl.col("kind") == "exact_duplicate")
    assert table[exact["row"].to_list()].equals(table[exact["duplicate_of"].to_list()])
    typing = truth.filter((pl.col("kind") == "typo") & (pl.col("column") == "city"))["row"]
    assert len(typing) > 10
    assert skewed.CITY not in table["city"][typing.to_list()]


def test_a_skewed_table_is_the_same_for_any_stretch(tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(skewed, "STRETCH", 701)
    again = skewed.generate(3000, tmp_path)
    assert again.read_bytes() == (tables[1] / "customers.csv").read_bytes()


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Path]:
    """A run and the truth of its table: 3 is a near copy of 0 and was removed, 4 one of 1 and is proposed, 5 is wrongly proposed."""
    entity = [0, 1, 2, 0, 1, 5, 2, 7, 1]
    pl.DataFrame({"row": range(9), "entity": entity}).write_parquet(tmp_path / "entities.parquet")
    kinds = {3: "near_duplicate", 4: "near_duplicate", 6: "exact_duplicate", 8: "near_duplicate"}
    pl.DataFrame({"row": list(kinds), "kind": list(kinds.values())}).write_parquet(tmp_path / "truth.parquet")
    members = [
        (0, "0", 0, "near", "kept"), (3, "0", 0, "near", "removed"), (1, "1", 1, "near", "kept"), (4, "1", 1, "near", "review"),
        (5, "1", 1, "near", "review"), (2, "2", 2, "exact", "kept"), (6, "2", 2, "exact", "removed"),
    ]  # fmt: skip
    pl.DataFrame(members, ["row", "cluster", "survivor_row", "kind", "decision"], orient="row").write_parquet(
        tmp_path / "duplicates.parquet"
    )
    pairs = [(0, 3, 1.0, "{}"), (1, 4, 0.8, "{}"), (1, 5, 0.6, "{}"), (2, 6, 1.0, EXACT)]
    matches = pl.DataFrame(pairs, ["row_a", "row_b", "confidence", "evidence"], orient="row")
    matches = matches.cast({"row_a": pl.UInt64, "row_b": pl.UInt64, "confidence": pl.Float32})
    matches.with_columns(source_a=pl.lit("t"), source_b=pl.lit("t")).write_parquet(tmp_path / "matches.parquet")
    return tmp_path, tmp_path


def test_planted_copies_are_found_beside_their_entity_and_wrong_beside_a_stranger(run: tuple[Path, Path]) -> None:
    found = planted(*run)
    assert (found.planted, found.found_removed, found.found) == (3, 1, 2)
    assert (found.removed, found.wrong_removed, found.proposed, found.wrong) == (1, 0, 3, 1)


def test_matches_are_judged_without_those_of_equal_rows(run: tuple[Path, Path], tmp_path: Path) -> None:
    confidences, right = judged_matches(run[0], read_truth(run[1] / "entities.parquet"))
    assert confidences.round(1).tolist() == pytest.approx([1.0, 0.8, 0.6])
    assert right.tolist() == [True, True, False]
    (tmp_path / "truth.csv").write_text("entity\n0\n1\n2\n0\n1\n5\n2\n7\n1\n")
    assert judged_matches(run[0], read_truth(tmp_path / "truth.csv"))[1].tolist() == right.tolist()
    (tmp_path / "short.csv").write_text("source,row,entity\nt,0,a\nt,3,a\n")
    with pytest.raises(SystemExit):
        judged_matches(run[0], read_truth(tmp_path / "short.csv"))


def test_the_curve_counts_every_match_once() -> None:
    confidences = np.array([0.5, 0.549, 0.55, 0.9, 0.97, 0.99, 1.0], np.float32)
    found = list(calibration.curve([calibration.Judged("t", confidences, np.array([True, False, True, True, True, True, True]))]))
    assert [line[1] for line in found] == ["2", "1", "0", "0", "0", "0", "0", "0", "1", "1", "2"]
    assert found[0][3] == "0.500"


def test_ratios_are_of_the_time_a_row_to_the_first_table() -> None:
    rate = {"recall": 1.0, "wrongness": 0.0}
    one = {"table": "customers", "rows": 10, "seconds": 1.0, "cpu_seconds": 2.0, "stages": {"duplicates": 0.5}, "peak_mb": 1, "own_mb": 1}
    more = {**one, "rows": 100, "seconds": 12.0, "cpu_seconds": 20.0, "stages": {"duplicates": 10.0}}
    line = dict(zip(scaling.HEADINGS, list(scaling.lines([{**one, "planted": rate}, {**more, "planted": rate}]))[1], strict=True))
    assert (line["time ratio"], line["CPU ratio"], line["its ratio"]) == ("1.20", "1.00", "2.00")


def test_a_section_is_replaced_and_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\nText.\n")
    sections.write(page, "benchmarks.one", "first")
    sections.write(page, "benchmarks.two", "other")
    sections.write(page, "benchmarks.one", "second")
    text = page.read_text()
    assert "first" not in text
    assert text.startswith("# Page\n\nText.\n\n<!-- python -m benchmarks.one writes from here -->\n\nsecond\n\n")
    assert text.endswith("\n\nother\n\n<!-- python -m benchmarks.two writes to here -->\n")
