"""The golden record: what a row that is kept learns from the rows that are merged into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_sanitizer.library import Result, clean
from tests.unit.near_tables import people


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    """People of whom some come three times; of each a phone or a mail address may be missing, also as a word that means so."""
    rows, _ = people(500, 4, copies=0.3)
    again = rows.sample(150, seed=1).with_columns(pl.col("street") + "x")
    both = pl.concat([rows, again])
    dice = np.random.default_rng(7).random(both.height)
    phone = pl.when(pl.Series(dice < 0.2)).then(None).when(pl.Series(dice < 0.4)).then(pl.lit("N/A")).otherwise("phone")
    mail = pl.when(pl.Series(dice > 0.6)).then(None).otherwise("mail")
    return both.with_columns(phone=phone, mail=mail)


def run(table: pl.DataFrame, **more: Any) -> Result:
    recipe: Mapping[str, Any] = {"extends": "careful", "duplicates": {"golden": True}, **more}
    return clean(table, recipe=recipe)


def test_an_empty_cell_is_filled_from_the_rows_that_are_merged(table: pl.DataFrame) -> None:
    result = run(table)
    ledger, without = result.ledger, clean(table, recipe="careful")
    filled = ledger.filter(pl.col("rule").str.contains("golden_record"))
    assert {"phone", "mail"} <= set(filled["column"])
    groups = without.duplicates.filter(pl.col("decision") == "removed").group_by("survivor_row").agg("row")
    members = dict(groups.iter_rows())
    for entry in filled.filter(pl.col("column") == "phone").iter_rows(named=True):
        given = [table["phone"][r] for r in members[entry["row"]]]
        assert entry["confidence"] >= 0.99
        assert entry["new"] in given
        assert entry["new"] not in (None, "N/A")
        assert entry["old"] == table["phone"][entry["row"]]
        assert entry["evidence"].split("from row ")[1].split()[0] in map(str, members[entry["row"]])
        assert entry["rule"] == ("golden_record" if entry["old"] is None else "null_tokens+golden_record")
    assert result.data.height == without.data.height
    changed = (result.data["phone"].ne_missing(without.data["phone"])).sum()
    assert changed == filled.filter(pl.col("column") == "phone").height


def test_only_empty_cells_are_filled(table: pl.DataFrame) -> None:
    result, without = run(table), clean(table, recipe="careful")
    for column in result.data.columns:
        before, after = without.data[column], result.data[column]
        assert before.drop_nulls().equals(after.filter(before.is_not_null()))


def test_what_a_row_is_known_to_be_goes_before_what_is_guessed(table: pl.DataFrame) -> None:
    result = clean(table, recipe={"extends": "complete", "duplicates": {"golden": True}})
    known = result.ledger.filter((pl.col("column") == "phone") & pl.col("rule").str.contains("golden_record"))
    assert known.height > 5
    assert not known["rule"].str.contains("fill_missing").any()


def test_masked_columns_are_left_alone(table: pl.DataFrame) -> None:
    result = run(table, steps={"mask_personal_data": {}})
    filled = result.ledger.filter(pl.col("rule").str.contains("golden_record"))
    masked = set(result.ledger.filter(pl.col("rule").str.contains("mask_personal_data"))["column"])
    assert masked
    assert not masked & set(filled["column"])


def test_it_verifies_and_can_be_taken_back(table: pl.DataFrame, tmp_path: Path) -> None:
    from data_sanitizer.pipeline.sanitize import sanitize
    from data_sanitizer.pipeline.undo_run import undo_run
    from data_sanitizer.recipe import load_recipe
    from data_sanitizer.verification import verify

    source = str(tmp_path / "people.csv")
    table.write_csv(source)
    recipe = load_recipe({"extends": "careful", "duplicates": {"golden": True}})
    sanitize([source], tmp_path / "run", recipe)
    verify(tmp_path / "run", [source])
    undo_run(tmp_path / "run", tmp_path / "back", rule="golden_record")
    verify(tmp_path / "back", [source])
    left = pl.read_parquet(tmp_path / "back" / "ledger.parquet")
    assert not left["rule"].str.contains("golden_record").any()


def test_nothing_is_filled_without_near_duplicates() -> None:
    result = run(pl.DataFrame({"a": ["1", None, "2"], "b": ["x", "y", "z"]}))
    assert not result.ledger["rule"].str.contains("golden_record").any()
