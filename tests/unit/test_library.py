"""The Python library: any frame in, the same kind of frame out, and everything a run knows beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import data_sanitizer as ds

CELLS = {"id": ["01", "02", "02", "04"], "name": [" Ann", "Bob", "Bob", "Eve "], "amount": ["1,50", "2,25", "2,25", "3,10"]}


def frames() -> dict[str, Any]:
    """The same table as three libraries hold it."""
    polars = pl.DataFrame(CELLS)
    arrow = pa.table(CELLS)
    return {"polars": polars, "pandas": pd.DataFrame(CELLS), "pyarrow": arrow}


@pytest.mark.parametrize(("library", "kind"), [("polars", pl.DataFrame), ("pandas", pd.DataFrame), ("pyarrow", pa.Table)])
def test_a_frame_is_cleaned_and_comes_back_as_its_own_kind(library: str, kind: type) -> None:
    result = ds.clean(frames()[library])
    assert isinstance(result.data, kind)
    cleaned = pl.DataFrame(result.data)
    assert cleaned["name"].to_list() == ["Ann", "Bob", "Eve"]
    assert cleaned["amount"].to_list() == [1.5, 2.25, 3.1]
    assert result.report["rows"]["merged"] == 1
    assert result.verify().rows == 4


def test_a_relation_of_duckdb_is_cleaned() -> None:
    """In a process of its own: DuckDB's binding complains of leaks at the end of every process that imported it."""
    relation = "duckdb.sql(\"select * from (values (' a'), ('b')) t(x)\")"
    program = f"import duckdb, data_sanitizer as ds; print(ds.clean({relation}).data['x'].to_list())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['a', 'b']\n"


def test_a_result_tells_explains_and_takes_back(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    pl.DataFrame(CELLS).write_csv(source)
    result = ds.clean(source)
    assert set(result.ledger["rule"]) == {"trim_blanks", "numbers", "exact_duplicate"}
    assert result.duplicates["decision"].to_list() == ["kept", "removed"]
    assert "trim_blanks" in result.explain(0, "name").text
    back = result.undo(rule="trim_blanks")
    assert back.data["name"].to_list() == [" Ann", "Bob", "Eve "]
    assert back.undo(rule="exact_duplicate").data.height == 4
    assert back.verify().entries < result.verify().entries
    assert "<" in result._repr_html_()
    assert len(result._repr_html_()) < 100_000
    assert "4 rows" in repr(result)


def test_a_run_can_be_kept(tmp_path: Path) -> None:
    result = ds.clean(pl.DataFrame(CELLS), recipe="complete", output=tmp_path / "run")
    assert (tmp_path / "run" / "manifest.json").exists()
    assert result.save(tmp_path / "copy") == tmp_path / "copy"
    assert (tmp_path / "copy" / "report.html").read_bytes() == (tmp_path / "run" / "report.html").read_bytes()
    with pytest.raises(ds.errors.OutputExists):
        result.save(tmp_path / "copy")


def test_types_of_a_frame_are_kept() -> None:
    typed = pl.DataFrame(
        {"n": [1, 2, None], "x": [1.5, float("nan"), 3.0], "on": [True, False, None], "when": pl.Series(["2024-01-02"] * 3).str.to_date()}
    )
    result = ds.clean(typed)
    assert result.data.schema == typed.schema
    assert result.data.equals(typed, null_equal=True)


def test_a_profile_without_cleaning() -> None:
    profile = ds.profile(pl.DataFrame(CELLS))
    assert profile["columns"]["id"]["kind"] == "identifier"
    assert profile["rows"] == 4


def test_a_recipe_as_a_mapping_and_what_is_no_table() -> None:
    result = ds.clean(pl.DataFrame(CELLS), {"steps": ["trim_blanks"], "duplicates": {"remove": False}})
    assert result.data["amount"].to_list() == CELLS["amount"]
    assert result.data.height == 4
    with pytest.raises(ds.errors.UsageError):
        ds.clean([1, 2, 3])
    with pytest.raises(ds.errors.RecipeError):
        ds.clean(pl.DataFrame(CELLS), {"steps": {"no_such_step": {}}})
