"""The same bytes for the same input and recipe, whatever the size of blocks, the number of threads and the memory for keys."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer.benchmark_generator import generate
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe

CELL = st.one_of(
    st.sampled_from(
        ["", "N/A", " x ", "a  b", "Ohio", "ohio", "OHIO", "1.234,50", "2,25", "18/03/2015", "03/04/2015", "é", "e\u0301", "JosÃ©", "yes"]
    ),
    st.integers(-99, 999).map(str),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8),
)
TABLE = st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=60).flatmap(
    lambda rows: st.lists(st.sampled_from(rows), max_size=20).map(lambda again: [*rows, *again])
)


def digests(run: Path) -> dict[str, str]:
    """All files but the report, which tells times and paths."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(run.iterdir()) if not p.name.startswith("report.")}


@settings(max_examples=25)
@given(
    TABLE, st.sampled_from(["careful", "complete"]), st.sampled_from(["parquet", "csv", "jsonl"]), st.integers(16, 700), st.integers(1, 3)
)
def test_any_way_to_run_gives_the_same_bytes(rows: list[tuple[str, ...]], recipe: str, form: str, block: int, threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pl.DataFrame(rows, schema=["a", "b", "c"], orient="row").write_csv(work / "t.csv")
        source = str(work / "t.csv")
        sanitize([source], work / "one", load_recipe(recipe), RunOptions(output_format=form, threads=1))
        sanitize([source], work / "other", load_recipe(recipe), RunOptions(output_format=form, threads=threads, block=block, memory=1))
        assert digests(work / "one") == digests(work / "other")


@pytest.mark.parametrize("output_format", ["parquet", "csv"])
def test_a_table_of_many_row_groups_has_the_same_bytes_for_any_blocks_and_threads(output_format: str, tmp_path: Path) -> None:
    """Large enough that spools go to disk, row groups fill up and keys are dealt to partitions."""
    source = str(generate(90_000, tmp_path)["csv"])
    found = []
    for number, (threads, block, memory) in enumerate([(1, None, 1 << 30), (2, 1 << 20, 1 << 20), (3, 3_000_001, 1 << 17)]):
        run = tmp_path / f"run{number}"
        sanitize(
            [source], run, load_recipe("careful"), RunOptions(output_format=output_format, threads=threads, block=block, memory=memory)
        )
        found.append(digests(run))
    assert found[0] == found[1] == found[2]


def test_the_hash_seed_of_python_changes_nothing(tmp_path: Path) -> None:
    from tests.acceptance.command import start

    source = generate(2_000, tmp_path)["csv"]
    runs = []
    for seed in ("1", "2"):
        process = start(
            "clean", source, "-o", tmp_path / seed, "--recipe", "complete", env={"PYTHONHASHSEED": seed, "PATH": "", "HOME": str(tmp_path)}
        )
        process.communicate(timeout=120)
        runs.append(digests(tmp_path / seed))
    assert runs[0] == runs[1]
