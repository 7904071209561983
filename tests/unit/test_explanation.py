"""explain: what happened to a row or a cell, in plain words."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from data_sanitizer.cli import commands
from data_sanitizer.errors import NotInRun, RunUnreadable, UsageError
from data_sanitizer.explanation import explain
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe

HEAD = "name,mail,state,amount\n"
ROWS = [f'Person {i},person{i}@mail.example,{"Georgia" if i % 3 else "Ohio"},"{i + 1}.234,50"\n' for i in range(20)]
ODD = [
    '  Ada  Mary ,ada@mail.example ,georgia,"1.017,00"\n',  # 20
    "Eve,eve@mail.example,Ohio,n/a\n",  # 21
    "one,field,too,many,here\n",  # 22: set aside
]
FIRST = HEAD + "".join([*ROWS, *ODD, ROWS[0]])  # 23 as 0
SECOND = HEAD + ROWS[5]


def cleaned(folder: Path, files: dict[str, str], recipe: Any = "careful") -> tuple[Path, list[str]]:
    inputs = []
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
        inputs.append(str(folder / name))
    sanitize(inputs, folder / "run", load_recipe(recipe), RunOptions(threads=1))
    return folder / "run", inputs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cleaned(tmp_path_factory.mktemp("one"), {"first.csv": FIRST})[0]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    return cleaned(tmp_path_factory.mktemp("two"), {"first.csv": FIRST, "second.csv": SECOND})


def test_a_changed_cell(run: Path) -> None:
    told = explain(run, 20, "state")
    assert told.text == (
        "row 20, column state: georgia → Georgia by category_spelling (99 %): differs only in case or blanks from a commoner value; "
        f"undo with `data-sanitizer undo {run} --row 20 --column state -o NEW_RUN`"
    )
    assert told.entries.select("row", "column", "old", "new").rows() == [(20, "state", "georgia", "Georgia")]


def test_blanks_and_missing_values_can_be_seen(run: Path) -> None:
    assert "'  Ada  Mary ' → Ada Mary by trim_blanks" in explain(run, 20, "name").text
    assert "n/a → (no value) by null_tokens" in explain(run, 21, "amount").text


def test_a_converted_column(run: Path) -> None:
    text = explain(run, 3, "amount").text
    assert text.startswith("column amount: read as Float64, written in the source as #.##0,00, by numbers: every cell is a number")
    assert f"undo {run} --column amount --rule numbers -o NEW_RUN" in text


def test_a_row_tells_all_its_cells(run: Path) -> None:
    told = explain(run, 20)
    assert told.entries["column"].to_list() == ["name", "mail", "state"]
    assert [line.split(":")[0] for line in told.text.splitlines()] == [
        "row 20, column name", "row 20, column mail", "row 20, column state", "columns whose type changed for all rows",
    ]  # fmt: skip


def test_what_was_not_changed(run: Path) -> None:
    assert explain(run, 4, "state").text == "row 4, column state: unchanged"
    told = explain(run, 4)
    assert told.text.splitlines()[0] == "row 4: unchanged"
    assert told.entries.is_empty()


def test_a_removed_row_names_its_survivor_and_the_way_back(run: Path) -> None:
    text = explain(run, 23).text
    survivor = f"row 0 of {run.parent / 'first.csv'}, which is kept"
    assert f"row 23: removed by exact_duplicate as a duplicate of {survivor}; it stands whole in removed.parquet" in text
    assert f"undo {run} --cluster 0 -o NEW_RUN" in text
    assert explain(run, 0).text.splitlines()[1] == "row 0: kept in cluster 0 with 1 removed row"


def test_a_quarantined_row_tells_the_reason(run: Path) -> None:
    assert explain(run, 22).text.startswith("row 22: set aside: 5 fields where the header has 4; it stands whole in quarantine.parquet")


def test_a_flagged_cell(tmp_path: Path) -> None:
    table = "value,other\n" + "".join(f"{100 + i % 9},x{i}\n" for i in range(60)) + "9000000,y\n"
    text = explain(cleaned(tmp_path, {"flags.csv": table})[0], 60, "value").text
    assert "row 60, column value: flagged 9000000 by outliers" in text
    assert "nothing was changed" in text


def test_personal_data_is_hidden_unless_asked_for(run: Path) -> None:
    told = explain(run, 20, "mail")
    assert "ada@" not in told.text
    assert "a***@mail.example" in told.text
    assert "'ada@mail.example ' → ada@mail.example" in explain(run, 20, "mail", show=True).text
    assert told.entries["new"].to_list()[-1] == "ada@mail.example"
    assert "ada@" not in explain(run, 20).text


def test_what_was_masked_is_not_told(tmp_path: Path) -> None:
    run, _ = cleaned(tmp_path, {"first.csv": FIRST}, {"extends": "careful", "steps": {"mask_personal_data": {}}})
    text = explain(run, 3, "mail", show=True).text
    assert "*** → [EMAIL] by mask_personal_data" in text
    assert "person3" not in text


def test_of_several_sources_one_must_be_named(two: tuple[Path, list[str]]) -> None:
    run, (first, second) = two
    with pytest.raises(UsageError, match="several sources"):
        explain(run, 0)
    assert f"row 20, column state of {first}: georgia → Georgia" in explain(run, 20, "state", first).text
    assert f"--source {shlex.quote(first)} -o NEW_RUN" in explain(run, 20, "state", first).text
    assert f"as a duplicate of row 5 of {first}" in explain(run, 0, source=second).text


@pytest.mark.parametrize(
    ("place", "cure"),
    [((24,), "Its rows are 0 to 23."), ((-1,), "Its rows are 0 to 23."), ((0, "colour"), "name, mail"), ((0, None, "x"), "first.csv")],
)
def test_what_is_not_there_cannot_be_explained(run: Path, place: tuple[Any, ...], cure: str) -> None:
    with pytest.raises(NotInRun) as caught:
        explain(run, *place)
    assert cure in str(caught.value)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunUnreadable):
        explain(tmp_path, 0)


def test_the_way_back_that_it_tells_works(run: Path, tmp_path: Path) -> None:
    for row, column in ((20, "state"), (3, "amount"), (23, None)):
        command = explain(run, row, column).text.split("`")[1].replace("NEW_RUN", str(tmp_path / f"new{row}"))
        result = CliRunner().invoke(commands, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output
