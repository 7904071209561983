"""Whether the confidence of near-duplicates can be believed: of matches said to be right at 0.9, nine in ten should be.

    python -m benchmarks.calibration [--rows 100k] [--print]           tables that are made here; writes its section of docs/benchmarks.md
    python -m benchmarks.calibration --run RUN --truth TRUTH.csv       any finished run; TRUTH has a column entity and, where its lines
                                                                       are not in the order of the rows, row (from 0) and source

Matches of rows that are equal in every column are left out: they are certain and would only flatter the figures.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks import sections, skewed
from benchmarks.near_truth import Planted, judged_matches, planted, read_truth
from data_sanitizer import benchmark_generator
from data_sanitizer.duplicates.calibration import calibration_error
from data_sanitizer.pipeline.sanitize import sanitize
from data_sanitizer.recipe import load_recipe
from tests.unit import near_tables

EDGES = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0)
PEOPLE = 6000
TEXTS = "products in long texts"
HEADINGS = ("table", "matches", "right", "said", "error", "sure", "right of sure", "planted", "found", "removed", "wrong")
SURE = np.float32(0.99)  # what is removed is at least so sure
CURVE = ("said to be", "matches", "mean said", "right")


@dataclass(frozen=True, slots=True)
class Judged:
    """The matches of one table: confidences, whether they are right, and where copies were planted, how many were found."""

    name: str
    confidences: NDArray[np.float32]
    right: NDArray[np.bool_]
    planted: Planted | None = None
    texts: bool = False  # identity is in long texts: a confidence beyond 0.71 is never given


def main() -> None:
    """Print the figures of a run, or of all tables that are made here."""
    options = arguments().parse_args()
    if options.run:
        tables = [Judged(options.run.name, *judged_matches(options.run, read_truth(options.truth)))]
    else:
        with tempfile.TemporaryDirectory(dir=options.work_dir) as work:
            tables = list(all_tables(benchmark_generator.parse_size(options.rows), Path(work)))
    print(sections.as_text(HEADINGS, lines(tables)), sections.as_text(CURVE, curve(tables)), sep="\n\n")
    if not (options.run or options.print):
        sections.write(sections.PAGE, "benchmarks.calibration", section(tables))


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", default="100k", help="rows of the generated tables (default 100k)")
    parser.add_argument("--print", action="store_true", help="print only; leave the page as it is")
    parser.add_argument("--run", type=Path, help="a finished run to judge instead")
    parser.add_argument("--truth", type=Path, help="the entity of each row of that run's input: CSV or Parquet")
    parser.add_argument("--work-dir", type=Path, help="folder for tables and runs (default: that of the system)")
    return parser


def all_tables(rows: int, work: Path) -> Iterator[Judged]:
    """Clean and judge the tables that are made here."""
    recipe = load_recipe("careful")
    for name, make in (("customers", benchmark_generator.generate), ("customers, skewed", skewed.generate)):
        folder = work / name
        make(rows, folder)
        sanitize([str(folder / "customers.csv")], folder / "run", recipe)
        truth = read_truth(folder / "entities.parquet")
        yield Judged(f"{name}, {rows:,} rows", *judged_matches(folder / "run", truth), planted(folder / "run", folder))
    for name, (table, entities) in small_tables():
        folder = work / name
        folder.mkdir()
        table.write_csv(folder / "table.csv")
        sanitize([str(folder / "table.csv")], folder / "run", recipe)
        truth = pl.DataFrame({"row": np.arange(len(entities), dtype=np.uint64), "entity": entities}).cast({"entity": pl.String})
        yield Judged(name, *judged_matches(folder / "run", truth), texts=name == TEXTS)


def small_tables() -> Iterator[tuple[str, tuple[pl.DataFrame, NDArray[np.int64]]]]:
    """Tables of the tests: people, some living together, some with few columns and more errors; products in long texts."""
    for share in (0.0, 0.15, 0.5):
        yield f"people, {share:.0%} in households", near_tables.people(PEOPLE, 1, share)
    for columns in (("first", "last", "born", "city"), ("first", "last", "street", "city"), ("last", "born", "phone")):
        table, entities = near_tables.people(PEOPLE, 2, 0.15)
        yield f"people by {', '.join(columns)}", (table.select(columns), entities)
    table, entities = near_tables.people(PEOPLE, 3, 0.15, 0.3)
    yield "people, more errors", (more_errors(table, 4), entities)
    yield TEXTS, near_tables.products(2000, 1)


def more_errors(table: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The table with an error in one or two cells of every row."""
    dice = np.random.default_rng(seed)
    return pl.DataFrame([near_tables.damaged(dice, list(row)) for row in table.iter_rows()], table.columns, orient="row")


def lines(tables: Sequence[Judged]) -> Iterator[list[str]]:
    """A line for each table, and one for all."""
    for table in tables:
        figures = told(table.confidences, table.right)
        if found := table.planted:
            removed = f"{found.found_removed / max(found.planted, 1):.2%}"
            figures += [f"{found.planted:,}", f"{found.recall:.2%}", removed, f"{found.wrongness:.2%}"]
        yield [table.name, *figures, *[""] * (len(HEADINGS) - 1 - len(figures))]
    if len(tables) > 1:
        yield ["all but long texts", *told(*together(tables)), *[""] * 4]


def told(confidences: NDArray[np.float32], right: NDArray[np.bool_]) -> list[str]:
    """Matches, share right, mean confidence, expected calibration error; those that are sure, and which share of them is right."""
    if not len(right):
        return ["0", "", "", "", "0", ""]
    sure = right[confidences >= SURE]
    error = calibration_error(confidences, right)
    figures = [f"{len(right):,}", f"{right.mean():.4f}", f"{confidences.mean():.4f}", f"{error:.4f}"]
    return [*figures, f"{len(sure):,}", f"{sure.mean():.4f}" if len(sure) else ""]


def together(tables: Sequence[Judged]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The matches of all tables but those of long texts; of a single table always."""
    chosen = [t for t in tables if not t.texts or len(tables) == 1]
    return np.concatenate([t.confidences for t in chosen]), np.concatenate([t.right for t in chosen])


def curve(tables: Sequence[Judged]) -> Iterator[list[str]]:
    """The reliability curve: for each range of confidence the number of matches, the mean confidence, the share that is right."""
    confidences, right = together(tables)
    place = np.searchsorted(np.array(EDGES[1:-1], np.float32), confidences, side="right")
    for k in range(len(EDGES) - 1):
        here = place == k
        figures = [f"{confidences[here].mean():.3f}", f"{right[here].mean():.3f}"] if here.any() else ["", ""]
        yield [f"{EDGES[k]:.2f} to {EDGES[k + 1]:.2f}", f"{here.sum():,}", *figures]


def section(tables: Sequence[Judged]) -> str:
    """The section in Markdown."""
    intro = Path(__file__).with_name("calibration.md").read_text(encoding="utf-8").strip()
    return "\n\n".join([intro, sections.table(HEADINGS, lines(tables)), sections.table(CURVE, curve(tables))])


if __name__ == "__main__":
    main()
