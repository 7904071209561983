"""A table full of traps: every row is another record, every digit and accent means something. Nothing may become something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_sanitizer.pipeline.sanitize import sanitize
from data_sanitizer.recipe import load_recipe

ROWS = 800
NAMES = [
    "José García",
    "Jose Garcia",
    "Zoë Müller",
    "Zoe Muller",
    "Anna de la Cruz",
    "O'Neil Na",
    "Null",
    "Ng Ơn",
    "王伟",
    "Ana María Núñez",
]
COUNTRIES = ["DE", "FR", "NA", "US", "NO", "GB", "NG", "NE"]  # Namibia, Norway, Niger and Nigeria
REGIONS = ["EMEA", "APAC", "NA", "LATAM"]
DRUGS = ["Hydroxyzine", "Hydralazine", "Celebrex", "Celexa", "Prednisone", "Prednisolone"]  # names that look alike and are not
GRADES = ["A", "A-", "A+", "B", "-"]
UNITS = ["mW", "MW", "kW", "Co", "CO"]


def traps() -> pl.DataFrame:
    """Columns as people deliver them, all text."""
    dice = np.random.default_rng(11)
    pick = lambda values, n=ROWS: [values[i] for i in dice.integers(0, len(values), n)]  # noqa: E731
    day, month, year = dice.integers(1, 29, ROWS), dice.integers(1, 13, ROWS), dice.integers(1950, 2024, ROWS)
    columns = {
        "id": [f"{i:06d}" for i in range(ROWS)],
        "name": pick(NAMES),
        "born_us": [f"{m:02d}/{d:02d}/{y}" for d, m, y in zip(day, month, year, strict=True)],
        "born_eu": [f"{d}.{m}.{y}" for d, m, y in zip(day, month, year, strict=True)],
        "visited": [f"{d % 12 + 1:02d}/{m:02d}/{y}" for d, m, y in zip(day, month, year, strict=True)],  # no cell decides the order
        "expires": [f"{m:02d}/{y % 100:02d}" for m, y in zip(month, year, strict=True)],
        "amount_eu": [f"{v:,.2f}".replace(",", "x").replace(".", ",").replace("x", ".") for v in dice.lognormal(6, 2, ROWS)],
        "open_separator": [f"{v},{w:03d}" for v, w in zip(dice.integers(1, 99, ROWS), dice.integers(0, 999, ROWS), strict=True)],
        "version": [f"{a}.{b}" for a, b in zip(dice.integers(1, 9, ROWS), dice.integers(0, 30, ROWS), strict=True)],
        "zip": [f"{v:05d}" for v in dice.integers(0, 99_999, ROWS)],
        "phone": [f"0{a} {b}" for a, b in zip(dice.integers(10, 99, ROWS), dice.integers(10**5, 10**6, ROWS), strict=True)],
        "iban_tail": [f"{v:022d}" for v in dice.integers(0, 10**18, ROWS)],
        "country": pick(COUNTRIES), "region": pick(REGIONS), "drug": pick(DRUGS), "grade": pick(GRADES), "unit": pick(UNITS),
        "class": [*["Class A"] * (ROWS - 1), "Class B"],
        "code": [f"a{v:x}" if v % 2 else f"A{v:X}" for v in dice.integers(0, 5000, ROWS)],  # case tells them apart
        "score": [f"{v:.0f}" for v in np.where(dice.random(ROWS) < 0.01, 10**6, dice.normal(50, 5, ROWS))],
    }  # fmt: skip
    return pl.DataFrame(columns)


def iso(cells: pl.Series, form: str) -> list[str]:
    return cells.str.to_date(form).cast(pl.String).to_list()


@pytest.mark.parametrize("output_format", ["csv", "parquet"])
def test_nothing_is_guessed(output_format: str, tmp_path: Path) -> None:
    from data_sanitizer.pipeline.sanitize import RunOptions, read_cleaned

    before = traps()
    before.write_csv(tmp_path / "traps.csv")
    sanitize([str(tmp_path / "traps.csv")], tmp_path / "run", load_recipe("careful"), RunOptions(output_format=output_format))
    after = read_cleaned(tmp_path / "run").collect().cast(pl.String)
    assert after.height == ROWS
    amounts = before["amount_eu"].str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True).cast(pl.Float64).to_list()
    meant = {c: before[c].to_list() for c in before.columns}
    meant |= {"born_us": iso(before["born_us"], "%m/%d/%Y"), "born_eu": iso(before["born_eu"], "%d.%m.%Y")}
    for column in before.columns:
        if column == "amount_eu":
            assert after[column].cast(pl.Float64).to_list() == amounts
        else:
            assert after[column].to_list() == meant[column], column
    ledger = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
    asked = set(ledger.filter(pl.col("action") == "flag")["column"])
    assert {"visited", "score"} <= asked  # the doubtful is asked about


def test_namesakes_at_one_address_stay_two_people(tmp_path: Path) -> None:
    people = pl.DataFrame(
        {
            "name": ["Ann Lee", "Ann Lee", "Ann Lee", "Ann  Lee"],
            "street": ["1 Oak St"] * 4,
            "born": ["1950-01-02", "1980-01-02", "1950-01-02", "1980-01-02"],
            "phone": ["555-0100", "555-0100", "555-0101", "555-0100"],
        }
    )
    people.write_csv(tmp_path / "people.csv")
    sanitize([str(tmp_path / "people.csv")], tmp_path / "run", load_recipe("careful"))
    gone = pl.read_parquet(tmp_path / "run" / "duplicates.parquet").filter(pl.col("decision") == "removed")
    assert gone.select("row", "survivor_row").rows() == [(3, 1)]
