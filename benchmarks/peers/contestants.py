"""Who is compared: how each is run, and where its answer is read."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from pathlib import Path

import polars as pl

from benchmarks.peers import environments, measure
from benchmarks.peers.score import Found
from benchmarks.peers.tables import SANITIZER, Table

PEERS = {
    "splink": "blocking rules and comparisons by hand, no labels",
    "goldenmatch": "no configuration",
    "recordlinkage": "blocking and comparisons by hand, ECM",
    "dedupe": "columns by hand, codes exact, 200 labelled pairs from the truth",
    "datasketch": "MinHash LSH of whole rows",
    "pandas": "`drop_duplicates`",
}
ENVIRONMENT = {  # nothing learned in earlier runs, nothing sent or fetched
    "GOLDENMATCH_AUTOCONFIG_MEMORY": "0",
    "GOLDENMATCH_ANALYTICS": "0",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant on one table: what was measured and, where it finished, its answers, the timed one first."""

    name: str
    version: str
    how: str
    measured: measure.Measured
    found: list[Found]


def sanitizer(table: Table, limits: measure.Limits) -> Run:
    """`data-sanitizer clean` with its defaults: what it removes, and what it removes or sends to review."""
    with _folder() as folder:
        command = [str(SANITIZER), "clean", str(table.path), "-o", str(folder / "run"), "--quiet"]
        measured = measure.run(command, folder, os.environ, limits)
        found = [] if measured.failure else [_removed(folder / "run", table.rows), _proposed(folder / "run", table.rows)]
    return Run("Data Sanitizer", installed("data-sanitizer"), "no configuration, whole cleaning", measured, found)


def peer(name: str, python: Path, table: Table, limits: measure.Limits) -> Run:
    """A peer in its environment, in an empty home and working folder."""
    script = Path(__file__).with_name(f"with_{name}.py").absolute()
    with _folder() as folder:
        command = [str(python), str(script), str(table.path), table.kind, str(folder), str(table.labels)]
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        measured = measure.run(command, folder, {**kept, **ENVIRONMENT, "HOME": str(folder)}, limits)
        if (folder / "answers.json").exists():  # stopped or not, the first answer was there in time
            timed = json.loads((folder / "answers.json").read_text())
            measured = replace(measured, seconds=timed["timed_at"] - measured.start, cpu_seconds=timed["cpu_seconds"], failure=None)
        found = list(_answers(folder))
    return Run(name, environments.version(name), PEERS[name], measured, found)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        yield Path(folder)


def _answers(folder: Path) -> Iterator[Found]:
    told = folder / "answers.json"
    for place, setting in enumerate(json.loads(told.read_text())["settings"] if told.exists() else []):
        yield Found(setting, pl.Series((folder / f"labels-{place}.txt").read_text().split()))


def _removed(run: Path, rows: int) -> Found:
    """Each removed row with the row that was kept for it."""
    gone = pl.read_parquet(run / "duplicates.parquet").filter(pl.col("decision") == "removed")
    return Found("removed", _labels(rows, gone.select("row", label=pl.col("survivor_row").cast(pl.String))))


def _proposed(run: Path, rows: int) -> Found:
    """Everything in one cluster, and every pair that was scored at 0.5 or more."""
    rows_of_clusters = pl.read_parquet(run / "duplicates.parquet").select("row", label=pl.concat_str(pl.lit("cluster "), "cluster"))
    matches = pl.read_parquet(run / "matches.parquet").filter(pl.col("confidence") >= 0.5)
    return Found("removed or to review", _labels(rows, rows_of_clusters), matches.select(a="row_a", b="row_b"))


def _labels(rows: int, known: pl.DataFrame) -> pl.Series:
    """The label of each row; a row that has none is its own."""
    numbers = pl.DataFrame({"row": pl.Series(range(rows), dtype=known.schema["row"])})
    joined = numbers.join(known, on="row", how="left", maintain_order="left")
    return joined.select(pl.col("label").fill_null(pl.col("row").cast(pl.String)))["label"]


def python_version() -> str:
    """The version of Python that all of them run on."""
    return sys.version.split()[0]
