"""undo: takes back what is chosen, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_sanitizer import run_folder
from data_sanitizer.errors import NotInRun, OutputExists, RunUnreadable, UsageError
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.pipeline.undo_run import undo_run
from data_sanitizer.recipe import load_recipe
from data_sanitizer.verification import verify

HEAD = "name,state,amount,day\n"
ROWS = [f'Person {i},{"Georgia" if i % 3 else "Ohio"},"{i + 1}.234,50",{i % 28 + 1:02}/02/2021\n' for i in range(20)]
ODD = [
    'Ada,georgia,"1.017,00",03/02/2021\n',  # 20: a spelling
    'Bob,Ohio," 18,00",04/02/2021\n',  # 21: blanks, in a column of numbers
    "Eve,Ohio,n/a,05/02/2021\n",  # 22: a null token, in a column of numbers
    'Joe,Ohio,"19,00",6/2/2021\n',  # 23: a date that is written in another way
    "one,field,too,many,here\n",  # 24: set aside
]
FIRST = HEAD + "".join([*ROWS, *ODD, ROWS[0], ROWS[0].replace(",Ohio", ", ohio "), ROWS[1]])  # 25, 26 as 0; 27 as 1
SECOND = HEAD + "".join(['Zoe,georgia,"9,00",07/02/2021\n', ROWS[2]])


def cleaned(folder: Path, files: dict[str, str], recipe: Any = "careful", output_format: str = "parquet") -> tuple[Path, list[str]]:
    inputs = []
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
        inputs.append(str(folder / name))
    sanitize(inputs, folder / "run", load_recipe(recipe), RunOptions(output_format=output_format, threads=1))
    return folder / "run", inputs


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    return cleaned(tmp_path_factory.mktemp("undo"), {"first.csv": FIRST, "second.csv": SECOND})


@pytest.fixture
def run(case: tuple[Path, list[str]]) -> Path:
    return case[0]


@pytest.fixture
def first(case: tuple[Path, list[str]]) -> str:
    return case[1][0]


def undone(case: tuple[Path, list[str]], new: Path, **choice: Any) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The cleaned table after the undo, which verifies, and what the manifest tells of the undo."""
    undo_run(case[0], new, **choice)
    verify(new, case[1])
    return pl.read_parquet(new / "cleaned.parquet"), json.loads((new / "manifest.json").read_text("utf-8"))["undone"][-1]


def before(run: Path) -> pl.DataFrame:
    return pl.read_parquet(run / "cleaned.parquet")


def ledger(run: Path) -> pl.DataFrame:
    return pl.read_parquet(run / "ledger.parquet")


def test_the_run_to_undo_is_as_these_tests_need_it(run: Path) -> None:
    table = before(run)
    assert dict(table.schema) == {"name": pl.String(), "state": pl.String(), "amount": pl.Float64(), "day": pl.Date()}
    assert table["amount"].to_list()[20:24] == [1017.0, 18.0, None, 19.0]
    assert pl.read_parquet(run / "removed.parquet")["row"].to_list() == [25, 26, 27, 1]


def test_one_cell(case: tuple[Path, list[str]], run: Path, first: str, tmp_path: Path) -> None:
    table, told = undone(case, tmp_path / "new", row=20, column="state", source=first)
    assert table["state"].to_list()[20] == "georgia"
    assert table.select("name", "amount", "day").equals(before(run).select("name", "amount", "day"), null_equal=True)
    assert ledger(tmp_path / "new").height == ledger(run).height - 1
    assert told == {
        "filters": {"row": 20, "column": "state", "source": first},
        "cells": 1, "rows": 0, "flags": 0, "columns": [], "masked": 0,
    }  # fmt: skip


@pytest.mark.parametrize("choice", [{"row": 21}, {"row": 22}, {"rule": "null_tokens"}])
def test_a_cell_that_cannot_live_in_the_type_takes_the_conversion_back(
    case: tuple[Path, list[str]], run: Path, first: str, tmp_path: Path, choice: dict[str, Any]
) -> None:
    table, told = undone(case, tmp_path / "new", column="amount", source=first, **choice)
    assert told["columns"] == ["amount"]
    assert dict(table.schema) == {**dict(before(run).schema), "amount": pl.String()}
    expected = ["1.017,00", " 18,00" if choice == {"row": 21} else "18,00", None if choice == {"row": 21} else "n/a", "19,00"]
    assert table["amount"].to_list()[20:24] == expected
    assert table["amount"].to_list()[0] == "1.234,50"


def test_entries_that_stay_tell_the_text_that_now_stands_in_the_cell(
    case: tuple[Path, list[str]], first: str, tmp_path: Path
) -> None:  # fmt: skip
    undone(case, tmp_path / "new", row=22, source=first)
    left = ledger(tmp_path / "new").filter(column="amount")
    assert left.select("row", "old", "new").rows() == [(21, " 18,00", "18,00")]


def test_a_filled_cell_lives_in_the_type(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7 + 1}.5,word {i}\n" for i in range(40))
    case = cleaned(tmp_path, {"fill.csv": "value,other\n" + rows + ",last\n"}, "complete")
    assert before(case[0])["value"].to_list()[-1] is not None
    table, told = undone(case, tmp_path / "new", rule="fill_missing")
    assert (table["value"].to_list()[-1], table.schema["value"], told["columns"]) == (None, pl.Float64(), [])


def test_one_rule_with_its_part_in_cells_that_others_changed_too(case: tuple[Path, list[str]], run: Path, tmp_path: Path) -> None:
    table, told = undone(case, tmp_path / "new", rule="category_spelling")
    entries = ledger(run).filter(pl.col("rule").str.contains("category_spelling"))
    assert "trim_blanks+category_spelling" in entries["rule"].to_list()
    assert told["cells"] == entries.height
    assert table["state"].to_list().count("georgia") == 2
    assert told["columns"] == []


def test_a_conversion_goes_for_all_sources(case: tuple[Path, list[str]], run: Path, first: str, tmp_path: Path) -> None:
    table, told = undone(case, tmp_path / "new", rule="dates", source=first)
    assert told["columns"] == ["day"]
    assert table["day"].to_list()[23] == "6/2/2021"
    assert table["day"].to_list()[-1] == "07/02/2021"
    assert ledger(tmp_path / "new").filter(column="day").is_empty()
    assert table.schema["amount"] == pl.Float64()


def test_a_column_is_as_it_was_read(case: tuple[Path, list[str]], tmp_path: Path) -> None:
    table, _ = undone(case, tmp_path / "new", column="amount")
    assert table["amount"].to_list()[20:24] == ["1.017,00", " 18,00", "n/a", "19,00"]


def test_a_cluster_comes_back_at_its_place(case: tuple[Path, list[str]], run: Path, tmp_path: Path) -> None:
    clusters = pl.read_parquet(run / "duplicates.parquet")
    cluster = clusters.filter(row=25)["cluster"][0]
    table, told = undone(case, tmp_path / "new", cluster=cluster)
    assert (told["rows"], told["cells"]) == (2, 0)
    assert table["name"].to_list()[23:] == ["Joe", "Person 0", "Person 0", "Zoe", "Person 2"][: table.height - 23]
    assert table["state"].to_list()[24:26] == ["Ohio", "Ohio"]  # cleaned, as its entries say
    assert pl.read_parquet(tmp_path / "new" / "removed.parquet")["row"].to_list() == [27, 1]
    left = pl.read_parquet(tmp_path / "new" / "duplicates.parquet")
    assert left.equals(clusters.filter(pl.col("cluster") != cluster))
    matches = pl.read_parquet(tmp_path / "new" / "matches.parquet")
    assert set(matches["row_b"]) == {27, 1}


def test_one_row_of_a_cluster_of_three(case: tuple[Path, list[str]], run: Path, first: str, tmp_path: Path) -> None:
    undone(case, tmp_path / "new", row=26, rule="exact_duplicate", source=first)
    left = pl.read_parquet(tmp_path / "new" / "duplicates.parquet").filter(pl.col("row").is_in([0, 25, 26]), source=first)
    assert dict(left.select("row", "decision").iter_rows()) == {0: "kept", 25: "removed", 26: "kept"}
    assert pl.read_parquet(tmp_path / "new" / "matches.parquet").height == pl.read_parquet(run / "matches.parquet").height


def test_a_flag_is_dismissed(tmp_path: Path) -> None:
    table = "".join(f"{100 + i % 9},x{i}\n" for i in range(60)) + "9000000,y\n"
    case = cleaned(tmp_path, {"flags.csv": "value,other\n" + table})
    flags = ledger(case[0]).filter(action="flag")
    assert flags["rule"].to_list() == ["outliers"]
    kept, told = undone(case, tmp_path / "new", rule="outliers")
    assert (told["flags"], told["cells"]) == (1, 0)
    assert ledger(tmp_path / "new").filter(action="flag").is_empty()
    assert kept.equals(before(case[0]))


def test_a_flag_that_stays_tells_the_value_that_now_stands_in_the_cell(tmp_path: Path) -> None:
    table = "".join(f"{100 + i % 9},x{i}\n" for i in range(60)) + "9000000,y\n 104,z\n"
    case = cleaned(tmp_path, {"flags.csv": "value,other\n" + table})
    undone(case, tmp_path / "new", column="value", rule="trim_blanks")
    assert ledger(tmp_path / "new").select("action", "old").rows() == [("flag", "9000000")]
    assert before(tmp_path / "new")["value"].to_list()[-2:] == ["9000000", " 104"]


def test_everything(case: tuple[Path, list[str]], tmp_path: Path) -> None:
    table, told = undone(case, tmp_path / "new", everything=True)
    given = [line for line in (FIRST + SECOND.removeprefix(HEAD)).splitlines()[1:] if not line.startswith("one,field")]
    assert table.write_csv(include_header=False, quote_style="never").splitlines() == [line.replace('"', "") for line in given]
    assert told["filters"] == {"everything": True}
    assert ledger(tmp_path / "new")["action"].to_list() == ["quarantine"]


def test_masked_cells_stay(tmp_path: Path) -> None:
    text = "mail,place\n" + "".join(f"person{i}@mail.example, Rome\n" for i in range(12))
    case = cleaned(tmp_path, {"mails.csv": text}, {"extends": "careful", "steps": {"mask_personal_data": {}}})
    with pytest.raises(NotInRun, match="12 masked cells fit"):
        undo_run(case[0], tmp_path / "none", column="mail", rule="mask_personal_data")
    table, told = undone(case, tmp_path / "new", everything=True)
    assert (told["masked"], set(table["mail"]), set(table["place"])) == (12, {"[EMAIL]"}, {" Rome"})


@pytest.mark.parametrize("output_format", ["csv", "jsonl"])
def test_a_run_keeps_its_format(tmp_path: Path, output_format: str) -> None:
    run, inputs = cleaned(tmp_path, {"first.csv": FIRST}, output_format=output_format)
    undo_run(run, tmp_path / "new", row=20)
    verify(tmp_path / "new", inputs)
    changed = (tmp_path / "new" / f"cleaned.{output_format}").read_text("utf-8").splitlines()
    lines = zip((run / f"cleaned.{output_format}").read_text("utf-8").splitlines(), changed, strict=True)
    assert [b for a, b in lines if a != b] == [next(line for line in changed if "georgia" in line)]


def test_the_old_run_stays_and_the_new_one_is_whole(case: tuple[Path, list[str]], run: Path, tmp_path: Path) -> None:
    old = {p.name: run_folder.sha256(p) for p in run.iterdir()}
    undone(case, tmp_path / "new", rule="dates")
    assert {p.name: run_folder.sha256(p) for p in run.iterdir()} == old
    assert {p.name for p in (tmp_path / "new").iterdir()} == old.keys()
    for name in ("quarantine.parquet", "profile.json"):
        assert run_folder.sha256(tmp_path / "new" / name) == old[name]
    report = json.loads((tmp_path / "new" / "report.json").read_text("utf-8"))
    assert report["rows"] == json.loads((run / "report.json").read_text("utf-8"))["rows"]


def test_undoing_is_repeatable_and_goes_on_from_an_undone_run(case: tuple[Path, list[str]], tmp_path: Path) -> None:
    undone(case, tmp_path / "one", rule="dates")
    undone(case, tmp_path / "two", rule="dates")
    assert (tmp_path / "one" / "manifest.json").read_bytes() == (tmp_path / "two" / "manifest.json").read_bytes()
    undone((tmp_path / "one", case[1]), tmp_path / "three", everything=True)
    told = json.loads((tmp_path / "three" / "manifest.json").read_text("utf-8"))["undone"]
    assert [u["filters"] for u in told] == [{"rule": "dates"}, {"everything": True}]


@pytest.mark.parametrize(
    ("choice", "cure"),
    [
        ({"column": "colour"}, "Its columns are: name, state, amount, day."),
        ({"rule": "magic"}, "Rules that changed something: booleans|category_spelling"),
        ({"cluster": "none"}, "duplicates.parquet"),
        ({"source": "third.csv"}, "Its sources are: "),
        ({"rule": "dates", "column": "name"}, "Rules that changed something: "),
        ({"column": "name", "cluster": "0"}, "clusters"),
    ],
)
def test_what_is_not_there_cannot_be_taken_back(run: Path, tmp_path: Path, choice: dict[str, Any], cure: str) -> None:
    with pytest.raises(NotInRun) as caught:
        undo_run(run, tmp_path / "new", **choice)
    assert any(part in str(caught.value) for part in cure.split("|"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("choice", [{}, {"row": 3}, {"everything": True, "column": "day"}])
def test_an_unclear_choice_is_refused(run: Path, tmp_path: Path, choice: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        undo_run(run, tmp_path / "new", **choice)


def test_an_output_that_exists_is_not_touched(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(OutputExists):
        undo_run(run, tmp_path, rule="dates")
    with pytest.raises(RunUnreadable):
        undo_run(tmp_path, tmp_path / "new", rule="dates")
