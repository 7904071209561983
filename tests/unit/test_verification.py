"""verify: says what was compared, and where a run and its input part, never what stands in a cell."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from data_sanitizer import run_folder
from data_sanitizer.errors import InputNotFound, RunUnreadable, UsageError, VerificationFailed
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.verification import Verification, verify

SECRET = "Kassandra"
HEAD = "name,state,amount,day\n"
ROWS = [f'Person {i},{"Georgia" if i % 3 else "Ohio"},"{i + 1}.234,50",{i % 28 + 1:02}/02/2021\n' for i in range(24)]
ODD = [f' {SECRET} ,georgia," 17,00",1/2/2021\n', "Berta,Georgia,n/a,05/02/2021\n", "one,field,too,many,here\n"]
FIRST = HEAD + "".join([*ROWS, *ODD, ROWS[0], ROWS[0]])
SECOND = HEAD + "".join([ROWS[1], f'{SECRET},Ohio,"9,00",07/02/2021\n'])


@pytest.fixture(scope="module", params=run_folder.FORMATS)
def run_and_inputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp(request.param)
    return cleaned(folder, {"first.csv": FIRST, "second.csv": SECOND}, output_format=request.param)


def cleaned(folder: Path, files: dict[str, str], recipe: object = "careful", output_format: str = "parquet") -> tuple[Path, list[str]]:
    inputs = []
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
        inputs.append(str(folder / name))
    sanitize(inputs, folder / "run", load_recipe(recipe), RunOptions(output_format=output_format, threads=1))  # type: ignore[arg-type]
    return folder / "run", inputs


@pytest.fixture
def run(run_and_inputs: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(run_and_inputs[0], tmp_path / "copy"))


@pytest.fixture
def inputs(run_and_inputs: tuple[Path, list[str]]) -> list[str]:
    return run_and_inputs[1]


def adjust(run: Path, name: str) -> None:
    """Give the changed file its place in the manifest, so that only its content tells."""
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    manifest["outputs"][name]["sha256"] = run_folder.sha256(run / name)
    run_folder.write_json(run / "manifest.json", manifest)


def change(run: Path, name: str, how: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    path = run / f"{name}.parquet"
    how(pl.read_parquet(path)).write_parquet(path)
    adjust(run, path.name)


def reason(run: Path, inputs: list[str]) -> str:
    with pytest.raises(VerificationFailed) as caught:
        verify(run, inputs)
    assert SECRET not in str(caught.value)
    return str(caught.value.facts["why"])


def test_it_says_how_much_was_compared(run: Path, inputs: list[str]) -> None:
    proof = verify(run, inputs)
    entries = pl.read_parquet(run / "ledger.parquet").height
    assert proof == Verification(rows=31, kept=27, merged=3, quarantined=1, cells=120, masked=0, entries=entries)
    assert "31 rows = 27 kept + 3 merged + 1 quarantined" in str(proof)


def test_inputs_are_known_by_their_content(run: Path, inputs: list[str], tmp_path: Path) -> None:
    moved = [shutil.copy(path, tmp_path / f"moved{number}.csv") for number, path in enumerate(inputs)]
    assert verify(run, [str(m) for m in moved]) == verify(run, [str(m) for m in reversed(moved)])


def test_another_input_is_noticed(run: Path, inputs: list[str], tmp_path: Path) -> None:
    (tmp_path / "first.csv").write_text(FIRST.replace("Berta", "Bertha"), "utf-8")
    assert reason(run, [str(tmp_path / "first.csv"), inputs[1]]) == "no input given has the sha256 of first.csv"


def test_all_inputs_are_needed(run: Path, inputs: list[str]) -> None:
    with pytest.raises(UsageError, match="made from 2 inputs, but 1 are given"):
        verify(run, inputs[:1])


def test_an_input_that_is_gone_is_an_input_error(run: Path, inputs: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputNotFound):
        verify(run, [inputs[0], str(tmp_path / "gone.csv")])


def test_a_folder_without_manifest_is_no_run(run: Path, inputs: list[str]) -> None:
    (run / "manifest.json").unlink()
    with pytest.raises(RunUnreadable):
        verify(run, inputs)


@pytest.mark.parametrize("name", ["ledger.parquet", "removed.parquet", "quarantine.parquet", "duplicates.parquet", "profile.json"])
def test_a_missing_or_damaged_file_is_noticed(run: Path, inputs: list[str], name: str) -> None:
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[:-20] + b"x" * 20)
    reason(run, inputs)
    adjust(run, name)
    if name.endswith(".parquet"):
        reason(run, inputs)
    (run / name).unlink()
    reason(run, inputs)


def test_a_changed_cell_is_named_by_its_place(run: Path, inputs: list[str]) -> None:
    path = run_folder.cleaned_file(run)
    if path.suffix == ".parquet":
        change(run, "cleaned", lambda c: c.with_columns(name=pl.col("name").replace(SECRET, "Someone")))
    else:
        path.write_text(path.read_text("utf-8").replace(SECRET, "Someone"), "utf-8")
        adjust(run, path.name)
    assert reason(run, inputs) == f"row 24, column 'name' of {inputs[0]}: input + ledger is not the cleaned cell"


SET = pl.col("action") == "set"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (lambda e: e.with_columns(old=pl.when(SET).then(pl.col("old") + "x").otherwise("old")), "another value before the change"),
        (lambda e: e.with_columns(row=pl.when(SET).then(pl.lit(99, pl.UInt64)).otherwise("row")), "a row that its source"),
        (lambda e: e.with_columns(column=pl.when(SET).then(pl.lit("nowhere")).otherwise("column")), "a cell that does not exist"),
        (lambda e: e.with_columns(action=pl.when(SET).then(pl.lit("wish")).otherwise("action")), "a cell that does not exist"),
        (lambda e: e.with_columns(source=pl.lit("elsewhere.csv")), "a source that the run does not have"),
        (lambda e: e.reverse(), "not in the order of the rows"),
        (lambda e: pl.concat([e, e.filter(SET)]).sort("source", "row", "column", nulls_last=False, maintain_order=True), "two entries"),
        (lambda e: e.filter(pl.col("action") != "remove"), "has not one remove entry"),
        (lambda e: e.filter(pl.col("action") != "quarantine"), "has not one quarantine entry"),
        (lambda e: e.with_columns(old=pl.when(pl.col("action") == "convert").then(pl.lit("what")).otherwise("old")), "no step can repeat"),
        (lambda e: e.drop("row"), "cannot be read, or an entry says what no run writes"),
    ],
)  # fmt: skip
def test_a_changed_ledger_is_noticed(run: Path, inputs: list[str], how: Callable[[pl.DataFrame], pl.DataFrame], why: str) -> None:
    change(run, "ledger", how)
    assert why in reason(run, inputs)


def test_a_way_of_writing_that_is_not_the_inputs_is_noticed(run: Path, inputs: list[str]) -> None:
    change(run, "ledger", lambda e: e.with_columns(old=pl.col("old").replace("#.##0,00", "#,##0.00")))
    assert "column 'amount'" in reason(run, inputs)


def test_a_removed_row_must_be_the_one_that_was_read(run: Path, inputs: list[str]) -> None:
    change(run, "removed", lambda r: r.with_columns(state=pl.lit("Utah")))
    assert reason(run, inputs).startswith("row 27, column 'state'")


def test_a_removed_row_must_have_a_survivor_that_is_kept(run: Path, inputs: list[str]) -> None:
    change(run, "duplicates", lambda d: d.with_columns(survivor_row=pl.when(pl.col("row") == 27).then(28).otherwise("survivor_row")))
    assert reason(run, inputs) == f"row 28 of {inputs[0]} is a survivor in duplicates.parquet and not kept"
    change(run, "duplicates", lambda d: d.filter(pl.col("row") != 27))
    assert reason(run, inputs).startswith(f"row 27 of {inputs[0]} is removed in one of")


def test_a_quarantined_row_must_be_the_one_that_was_read(run: Path, inputs: list[str]) -> None:
    change(run, "quarantine", lambda q: q.with_columns(text=pl.lit("another,text")))
    assert reason(run, inputs) == f"row 26 of {inputs[0]} is not set aside as quarantine.parquet tells"


def test_the_account_of_rows_must_add_up(run: Path, inputs: list[str]) -> None:
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    manifest["rows"] |= {"kept": 28, "merged": 2}
    run_folder.write_json(run / "manifest.json", manifest)
    assert reason(run, inputs) == "the rows in are not those kept + merged + quarantined of manifest.json"


TYPED = {
    "whole": pl.Series([1, None, -3], dtype=pl.Int16),
    "large": pl.Series([2**64 - 1, 0, None], dtype=pl.UInt64),
    "real": [0.1, float("nan"), float("inf")],
    "single": pl.Series([0.1, None, 1e30], dtype=pl.Float32),
    "yes": [True, False, None],
    "day": [date(2021, 2, 3), None, date(1, 1, 1)],
    "at": [datetime(2021, 2, 3, 4, 5, 6, 7), None, datetime(2021, 2, 3)],
    "zoned": pl.Series([datetime(2021, 7, 1, tzinfo=UTC), None, datetime(2021, 1, 1, tzinfo=UTC)]).dt.convert_time_zone("America/New_York"),
    "clock": [time(1, 2, 3, 4), None, time(0)],
    "money": pl.Series([Decimal("1.50"), None, Decimal("-0.01")], dtype=pl.Decimal(18, 2)),
    "text": [" blank ", "", None],
}


@pytest.mark.parametrize("output_format", run_folder.FORMATS)
def test_typed_columns_are_compared_in_every_format(tmp_path: Path, output_format: str) -> None:
    pl.DataFrame(TYPED).write_parquet(tmp_path / "typed.parquet")
    source = [str(tmp_path / "typed.parquet")]
    sanitize(source, tmp_path / "run", load_recipe(None), RunOptions(output_format=output_format))
    assert verify(tmp_path / "run", source).cells == 33


def test_masked_cells_are_compared_forward_only(tmp_path: Path) -> None:
    mails = "mail\n" + "".join(f"person{i}@mail.example\n" for i in range(12))
    run, source = cleaned(tmp_path, {"mails.csv": mails}, {"extends": "careful", "steps": {"mask_personal_data": {}}})
    assert verify(run, source).masked == 12
    change(run, "cleaned", lambda c: c.with_columns(mail=pl.lit("[PHONE]")))
    assert "column 'mail'" in reason(run, source)


def test_a_compressed_input_is_read_as_the_run_read_it(tmp_path: Path) -> None:
    (tmp_path / "first.csv.gz").write_bytes(gzip.compress(FIRST.encode()))
    source = [str(tmp_path / "first.csv.gz")]
    sanitize(source, tmp_path / "run", load_recipe(None))
    assert verify(tmp_path / "run", source).rows == 29


@pytest.mark.parametrize("table", ["a\n", "a,b\n1,2\n"])
def test_tables_with_no_or_one_row(tmp_path: Path, table: str) -> None:
    run, source = cleaned(tmp_path, {"small.csv": table, "other.csv": "b,c\n1,x\n"})
    verify(run, source)
