"""The laws of the ledger, for any table: input + ledger = output, output - ledger = input, and any change can be taken back."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from data_sanitizer import formats, run_folder
from data_sanitizer.errors import VerificationFailed
from data_sanitizer.model import ReadOptions
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.pipeline.undo_run import undo_run
from data_sanitizer.recipe import load_recipe
from data_sanitizer.verification import verify

few = settings(max_examples=16, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

# Every kind of column has cells that stay, cells that are repaired, and cells that say nothing.
NOISE = ("", " ", "n/a", "NULL", "-")
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "city": (("Berlin", "München", "Łódź", "Rome"), ("berlin", " Berlin ", "BERLIN", "Mu\u0308nchen", "Ber\u200blin", "Rome\t", "Rom")),
    "price": (("1.234,50", "12,00", "3,10", "999.999,99", "-4,20"), ("7,5", " 3,10 ", "3,10\u00a0", "1.234.567,00")),
    "dollars": (("$1,234.50", "$12.00", "$3.10", "$0.99"), ("$ 3.10", "  $12.00", "$5")),
    "count": (("1", "2", "30", "400", "-5"), (" 30", "007", "30.0", "1e3")),
    "measure": (("1.5", "2.25", "3", "0.125", "10"), (" 1.5 ", "1.50", "99999999")),
    "day": (("13/02/2020", "01/12/2019", "28/02/2021"), ("1/2/2020", " 13/02/2020", "13-02-2020")),
    "when": (("2020-02-13", "2019-12-01"), ("2020/02/13", " 2019-12-01 ")),
    "flag": (("true", "false"), ("True", "FALSE", " true")),
    "note": (("plain", "with, comma", 'with "quotes"', "two\nlines", "0012"), ("  two  blanks ", "caf\u00c3\u00a9", "a\u00a0b")),
}


def column(kind: str) -> st.SearchStrategy[str]:
    plain, odd = KINDS[kind]
    common = st.sampled_from(plain)
    return st.one_of(common, common, common, st.sampled_from(odd), st.sampled_from(NOISE))


anything = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)


@st.composite
def tables(draw: st.DrawFn, columns: tuple[str, ...]) -> list[list[str]]:
    """Rows of text under the given columns; some of them twice."""
    cells = [anything if name == "any" else column(name) for name in columns]
    rows = draw(st.lists(st.tuples(*cells).map(list), min_size=1, max_size=20))
    again = draw(st.lists(st.sampled_from(rows), max_size=4))
    return draw(st.permutations(rows + [list(r) for r in again]))


@dataclass(frozen=True)
class Case:
    """One or two sources, and how the cleaned table is written."""

    sources: list[tuple[tuple[str, ...], list[list[str]]]]
    ragged: bool
    format: str
    recipe: str


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = st.lists(st.sampled_from([*KINDS, "any"]), min_size=1, max_size=5, unique=True).map(tuple)
    first = draw(names)
    columns = [first] + ([draw(st.one_of(st.just(first), names))] if draw(st.booleans()) else [])
    sources = [(c, draw(tables(c))) for c in columns]
    return Case(sources, draw(st.booleans()), draw(st.sampled_from(run_folder.FORMATS)), draw(st.sampled_from(["careful", "complete"])))


@contextmanager
def cleaned(case: Case) -> Iterator[tuple[Path, list[str]]]:
    """A run of the case, and its inputs."""
    with tempfile.TemporaryDirectory() as name:
        folder, inputs = Path(name), []
        for number, (columns, rows) in enumerate(case.sources):
            path = folder / f"part{number}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
                writer.writerows([columns, *rows])
                if case.ragged and len(columns) > 1:
                    writer.writerow(["one", "too", "many", *columns])
                    writer.writerow(rows[0])
            inputs.append(str(path))
        sanitize(inputs, folder / "run", load_recipe(case.recipe), RunOptions(output_format=case.format, threads=1))
        yield folder / "run", inputs


def ledger_of(run: Path) -> pl.DataFrame:
    return pl.read_parquet(run / "ledger.parquet")


def table_of(run: Path) -> pl.DataFrame:
    """The cleaned table as text; CSV and JSONL keep no types."""
    path = run_folder.cleaned_file(run)
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    columns = pl.read_parquet_schema(run / "removed.parquet")
    text = dict.fromkeys(list(columns)[3:], pl.String())
    return pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_ndjson(path, schema=text)


def as_read(inputs: list[str]) -> pl.DataFrame:
    """The inputs, one below the other, without what the reader set aside."""
    with tempfile.TemporaryDirectory() as scratch:
        readings = [formats.open_source(path, ReadOptions(), Path(scratch)) for path in inputs]
        return pl.concat([b.frame for r in readings for b in r.blocks()], how="diagonal")


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """The kernels are compiled before anything is timed."""
    with cleaned(Case([(("city", "price"), [["Rome", "1,50"]])], False, "csv", "careful")) as (run, inputs):
        verify(run, inputs)


@few
@given(cases())
def test_every_run_verifies_and_loses_no_row(case: Case) -> None:
    with cleaned(case) as (run, inputs):
        proof = verify(run, inputs)
        assert proof.rows == proof.kept + proof.merged + proof.quarantined
        assert proof.entries == ledger_of(run).height
        assert proof.kept == table_of(run).height


@few
@given(cases())
def test_undoing_everything_gives_the_input(case: Case) -> None:
    with cleaned(case) as (run, inputs):
        back = run.parent / "back"
        undo_run(run, back, everything=True)
        verify(back, inputs)
        assert table_of(back).equals(as_read(inputs), null_equal=True)
        assert set(ledger_of(back)["action"]) <= {"quarantine"}
        assert pl.read_parquet(back / "removed.parquet").is_empty()


def choices(run: Path) -> list[dict[str, Any]]:
    """Every single row, column, rule and cluster about which there is something to take back."""
    entries = ledger_of(run).filter(pl.col("action") != "quarantine")
    removed = pl.read_parquet(run / "duplicates.parquet").filter(pl.col("decision") == "removed")
    rows = entries.drop_nulls("row").select("source", "row").unique(maintain_order=True).iter_rows(named=True)
    return [
        *rows,
        *({"column": c} for c in entries["column"].drop_nulls().unique().sort()),
        *({"rule": r} for r in entries["rule"].str.split("+").explode().unique().sort()),
        *({"cluster": c} for c in removed["cluster"].unique().sort()),
    ]


def of_choice(choice: dict[str, Any]) -> pl.Expr:
    fits = pl.col("action") != "quarantine"
    for name, value in choice.items():
        if name == "rule":
            fits &= pl.col("rule").str.split("+").list.contains(value)
        elif name == "cluster":
            fits &= pl.col("action") == "remove"
        else:
            fits &= (pl.col(name) == value).fill_null(value=False)
    return fits


@few
@given(cases(), st.data())
def test_any_change_can_be_taken_back_and_the_others_stay(case: Case, data: st.DataObject) -> None:
    with cleaned(case) as (run, inputs):
        possible = choices(run)
        assume(possible)
        before, new = ledger_of(run), run.parent / "new"
        for choice in data.draw(st.lists(st.sampled_from(possible), min_size=1, max_size=4, unique_by=str)):
            undo_run(run, new, **choice, force=True)
            proof = verify(new, inputs)
            after = ledger_of(new)
            if "cluster" not in choice:
                assert after.filter(of_choice(choice)).is_empty()
            stays = before.filter(~of_choice(choice)) if "cluster" not in choice else before.filter(pl.col("action") != "remove")
            reverted = set(json.loads((new / "manifest.json").read_text("utf-8"))["undone"][-1]["columns"])
            place = ["source", "row", "column", "action", "rule"]
            untouched = stays.filter(~pl.col("column").is_in(reverted).fill_null(value=False)).select(place)
            assert untouched.join(after, on=place, how="anti", nulls_equal=True).is_empty()
            assert proof.rows == proof.kept + proof.merged + proof.quarantined


@few
@given(cases(), st.data())
def test_undoing_one_by_one_ends_at_the_input(case: Case, data: st.DataObject) -> None:
    with cleaned(case) as (run, inputs):
        for number in range(4):
            possible = choices(run)
            if not possible:
                break
            next_run = run.parent / f"run{number}"
            undo_run(run, next_run, **data.draw(st.sampled_from(possible)))
            run = next_run
        else:
            undo_run(run, run.parent / "rest", everything=True)
            run = run.parent / "rest"
        verify(run, inputs)
        assert table_of(run).equals(as_read(inputs), null_equal=True)


def rewrite(run: Path, name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change a table and the sha256 in the manifest with it: only the content can give the change away."""
    path = run / name
    if path.suffix == ".parquet":
        change(pl.read_parquet(path)).write_parquet(path)
    elif path.suffix == ".csv":
        change(table_of(run)).write_csv(path)
    else:
        change(table_of(run)).write_ndjson(path)
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    manifest["outputs"][name]["sha256"] = run_folder.sha256(path)
    run_folder.write_json(run / "manifest.json", manifest)


def other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str | None):
        return (value or "") + "1"
    return value.replace(year=value.year + 1, day=1) if hasattr(value, "year") else value + 1


def with_cell(row: int, name: str, value: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        cells = frame[name].to_list()
        cells[row] = value
        return frame.with_columns(pl.Series(name, cells, frame.schema[name]))

    return change


def without(row: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda frame: pl.concat([frame[:row], frame[row + 1 :]])


def twice(row: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda frame: pl.concat([frame[: row + 1], frame[row:]])


Change = tuple[str, Callable[[pl.DataFrame], pl.DataFrame]]


def changed_table(run: Path, data: st.DataObject) -> Change | None:
    """Another cell, or another row."""
    table = table_of(run)
    if table.is_empty():
        return None
    row, name = data.draw(st.integers(0, table.height - 1)), data.draw(st.sampled_from(table.columns))
    kinds = [without(row), twice(row)]
    if table[name][row] is not None:
        kinds += [with_cell(row, name, None), with_cell(row, name, other(table[name][row]))]
    if not table.reverse().equals(table):
        kinds.append(pl.DataFrame.reverse)
    return run_folder.cleaned_file(run).name, data.draw(st.sampled_from(kinds))


def changed_ledger(run: Path, data: st.DataObject) -> Change | None:
    """Another value, row or column in an entry, one entry too few or too many, wherever the table shows what the entry says.

    A flag changes nothing. CSV and JSONL keep no types, so that a conversion without a cell that was written back says nothing about them.
    What a removed row would have become stands in the ledger alone.
    """
    entries = ledger_of(run)
    counting = [i for i, action in enumerate(entries["action"]) if action != "flag"]
    if not counting:
        return None
    index = data.draw(st.sampled_from(counting))
    entry = entries.row(index, named=True)
    fields = {"set": ["old", "new", "row", "column", "gone"], "convert": ["new", "column"]}.get(entry["action"], ["row", "column", "gone"])
    if entry["action"] == "convert" and run_folder.cleaned_file(run).suffix == ".parquet":
        fields = [*fields, "gone"]
    if entry["action"] == "set" and not entries.filter(source=entry["source"], row=entry["row"], action="remove").is_empty():
        fields = ["old"]
    field = data.draw(st.sampled_from([*fields, "twice"]))
    by_name = {"gone": without(index), "twice": twice(index)}
    return "ledger.parquet", by_name.get(field) or with_cell(index, field, other(entry[field]))


def changed_removed(run: Path, data: st.DataObject) -> Change | None:
    """Another cell or row number in a removed row, or one removed row too few or too many."""
    removed = pl.read_parquet(run / "removed.parquet")
    if removed.is_empty():
        return None
    row = data.draw(st.integers(0, removed.height - 1))
    name = data.draw(st.sampled_from([c for i, c in enumerate(removed.columns) if i != 2]))  # the reason is free text
    return "removed.parquet", data.draw(st.sampled_from([with_cell(row, name, other(removed[name][row])), without(row), twice(row)]))


@few
@given(cases(), st.data())
def test_any_other_content_is_noticed(case: Case, data: st.DataObject) -> None:
    with cleaned(case) as (run, inputs):
        verify(run, inputs)
        for change in (changed_table, changed_ledger, changed_removed, changed_ledger, changed_table):
            found = change(run, data)
            if found is not None:
                copy = run.parent / "copy"
                shutil.copytree(run, copy)
                rewrite(copy, *found)
                with pytest.raises(VerificationFailed):
                    verify(copy, inputs)
                shutil.rmtree(copy)
