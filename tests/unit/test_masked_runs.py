"""Personal data that is masked is in no file of the run; values that were put in make no two rows the same."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from data_sanitizer.pipeline.sanitize import sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.verification import verify

CANARY = "canary4711"


def test_masked_values_are_kept_nowhere_and_the_run_verifies(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    rows = [f"{i % 30},{CANARY}{i % 30}@example.org" for i in range(40)]
    source.write_text("\n".join(["nr,email", *rows]) + "\n")
    sanitize([str(source)], tmp_path / "run", load_recipe({"extends": "careful", "steps": {"mask_personal_data": {"method": "redact"}}}))
    assert pl.read_parquet(tmp_path / "run" / "removed.parquet").height == 10
    for path in (tmp_path / "run").iterdir():
        text = pl.read_parquet(path).write_json() if path.suffix == ".parquet" else path.read_text("utf-8")
        assert CANARY not in text, path.name
    assert verify(tmp_path / "run", [str(source)]).masked == 40


def test_a_filled_value_does_not_make_a_duplicate(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    rows = [f"Ann,{c},{10 + i}" for i, c in enumerate(["red", "blue", "red"] * 10)] + ["Bob,red,99", "Bob,,99"]
    source.write_text("\n".join(["name,colour,age", *rows]) + "\n")
    sanitize([str(source)], tmp_path / "run", load_recipe("complete"))
    cleaned = pl.read_parquet(tmp_path / "run" / "cleaned.parquet")
    assert cleaned.height == 32
    assert cleaned["colour"].null_count() == 0
    verify(tmp_path / "run", [str(source)])


def test_columns_named_like_patterns_are_columns(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("*,^a$,a\n 1 ,x,y\n2,x ,y\n")
    sanitize([str(source)], tmp_path / "run", load_recipe("careful"))
    assert pl.read_parquet(tmp_path / "run" / "cleaned.parquet").rows() == [(1, "x", "y"), (2, "x", "y")]
    verify(tmp_path / "run", [str(source)])
