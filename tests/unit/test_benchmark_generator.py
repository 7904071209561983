"""The generator keeps what it says: shares of damage, complete truth, the same bytes; and the benchmark measures with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer.benchmark_data import damage, files
from data_sanitizer.benchmark_data.records import COLUMNS, Dice, records
from data_sanitizer.benchmark_generator import generate, generate_command, parse_size
from data_sanitizer.errors import DataSanitizerError, DiskFull, OutputExists, OutputNotWritable, UsageError
from data_sanitizer.pipeline import benchmark

ROWS, SEED = 20_000, 7
TOKENS = set(damage.NULL_TOKENS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return generate("20k", tmp_path_factory.mktemp("made"), ("csv", "jsonl", "parquet"), SEED)


@pytest.fixture(scope="module")
def dirty(made: dict[str, Path]) -> pl.DataFrame:
    return pl.read_csv(made["csv"], infer_schema=False)


@pytest.fixture(scope="module")
def truth(made: dict[str, Path]) -> pl.DataFrame:
    return pl.read_parquet(made["truth"])


@pytest.fixture(scope="module")
def cells(truth: pl.DataFrame, dirty: pl.DataFrame) -> pl.DataFrame:
    """The truth of every damaged cell with the cell as written."""
    long = dirty.with_row_index("row").cast({"row": pl.UInt64}).unpivot(index="row", variable_name="column", value_name="written")
    damaged = truth.filter(pl.col("column").is_in(COLUMNS))
    return damaged.join(long, on=["row", "column"], how="left", maintain_order="left")


def clean_table() -> pl.DataFrame:
    rows, dice = np.arange(ROWS, dtype=np.uint64), Dice(SEED)
    entity = damage.descents(rows, dice).entity
    return records(entity, damage.homes(entity, dice), dice)


def share(frame: pl.DataFrame, kind: str) -> float:
    return frame.filter(pl.col("kind") == kind).height / ROWS


def test_the_files_have_the_columns_rows_and_bytes_they_should(made: dict[str, Path], dirty: pl.DataFrame) -> None:
    assert tuple(dirty.columns) == COLUMNS
    assert dirty.height == ROWS
    assert 400 <= made["csv"].stat().st_size / ROWS <= 500
    assert made["csv"].read_bytes().count(b"\n") == ROWS + 1


def test_text_compresses_as_real_text_does(made: dict[str, Path], tmp_path: Path) -> None:
    pl.scan_csv(made["csv"], infer_schema=False).sink_parquet(tmp_path / "floor.parquet", compression="zstd")
    assert 0.28 <= (tmp_path / "floor.parquet").stat().st_size / made["csv"].stat().st_size <= 0.45


def test_putting_every_original_back_gives_the_clean_table(dirty: pl.DataFrame, cells: pl.DataFrame) -> None:
    restored = dirty.with_row_index("row").cast({"row": pl.UInt64})
    for column in COLUMNS:
        back = cells.filter(pl.col("column") == column).select("row", "original")
        restored = restored.join(back, on="row", how="left", maintain_order="left").with_columns(
            pl.coalesce("original", column).alias(column)
        )
        restored = restored.drop("original")
    assert restored.drop("row").equals(clean_table())


def test_no_cell_is_called_damaged_that_is_not_and_none_twice(cells: pl.DataFrame) -> None:
    assert cells.filter(pl.col("written").eq_missing(pl.col("original"))).is_empty()
    assert not cells.select("row", "column").is_duplicated().any()


def test_clean_records_have_no_blanks_or_letters_out_of_place() -> None:
    clean = clean_table()
    for column in COLUMNS:
        assert clean[column].null_count() == 0
        assert not clean[column].str.contains(r"^\s|\s$|\s\s").any(), column
        assert not clean[column].is_in(TOKENS).any(), column
    assert clean["postcode"].str.starts_with("0").mean() > 0.1
    assert clean["full_name"].str.contains(r"[^\x00-\x7f]").mean() > 0.1


def test_exact_duplicates_are_earlier_rows_written_again_elsewhere(dirty: pl.DataFrame, truth: pl.DataFrame) -> None:
    copies = truth.filter(pl.col("kind") == "exact_duplicate")
    assert 0.05 <= copies.height / ROWS <= 0.10
    assert dirty[copies["row"]].equals(dirty[copies["duplicate_of"]])
    assert (copies["row"] - copies["duplicate_of"]).min() > 1
    assert dirty.is_duplicated().sum() >= copies.height
    assert dirty.unique().height == ROWS - copies.height


def test_near_duplicates_have_typing_errors_in_one_to_three_fields(truth: pl.DataFrame, cells: pl.DataFrame) -> None:
    near = truth.filter(pl.col("kind") == "near_duplicate")
    assert 0.02 <= near.height / ROWS <= 0.05
    typos = cells.filter(pl.col("kind") == "typo").join(near, on="row", how="semi").group_by("row").len()
    assert typos.height == near.height
    assert set(typos["len"]) == {1, 2, 3}
    assert set(cells.filter(pl.col("kind") == "typo")["column"]) == set(damage.MISTYPED)
    assert 0.4 < cells.filter(pl.col("kind") == "new_id").height / near.height < 0.6


def test_copies_of_one_customer_share_an_entity_and_ids_are_given_once(
    made: dict[str, Path], truth: pl.DataFrame, dirty: pl.DataFrame
) -> None:
    entities = pl.read_parquet(made["entities"])
    copies = truth.filter(pl.col("duplicate_of").is_not_null()).select("row", "duplicate_of")
    expected = entities.join(copies, on="row", how="left", maintain_order="left").select(pl.coalesce("duplicate_of", "row"))
    assert entities["entity"].equals(expected.to_series(), check_names=False)
    ids = pl.DataFrame({"entity": entities["entity"], "id": dirty["customer_id"]}).unique()
    assert not ids["id"].is_duplicated().any()
    assert dirty["customer_id"].str.contains(r"^C-0\d{9}$").all()


def test_relatives_share_name_and_address_and_are_not_called_duplicates(truth: pl.DataFrame) -> None:
    rows, dice = np.arange(ROWS, dtype=np.uint64), Dice(SEED)
    entity = damage.descents(rows, dice).entity
    relative = (damage.homes(entity, dice) != entity) & (entity == rows)
    assert 0.01 < relative.mean() < 0.03
    assert truth.filter(pl.col("row").is_in(rows[relative].tolist()) & pl.col("duplicate_of").is_not_null()).is_empty()
    clean, founders = clean_table()[rows[relative]], clean_table()[damage.homes(rows[relative], dice)]
    assert clean.select("street", "city", "postcode").equals(founders.select("street", "city", "postcode"))
    assert (clean["email"] != founders["email"]).all()


@pytest.mark.parametrize("column", sorted(damage.MISSING))
def test_missing_cells_are_empty_or_a_null_token(column: str, cells: pl.DataFrame, dirty: pl.DataFrame) -> None:
    gone = cells.filter((pl.col("kind") == "missing") & (pl.col("column") == column))
    assert 0.05 <= gone.height / ROWS <= 0.15
    assert gone["written"].null_count() == dirty[column].null_count()
    assert 0.3 < gone["written"].null_count() / gone.height < 0.8
    assert set(gone["written"].drop_nulls()) == TOKENS
    assert dirty[column].is_in(TOKENS).sum() == gone["written"].len() - gone["written"].null_count()


@pytest.mark.parametrize("column", sorted(damage.OUTLIERS))
def test_outliers_lie_far_beyond_every_ordinary_value(column: str, cells: pl.DataFrame) -> None:
    far = cells.filter((pl.col("kind") == "outlier") & (pl.col("column") == column))
    assert 0.01 <= far.height / ROWS <= 0.02
    assert far["written"].cast(pl.Float64).min() > 10 * clean_table()[column].cast(pl.Float64).max()  # type: ignore[operator]


def test_untidy_cells_differ_in_letters_case_or_blanks_alone(cells: pl.DataFrame) -> None:
    tidy = pl.col("written", "original").str.replace_all(r"\s+", " ").str.strip_chars()
    blank = cells.filter(pl.col("kind") == "blank")
    assert blank.filter(pl.col("written").str.replace_all(r"\s+", " ").str.strip_chars() != pl.col("original")).is_empty()
    case = cells.filter(pl.col("kind") == "case").with_columns(tidy.str.to_lowercase())
    assert case.filter(pl.col("written") != pl.col("original").str.to_lowercase()).filter(~pl.col("original").str.contains("ß")).is_empty()
    for column in damage.UNTIDY:
        for frame in (blank, case):
            assert 0.005 < frame.filter(pl.col("column") == column).height / ROWS < 0.04


def test_formats_say_the_same(made: dict[str, Path], dirty: pl.DataFrame) -> None:
    assert pl.read_parquet(made["parquet"]).equals(dirty)
    lines = [json.loads(line) for line in made["jsonl"].read_text(encoding="utf-8").splitlines()]
    told = {column: [None if line.get(column) in (None, "") else str(line[column]) for line in lines] for column in COLUMNS}
    assert pl.DataFrame(told, schema=dict.fromkeys(COLUMNS, pl.String)).equals(dirty)


def test_keys_of_json_lines_come_and_go(made: dict[str, Path], truth: pl.DataFrame) -> None:
    lines = [json.loads(line) for line in made["jsonl"].read_text(encoding="utf-8").splitlines()]
    assert {type(line["quantity"]) for line in lines if "quantity" in line} == {int, str, type(None)}
    assert any("phone" not in line for line in lines)
    assert any(line.get("phone", 0) is None for line in lines)
    assert any(line.get("phone") == "" for line in lines)
    nested = [line["shipping"] for line in lines if "shipping" in line]
    assert 0.2 < len(nested) / ROWS < 0.8
    assert all(set(entry) == {"carrier", "weight_kg"} for entry in nested)
    added = {(row, key) for row, line in enumerate(lines) for key in line.keys() - set(COLUMNS)}
    assert {key for _, key in added} == set(files.ADDED_KEYS)
    assert set(truth.filter(pl.col("kind") == "added_key").select("row", "column").iter_rows()) == added


def test_copies_of_json_records_are_the_same_record(made: dict[str, Path], truth: pl.DataFrame) -> None:
    lines = made["jsonl"].read_text(encoding="utf-8").splitlines()
    copies = truth.filter(pl.col("kind") == "exact_duplicate").select("row", "duplicate_of")
    assert all(lines[row] == lines[origin] for row, origin in copies.iter_rows())


def test_the_same_seed_gives_the_same_bytes_in_any_stretches(made: dict[str, Path], tmp_path: Path) -> None:
    again = generate(ROWS, tmp_path, ("parquet", "jsonl", "csv"), SEED, stretch=3_333)
    assert again.keys() == made.keys()
    for name, path in again.items():
        assert path.read_bytes() == made[name].read_bytes(), name


def test_the_same_seed_gives_the_same_bytes_with_one_thread(made: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data_sanitizer.benchmark_generator", "--size", "20k", "--seed", str(SEED)]
    formats = ["--formats", "csv,jsonl,parquet", "--output-dir", str(tmp_path)]
    subprocess.run([*command, *formats], check=True, env={**os.environ, "POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": "5"})
    for name, path in made.items():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), name


def test_another_seed_gives_another_table(tmp_path: Path) -> None:
    one, two = (generate(500, tmp_path / str(seed), seed=seed) for seed in (1, 2))
    first, second = (pl.read_csv(made["csv"], infer_schema=False) for made in (one, two))
    assert (first["full_name"] == second["full_name"]).mean() < 0.1
    assert (first["note"].eq_missing(second["note"])).mean() < 0.1


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(1, 399), max_size=6), seed=st.integers(-5, 2**63))
def test_a_row_is_the_same_in_whatever_stretch_it_is_made(cuts: list[int], seed: int) -> None:
    dice, edges = Dice(seed), [0, *sorted(set(cuts)), 400]
    whole, pieces = damage.stretch(0, 400, dice), [damage.stretch(a, b, dice) for a, b in pairwise(edges)]
    assert pl.concat([piece.cells for piece in pieces]).equals(whole.cells)
    assert pl.concat([piece.truth for piece in pieces]).equals(whole.truth)
    assert np.concatenate([piece.entity for piece in pieces]).tolist() == whole.entity.tolist()


@settings(max_examples=50)
@given(text=st.text(st.sampled_from("aab é1 ß"), min_size=2, max_size=12), layer=st.integers(0, 2**32))
def test_a_typing_error_always_changes_the_text_a_little(text: str, layer: int) -> None:
    wrong = damage.misspelt(pl.Series("city", [text]), np.array([layer], np.uint64), Dice(0))[0]
    assert wrong != text
    assert abs(len(wrong) - len(text)) <= 1


@pytest.mark.parametrize(
    ("size", "rows"), [(1000, 1000), ("1000", 1000), ("50k", 50_000), ("1M", 10**6), ("2.5m", 2_500_000), ("10_000", 10**4)]
)
def test_sizes_that_are_understood(size: int | str, rows: int) -> None:
    assert parse_size(size) == rows


@pytest.mark.parametrize("size", ["", "0", "-5", "k", "1.5", "1e6", "many", "10 k", "5b"])
def test_sizes_that_are_not(size: str) -> None:
    with pytest.raises(UsageError, match="Write for example 1000"):
        parse_size(size)


def test_one_row_is_a_table_too(tmp_path: Path) -> None:
    made = generate(1, tmp_path, ("csv", "jsonl", "parquet"))
    assert pl.read_parquet(made["parquet"]).height == pl.read_csv(made["csv"]).height == 1
    assert pl.read_parquet(made["truth"]).schema == damage.TRUTH_SCHEMA


def test_files_that_are_there_stay_unless_forced(tmp_path: Path) -> None:
    first = generate(50, tmp_path)["csv"].read_bytes()
    with pytest.raises(OutputExists, match="--force"):
        generate(60, tmp_path)
    assert (tmp_path / "customers.csv").read_bytes() == first
    assert generate(60, tmp_path, force=True)["csv"].read_bytes() != first


@pytest.mark.parametrize("formats", [(), ("xml",), ("csv", "excel")])
def test_unknown_formats_are_refused_before_anything_is_written(formats: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="csv, jsonl, parquet"):
        generate(10, tmp_path / "out", formats)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (OSError(28, "No space left on device"), DiskFull),
        (OSError("No space left on device (os error 28)"), DiskFull),
        (pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)"), DiskFull),
        (PermissionError(13, "Permission denied"), OutputNotWritable),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_in_the_middle_leaves_nothing(
    failure: BaseException, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(files, "_join", fail)
    with pytest.raises(error):
        generate(100, tmp_path, ("csv", "parquet"))
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    result = CliRunner().invoke(generate_command, ["--size", "200", "--output-dir", str(tmp_path), "--formats", "csv, JSONL"])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"customers.csv", "customers.jsonl", "truth.parquet", "entities.parquet"}
    assert all(path.name in result.stderr for path in tmp_path.iterdir())


def test_the_module_as_a_command_refuses_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data_sanitizer.benchmark_generator", "--size", "lots", "--output-dir", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == UsageError.exit_code
    assert result.stderr.startswith("Error: Size 'lots'")
    assert "Traceback" not in result.stderr


def test_naming_the_generator_loads_nothing_heavy() -> None:
    probe = (
        "import sys, data_sanitizer.benchmark_generator, data_sanitizer.pipeline.benchmark; print({'polars', 'numpy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.fixture
def cleaning_takes_twice_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    real = benchmark._measured

    def measured(what: str, source: Path, folder: Path, near_duplicates: bool) -> benchmark.Measured:
        if what == benchmark.FLOOR:
            return real(what, source, folder, near_duplicates)
        stages = {"pass 1": 0.5, "pass 2": 1.5} if near_duplicates else {"pass 2": 1.5}
        return benchmark.Measured(seconds=2.0, cpu_seconds=3.0, peak_rss_mb=400.0, stages=stages)

    monkeypatch.setattr(benchmark, "_measured", measured)


@pytest.mark.usefixtures("cleaning_takes_twice_the_floor")
def test_the_benchmark_compares_the_cleaning_with_a_measured_floor(tmp_path: Path) -> None:
    result: dict[str, Any] = benchmark.run("2k", near_duplicates=True, seed=3, work_dir=tmp_path)
    assert result["rows"] == result["size"] == 2000
    assert 0 < result["floor_seconds"] < 30
    assert result["ratio_to_floor"] == pytest.approx(2.0 / result["floor_seconds"], rel=0.1)
    assert result["rows_per_second"] == 1000
    assert 20 < result["floor_peak_rss_mb"] < 2000
    assert result["stages"] == {"pass 1": 0.5, "pass 2": 1.5}
    assert result["machine"].keys() == {"cores", "memory_gb", "python", "polars"}
    assert "ratio to floor" in benchmark.as_text(result)


@pytest.mark.usefixtures("cleaning_takes_twice_the_floor")
def test_the_benchmark_command_prints_json_and_uses_its_table_again(tmp_path: Path) -> None:
    options = ["--size", "1k", "--json", "--no-near-duplicates", "--work-dir", str(tmp_path)]
    first = json.loads(CliRunner().invoke(benchmark.benchmark_command, options).stdout)
    tables = list(tmp_path.glob("*/customers.csv"))
    made = [table.stat().st_mtime_ns for table in tables]
    second = json.loads(CliRunner().invoke(benchmark.benchmark_command, options).stdout)
    assert first["stages"] == second["stages"] == {"pass 2": 1.5}
    assert [table.stat().st_mtime_ns for table in tables] == made
    assert [path.name for path in tmp_path.iterdir()] == [tables[0].parent.name]


def test_the_benchmark_sees_the_memory_of_children(tmp_path: Path) -> None:
    grandchild = "import time; hold = bytearray(b'x' * 150_000_000); time.sleep(0.5)"
    with subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"], text=True
    ) as child:
        assert benchmark._peak_rss(child) > 150_000_000


def test_a_measured_process_that_fails_is_an_error_of_ours(tmp_path: Path) -> None:
    table = tmp_path / "ragged.csv"
    table.write_text("a,b\n1,2,3,4\n")
    with pytest.raises(DataSanitizerError, match=r"\(floor\) ended with exit code 1"):
        benchmark._measured(benchmark.FLOOR, table, tmp_path, near_duplicates=False)
    assert [path.name for path in tmp_path.iterdir()] == ["ragged.csv"]


def test_a_whole_benchmark_cleans_a_table_and_leaves_nothing_else(tmp_path: Path) -> None:
    result = benchmark.run("1k", near_duplicates=False, work_dir=tmp_path)
    assert result["seconds"] > 0
    assert 0 < sum(result["stages"].values()) <= result["seconds"] + 0.01
    assert len(list(tmp_path.iterdir())) == 1


def test_measuring_less_than_once_is_refused() -> None:
    with pytest.raises(UsageError, match="--repeat"):
        benchmark.run(10, repeat=0)
