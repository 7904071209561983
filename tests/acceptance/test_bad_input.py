"""What cannot be read or is called wrongly: the right exit code, a message that helps, nothing under the final name."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from tests.acceptance.command import call, left_over

SECRET = "canary-4711"


def refused(capfd: pytest.CaptureFixture[str], path: Path, code: int, *words: str, args: tuple[object, ...] = ()) -> None:
    run = path.parent / "out" / "run"
    run.parent.mkdir(exist_ok=True)
    done = call(capfd, "clean", path, "-o", run, *args)
    assert done.code == code, done.err
    said = [line for line in done.err.splitlines(keepends=True) if not line.startswith("First run")]
    assert "".join(said).startswith(("Error: ", "Usage: ")), done.err
    assert "Traceback" not in done.err
    assert SECRET not in done.err
    for word in words:
        assert word in done.err, done.err
    assert left_over(run.parent) == []


def test_missing_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, tmp_path / "none.csv", 3, "none.csv", "does not exist")


def test_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d").mkdir()
    refused(capfd, tmp_path / "d", 3, "is a folder")


def test_empty_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e.csv").write_text("")
    refused(capfd, tmp_path / "e.csv", 3, "empty")


def test_truncated_gzip(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    packed = gzip.compress(f"a,b\n{SECRET},2\n".encode() * 10_000)
    (tmp_path / "t.csv.gz").write_bytes(packed[: len(packed) // 2])
    refused(capfd, tmp_path / "t.csv.gz", 3, "t.csv.gz")


def test_unreadable_parquet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"a": [SECRET] * 1000}).write_parquet(tmp_path / "p.parquet")
    whole = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(whole[: len(whole) // 2])
    refused(capfd, tmp_path / "p.parquet", 3, "p.parquet")


def test_picture_with_the_ending_of_a_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "i.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    refused(capfd, tmp_path / "i.csv", 3, "PNG")


def test_no_right_to_read(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.csv"
    path.write_text("a\n1\n")
    path.chmod(0)
    try:
        path.read_text()
    except PermissionError:
        refused(capfd, path, 3, "r.csv")
    else:
        pytest.skip("this user may read everything")


@pytest.mark.parametrize(
    ("recipe", "word"),
    [
        ("steps: {trim_banks: {}}", "trim_banks"), ("steps: {dates: {ordr: dmy}}", "ordr"), ("stepps: {}", "stepps"),
        ("extends: bold", "bold"),
        ("steps: [", "YAML"), ("- a\n- b", "mapping"), ("duplicates: {key: [nope]}", "nope"), ("steps: {dates: {except: [nope]}}", "nope"),
        ("seed: many", "seed"),
    ],
)  # fmt: skip
def test_wrong_recipe(recipe: str, word: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "r.yaml").write_text(recipe)
    refused(capfd, tmp_path / "t.csv", 2, word, args=("--recipe", tmp_path / "r.yaml"))


def test_unknown_option_and_missing_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    assert call(capfd, "clean", tmp_path / "t.csv", "--colour").code == 2
    done = call(capfd, "clean", tmp_path / "t.csv")
    assert done.code == 2
    assert "-o" in done.err


def test_output_that_exists_is_kept_unless_forced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    run = tmp_path / "run"
    run.mkdir()
    (run / "mine.txt").write_text("keep")
    done = call(capfd, "clean", tmp_path / "t.csv", "-o", run)
    assert done.code == 2
    assert "--force" in done.err
    assert left_over(run) == ["mine.txt"]
    assert call(capfd, "clean", tmp_path / "t.csv", "-o", run, "--force").code == 0
    assert "mine.txt" not in left_over(run)
    assert call(capfd, "clean", tmp_path / "t.csv", "-o", tmp_path / "t.csv", "--force").code == 2


def test_output_where_nothing_can_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    assert call(capfd, "clean", tmp_path / "t.csv", "-o", tmp_path / "t.csv" / "run").code == 4


def test_header_only_is_a_table_without_rows(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "h.csv").write_text("a,b\n")
    assert call(capfd, "clean", tmp_path / "h.csv", "-o", tmp_path / "run").code == 0
    assert pl.read_parquet(tmp_path / "run" / "cleaned.parquet").shape == (0, 2)
    assert call(capfd, "verify", tmp_path / "run", tmp_path / "h.csv").code == 0


def test_ragged_rows_are_set_aside_whole_and_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.csv").write_text("a,b\nx,1\ny,2,3,4\nz,3\n")
    run = tmp_path / "run"
    assert call(capfd, "clean", tmp_path / "r.csv", "-o", run).code == 0
    aside = pl.read_parquet(run / "quarantine.parquet")
    assert aside["row"].to_list() == [1]
    assert aside["text"].to_list() == ["y,2,3,4"]
    assert pl.read_parquet(run / "cleaned.parquet").height == 2
    assert call(capfd, "verify", run, tmp_path / "r.csv").code == 0


def test_a_cell_never_reaches_a_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text(f"a,b\n{SECRET},2\n{SECRET},2,3\n")
    done = call(capfd, "clean", tmp_path / "t.csv", "-o", tmp_path / "run")
    assert SECRET not in done.err + done.out
