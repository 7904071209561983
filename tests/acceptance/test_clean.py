"""The main job through the command: a dirty file in, a run directory out."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.acceptance.command import call

DIRTY = """id,name,joined,amount,state,note
0001, Ann  Lee ,18/03/2015,"1.234,50",Ohio,N/A
0002,Bob,03/04/2016,"2,25",ohio,ok
0003,JosÃ©,05/06/2017,"10,00",Ohio,
0002,Bob ,03/04/2016,"2,25",Ohio,ok
0005,Eve,01/02/2018,"99,99",Texas,fine
0006,Mia,07/08/2019,"3,10",Texas,ok
0007,Leo,09/10/2020,"7,77",Texas,ok
0008,Zoe,11/12/2021,"8,88",Texas,ok
"""


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    path = tmp_path / "dirty.csv"
    path.write_text(DIRTY, "utf-8")
    return path


def test_a_dirty_file_is_cleaned_and_every_change_is_in_the_ledger(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    done = call(capfd, "clean", dirty, "-o", run)
    assert done.code == 0
    assert done.out == ""
    cleaned = pl.read_parquet(run / "cleaned.parquet")
    assert cleaned["id"].to_list() == ["0001", "0002", "0003", "0005", "0006", "0007", "0008"]
    assert cleaned["name"].to_list()[:3] == ["Ann Lee", "Bob", "José"]
    assert cleaned["joined"].dtype == pl.Date
    assert cleaned["amount"].to_list()[:2] == [1234.5, 2.25]
    assert cleaned["state"].to_list()[:2] == ["Ohio", "Ohio"]
    assert cleaned["note"][0] is None
    ledger = pl.read_parquet(run / "ledger.parquet")
    said = {(e["row"], e["column"], e["action"], e["rule"]) for e in ledger.iter_rows(named=True)}
    assert (0, "name", "set", "trim_blanks") in said
    assert (2, "name", "set", "fix_encoding") in said
    assert (3, None, "remove", "exact_duplicate") in said
    assert (None, "joined", "convert", "dates") in said
    assert (None, "amount", "convert", "numbers") in said


def test_the_run_directory_has_the_files_of_the_design(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    call(capfd, "clean", dirty, "-o", run, "--format", "csv")
    assert {p.name for p in run.iterdir()} == {
        "cleaned.csv", "ledger.parquet", "duplicates.parquet", "matches.parquet", "removed.parquet", "quarantine.parquet",
        "profile.json", "report.json", "report.html", "manifest.json",
    }  # fmt: skip
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["rows"] == {"in": 8, "kept": 7, "merged": 1, "quarantined": 0}
    assert str(tmp_path) not in (run / "manifest.json").read_text()
    duplicates = pl.read_parquet(run / "duplicates.parquet")
    assert duplicates.select("row", "survivor_row", "kind", "decision").rows() == [(1, 1, "exact", "kept"), (3, 1, "exact", "removed")]
    removed = pl.read_parquet(run / "removed.parquet")
    assert removed.select("row", "name").rows() == [(3, "Bob ")]


def test_verify_explain_and_undo_through_the_command(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run, back = tmp_path / "run", tmp_path / "back"
    call(capfd, "clean", dirty, "-o", run)
    assert call(capfd, "verify", run, dirty).code == 0
    told = call(capfd, "explain", run, 0, "name")
    assert told.code == 0
    assert "trim_blanks" in told.out
    assert call(capfd, "undo", run, "--rule", "exact_duplicate", "-o", back).code == 0
    assert pl.read_parquet(back / "cleaned.parquet")["id"].to_list() == ["0001", "0002", "0003", "0002", "0005", "0006", "0007", "0008"]
    assert call(capfd, "verify", back, dirty).code == 0
    assert call(capfd, "explain", run, 99).code == 2


def test_cleaning_the_cleaned_table_again_changes_nothing(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for recipe in ("careful", "complete"):
        once, twice = tmp_path / f"{recipe}1", tmp_path / f"{recipe}2"
        call(capfd, "clean", dirty, "-o", once, "--recipe", recipe)
        call(capfd, "clean", once / "cleaned.parquet", "-o", twice, "--recipe", recipe)
        assert (once / "cleaned.parquet").read_bytes() == (twice / "cleaned.parquet").read_bytes()


def test_dry_run_and_check_write_nothing(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(p.name for p in tmp_path.iterdir())
    assert call(capfd, "clean", dirty, "--dry-run").code == 0
    done = call(capfd, "clean", dirty, "--check", "--quiet")
    assert done.code == 1
    assert "--check" in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_check_passes_for_a_clean_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clean.csv").write_text("a,b\nx,1\ny,2\n")
    assert call(capfd, "clean", tmp_path / "clean.csv", "--check").code == 0


def test_keep_duplicates_reports_and_removes_none(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call(capfd, "clean", dirty, "-o", tmp_path / "run", "--keep-duplicates")
    assert pl.read_parquet(tmp_path / "run" / "cleaned.parquet").height == 8
    assert pl.read_parquet(tmp_path / "run" / "duplicates.parquet")["decision"].to_list() == ["kept", "kept"]


def test_json_output_is_the_report(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = call(capfd, "clean", dirty, "-o", tmp_path / "run", "--json")
    assert json.loads(done.out)["schema"] == "data-sanitizer.report/1"


def test_several_inputs_are_one_table_and_rows_keep_their_source(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.csv"
    other.write_text("id,city\n0009,Rome\n")
    run = tmp_path / "run"
    assert call(capfd, "clean", dirty, other, "-o", run).code == 0
    cleaned = pl.read_parquet(run / "cleaned.parquet")
    assert cleaned.columns == ["id", "name", "joined", "amount", "state", "note", "city"]
    assert cleaned.row(-1, named=True)["city"] == "Rome"
    assert call(capfd, "verify", run, dirty, other).code == 0


def test_profile_and_convert(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    profile = json.loads(call(capfd, "profile", dirty).out)
    assert profile["columns"]["joined"]["kind"] == "date"
    assert profile["columns"]["id"]["kind"] == "identifier"
    out = tmp_path / "out.csv"
    assert call(capfd, "convert", dirty, "-o", out).code == 0
    assert pl.read_csv(out, infer_schema=False).equals(pl.read_csv(dirty, infer_schema=False))
    assert call(capfd, "convert", dirty, "-o", out).code == 2
    assert call(capfd, "convert", dirty, "-o", tmp_path / "out.doc").code == 2


def test_recipe_options_choose_columns_keys_and_steps(dirty: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("extends: careful\nsteps: {dates: false, trim_blanks: {except: [name]}}\nduplicates: {key: [id]}\n")
    run = tmp_path / "run"
    assert call(capfd, "clean", dirty, "-o", run, "--recipe", recipe).code == 0
    cleaned = pl.read_parquet(run / "cleaned.parquet")
    assert cleaned["joined"].dtype == pl.String
    assert cleaned["name"][0] == " Ann  Lee "
    assert cleaned.height == 7


@pytest.mark.parametrize("odd", ["NaN", "inf", "-inf"])
def test_a_word_that_a_parser_takes_for_a_number_keeps_its_column_text(odd: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.csv").write_text(f"id,amount\na,1.50\nb,{odd}\nc,2.25\nd,7.00\n")
    assert call(capfd, "convert", tmp_path / "in.csv", "-o", tmp_path / "out.parquet").code == 0
    assert pl.read_parquet(tmp_path / "out.parquet")["amount"].to_list() == ["1.50", odd, "2.25", "7.00"]
