"""The steps of the recipe `careful`, each through a whole run: what it repairs, what it must leave alone, what it asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from data_sanitizer.pipeline.sanitize import sanitize
from data_sanitizer.recipe import load_recipe


@dataclass(frozen=True, slots=True)
class Ran:
    """A column after cleaning, and the ledger of the run."""

    column: pl.Series
    ledger: pl.DataFrame

    def rules(self, action: str) -> set[str]:
        """The rules that made entries of this kind."""
        return set(self.ledger.filter(pl.col("action") == action)["rule"])


Clean = Callable[..., Ran]


@pytest.fixture
def clean(tmp_path: Path) -> Clean:
    """Clean a column of text (beside a running number that keeps rows apart) with some steps alone."""

    def run(cells: Sequence[str | None], *steps: str, name: str = "value", **options: object) -> Ran:
        table = pl.DataFrame({name: pl.Series(cells, dtype=pl.String), "nr": [f"R{i:04d}" for i in range(len(cells))]})
        table.write_ipc(tmp_path / "t.arrow")
        recipe = load_recipe({"steps": {step: options.get(step) for step in steps}} if steps else "careful")
        out = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        sanitize([str(tmp_path / "t.arrow")], out, recipe)
        ledger = pl.read_parquet(out / "ledger.parquet").filter(pl.col("column") == name)
        return Ran(pl.read_parquet(out / "cleaned.parquet")[name], ledger)

    return run


def test_trim_blanks(clean: Clean) -> None:
    ran = clean([" a ", "a  b", "a\tb", "  ", "a\nb", "\u00a0x\u00a0", None], "normalize_unicode", "trim_blanks")
    assert ran.column.to_list() == ["a", "a b", "a b", None, "a\nb", "x", None]


def test_normalize_unicode(clean: Clean) -> None:
    ran = clean(
        ["e\u0301", "a\u200bb", "\ufeffx", "soft\u00adhyphen", "क्षि", "👨\u200d👩\u200d👧", "بِسْم", "\u2126", "x\x07y"], "normalize_unicode"
    )
    assert ran.column.to_list() == ["é", "ab", "x", "softhyphen", "क्षि", "👨\u200d👩\u200d👧", "بِسْم", "Ω", "xy"]


@pytest.mark.parametrize(
    ("spoilt", "text"),
    [
        ("JosÃ©", "José"), ("MÃ¼ller", "Müller"), ("donâ€™t", "don’t"), ("Â£5", "£5"), ("ÃƒÂ©tÃƒÂ©", "été"),  # spoilt, the last twice
        ("WeiÃ\x9f", "Weiß"), ("LuÃ\xads", "Luís"),
        ("José", "José"), ("SÃO PAULO", "SÃO PAULO"), ("Ã", "Ã"), ("naïve “quote”", "naïve “quote”"), ("10 °C", "10 °C"),  # right
    ],
)  # fmt: skip
def test_fix_encoding(clean: Clean, spoilt: str, text: str) -> None:
    assert clean([spoilt, "plain"], "fix_encoding").column.to_list() == [text, "plain"]


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["1", "2", "NA", "none", "-", "?", "unknown"] + ["3"] * 20, ["1", "2", None, None, None, None, None]),
        (["DE", "FR", "NA", "US", "GB", "NL"], ["DE", "FR", "NA", "US", "GB", "NL"]),  # Namibia
        (["EMEA", "APAC", "NA", "LATAM"], ["EMEA", "APAC", "NA", "LATAM"]),  # North America
        (["good", "bad", "NA", "N/A", "None", "unknown"], ["good", "bad", None, None, "None", "unknown"]),  # an answer may be none
        (["A+", "B-", "-", "A"], ["A+", "B-", "-", "A"]),  # grades
    ],
)
def test_null_tokens_by_column_evidence(clean: Clean, cells: list[str], kept: list[str | None]) -> None:
    assert clean(cells, "null_tokens").column.to_list()[: len(kept)] == kept


def test_a_person_may_be_called_null(clean: Clean) -> None:
    assert clean(["Null", "Smith", "Na", "Nan", "Jones"], "null_tokens", name="last_name").column.to_list() == [
        "Null",
        "Smith",
        "Na",
        "Nan",
        "Jones",
    ]


def test_dates_take_the_one_order_of_the_column(clean: Clean) -> None:
    ran = clean(["03/04/2015", "18/03/2015", "01/02/2020"], "dates")
    assert ran.column.dtype == pl.Date
    assert [str(d) for d in ran.column] == ["2015-04-03", "2015-03-18", "2020-02-01"]
    us = clean(["03/04/2015", "03/18/2015"], "dates")
    assert [str(d) for d in us.column] == ["2015-03-04", "2015-03-18"]


@pytest.mark.parametrize(
    "cells",
    [
        ["03/04/2015", "05/06/2016"],  # both orders are possible
        ["18/03/2015", "03/18/2015", "01/02/2015"],  # each is certain, and they contradict each other
        ["18/03/15", "19/03/15"],  # which century?
    ],
)
def test_dates_that_leave_a_question_stay_and_ask(clean: Clean, cells: list[str]) -> None:
    ran = clean(cells, "dates")
    assert ran.column.to_list() == cells
    assert ran.rules("flag") == {"dates"}


def test_the_answer_to_the_question_is_an_option(clean: Clean) -> None:
    ran = clean(["03/04/2015", "05/06/2016"], "dates", dates={"order": "mdy"})
    assert [str(d) for d in ran.column] == ["2015-03-04", "2016-05-06"]


def test_a_date_in_another_form_gets_its_own_entry(clean: Clean) -> None:
    ran = clean(["18/03/2015", "19/03/2015", "2015-03-20", "21.3.2015"], "dates")
    assert [str(d) for d in ran.column] == ["2015-03-18", "2015-03-19", "2015-03-20", "2015-03-21"]
    assert ran.ledger.filter(pl.col("action") == "set")["row"].to_list() == [2, 3]


def test_one_cell_that_is_no_date_keeps_the_column_as_it_is(clean: Clean) -> None:
    cells = ["18/03/2015"] * 30 + ["31/02/2015"]
    assert clean(cells, "dates").column.to_list() == cells


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.234,50", "2,25", "10,00"], [1234.5, 2.25, 10.0]),
        (["1,234.50", "2.25", "999.00"], [1234.5, 2.25, 999.0]),
        (["€ 1.234,50", "€ 2,25"], [1234.5, 2.25]),
        (["12.5%", "7.1%"], [12.5, 7.1]),
        (["12", "-3", "0"], [12, -3, 0]),
        (["1,234", "5,678,901"], [1234, 5678901]),
        (["1.5", "2.25", "3"], [1.5, 2.25, 3.0]),
    ],
)
def test_numbers(clean: Clean, cells: list[str], numbers: list[float]) -> None:
    ran = clean(cells, "numbers")
    assert ran.column.to_list() == numbers
    assert ran.rules("convert") == {"numbers"}
    assert ran.rules("set") == set()


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("value", ["007", "042", "100"]),  # leading zeros
        ("value", ["1,234", "5,678"]),  # thousands or decimals?
        ("value", ["1,5", "1.5"]),  # two decimal signs
        ("value", ["$5", "€5"]),  # two currencies
        ("value", ["1.5", "1.50"]),  # versions, or measurements with their precision
        ("value", ["1234567890123456789", "1234567890123456780"]),  # more digits than a number holds
        ("customer_id", ["1001", "1002"]), ("zipcode", ["10115", "20095"]), ("phone", ["3012345", "4055512"]),
        ("value", ["+4930123456", "+4940555123"]), ("value", ["12", "n. b. 5"]), ("value", ["1e5", "2e7"]),
    ],
)  # fmt: skip
def test_what_is_no_quantity_stays_text(clean: Clean, name: str, cells: list[str]) -> None:
    assert clean(cells, "numbers", name=name).column.to_list() == cells


def test_booleans(clean: Clean) -> None:
    assert clean(["true", "FALSE", "True", None], "booleans").column.to_list() == [True, False, True, None]
    assert clean(["yes", "no", "yes"], "booleans").column.to_list() == ["yes", "no", "yes"]
    assert clean(["yes", "no", "yes"], "booleans", booleans={"words": "all"}).column.to_list() == [True, False, True]
    assert clean(["0", "1", "1"], "booleans", booleans={"words": "all"}).column.to_list() == ["0", "1", "1"]


def test_category_spelling(clean: Clean) -> None:
    cells = ["New York"] * 8 + ["new york", "NEW YORK", "NewYork"] + ["Boston"] * 5 + ["Austin"] * 5
    assert set(clean(cells, "category_spelling").column) == {"New York", "Boston", "Austin"}


def test_spelling_follows_the_style_of_the_column_before_the_number_of_cells(clean: Clean) -> None:
    cells = ["Ohio"] * 5 + ["Texas"] * 5 + ["Maine"] * 5 + ["Iowa"] * 3 + ["iowa"] * 9
    assert set(clean(cells, "category_spelling").column) == {"Ohio", "Texas", "Maine", "Iowa"}


def test_units_that_differ_in_case_are_two_units(clean: Clean) -> None:
    cells = ["mW"] * 8 + ["MW"] * 8 + ["kW"] * 8
    assert clean(cells, "category_spelling").column.to_list() == cells


def test_a_misspelling_beyond_doubt_is_repaired_and_a_doubtful_one_is_flagged(clean: Clean) -> None:
    cells = (
        ["Georgia"] * 60 + ["Gerogia"] + ["Virginia"] * 60 + ["V*rginia"] + ["Gambia"] * 60 + ["Zambia"] + ["Class A"] * 60 + ["Class B"]
    )
    ran = clean(cells, "category_typos")
    assert set(ran.column) == {"Georgia", "Virginia", "Gambia", "Zambia", "Class A", "Class B"}
    flagged = ran.ledger.filter(pl.col("action") == "flag")
    assert flagged["old"].to_list() == ["Zambia"]


def test_outliers_are_flagged_and_kept(clean: Clean) -> None:
    cells = [str(100 + i % 37) for i in range(200)] + ["9999"]
    ran = clean(cells, "numbers", "outliers")
    assert ran.column.to_list()[-1] == 9999
    assert ran.ledger.filter(pl.col("action") == "flag").select("row", "old").rows() == [(200, "9999")]


def test_a_gross_error_among_numbers_close_together_is_flagged(clean: Clean) -> None:
    cells = [str(1490 + i % 21) for i in range(200)] + ["9000000"]
    assert clean(cells, "numbers", "outliers").ledger.filter(pl.col("action") == "flag")["row"].to_list() == [200]


def test_a_long_tail_is_no_outlier(clean: Clean) -> None:
    cells = [str(round(1.07**i, 1)) for i in range(200)]
    assert "flag" not in set(clean(cells, "numbers", "outliers").ledger["action"])


def test_personal_data_is_flagged_by_column_and_marked_sensitive(clean: Clean) -> None:
    ran = clean([f" person{i}@example.org" for i in range(40)], name="contact")
    assert "flag_personal_data" in ran.rules("flag")
    assert ran.ledger.filter(pl.col("action") == "set")["sensitive"].all()
