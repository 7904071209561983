"""Writes a new run in which chosen changes of an old one are taken back; the old one is not touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from data_sanitizer import formats, ledger, run_folder, undo
from data_sanitizer.pipeline import report, undo_merges
from data_sanitizer.pipeline.entity_split import Decided
from data_sanitizer.pipeline.sanitize import Clock, versions, write_manifest
from data_sanitizer.pipeline.spool import ROW_GROUP, ZSTD, Spool
from data_sanitizer.replay import Run, open_run
from data_sanitizer.stores import Location


def undo_run(run: Path | Location, output: Path | Location, *, row: int | None = None, column: str | None = None, rule: str | None = None,
             cluster: str | None = None, source: str | None = None, everything: bool = False,
             force: bool = False, deciding: Callable[[str, str], Decided] | None = None) -> dict[str, Any]:  # fmt: skip
    """Take back the changes that fit every filter, into the new run folder `output`; returns the new report.

    A near-duplicate that comes back is an entity of its own from now on: `deciding` opens the dataset of a tenant, where that is kept.
    Raises UsageError where nothing is chosen, NotInRun where nothing fits, RunUnreadable, and the errors of writing.
    """
    clock, started = Clock(), datetime.now(UTC).isoformat(timespec="seconds")
    with run_folder.at_hand(run) as here, run_folder.written_aside(output, force) as folder:
        old = open_run(here)
        with clock.stage("undo"):
            undoing = undo.plan(old, undo.Choice(row, column, rule, cluster, source, everything))
            written = _write(undoing, folder)
            _write_duplicates(old, written.returned, folder)
            for name in ("quarantine.parquet", "profile.json"):
                shutil.copyfile(here / name, folder / name)
            undo_merges.write_entities(old, written.returned, folder, deciding)
        rows = {**old.manifest["rows"], "kept": written.kept, "merged": written.removed.height}
        with clock.stage("report"):
            result = report.write_report(folder, _facts(old, rows, clock.seconds, started, output))
        done = [*old.manifest.get("undone", []), undoing.described()]
        write_manifest(folder, old.manifest["inputs"], old.manifest["recipe"], rows, **{**_more(old), "undone": done})
    return result


class _Writing:
    """The new tables while they grow beside the cleaned one."""

    def __init__(self, undoing: undo.Undoing, scratch: Path) -> None:
        self._undoing, self.kept = undoing, 0
        self.ledger = Spool(scratch, "ledger", ledger.SCHEMA)
        self.removed = Spool(scratch, "removed", undoing.run.table("removed").collect_schema())
        self.returned: list[pl.DataFrame] = []

    def cleaned(self) -> Iterator[pl.DataFrame]:
        """The rows that are kept now."""
        for part in undo.rewritten(self._undoing):
            self.ledger.add(part.entries)
            self.removed.add(part.removed)
            self.returned.append(part.returned)
            self.kept += part.cleaned.height
            yield part.cleaned


def _write(undoing: undo.Undoing, folder: Path) -> _Writing:
    """The cleaned table, the ledger and the removed rows."""
    scratch = folder / "scratch"
    scratch.mkdir()
    writing = _Writing(undoing, scratch)
    table = register_io_source(lambda *_: writing.cleaned(), schema=undoing.cleaned_schema)
    formats.write(table, folder / undoing.run.cleaned.name, undoing.run.format)
    writing.ledger.write(folder / "ledger.parquet")
    writing.removed.write(folder / "removed.parquet")
    shutil.rmtree(scratch)
    return writing


def _write_duplicates(old: Run, returned: list[pl.DataFrame], folder: Path) -> None:
    """duplicates.parquet and matches.parquet: a row that came back is kept; a cluster ends when none of it is removed or in review."""
    back = pl.concat(returned).lazy().with_columns(came_back=pl.lit(value=True))
    table = old.table("duplicates").join(back, on=["source", "row"], how="left", maintain_order="left")
    table = table.with_columns(decision=pl.when("came_back").then(pl.lit("kept")).otherwise("decision"))
    clusters = table.group_by("cluster").agg(touched=pl.col("came_back").any(), rest=(pl.col("decision") != "kept").any())
    ended = clusters.filter(pl.col("touched") & ~pl.col("rest")).select("cluster").collect()["cluster"].implode()
    left = table.filter(~pl.col("cluster").is_in(ended)).drop("came_back")
    free = table.filter(pl.col("cluster").is_in(ended)).select("source", "row")
    names = old.table("matches").collect_schema().names()
    a, b = (free.with_columns(pl.lit(value=True).alias(end)).rename({"source": f"source_{end}", "row": f"row_{end}"}) for end in "ab")
    matches = old.table("matches").join(a, on=["source_a", "row_a"], how="left", maintain_order="left")
    matches = matches.join(b, on=["source_b", "row_b"], how="left", maintain_order="left")
    matches = matches.filter(~(pl.col("a") & pl.col("b")).fill_null(value=False)).select(names)
    for name, frame in (("duplicates", left), ("matches", matches)):
        frame.sink_parquet(
            folder / f"{name}.parquet", compression="zstd", compression_level=ZSTD, row_group_size=ROW_GROUP, maintain_order=True
        )


def _more(old: Run) -> dict[str, Any]:
    """What else the manifest of the old run tells."""
    own = ("schema", "versions", "recipe", "inputs", "rows", "outputs")
    return {name: value for name, value in old.manifest.items() if name not in own}


def _facts(old: Run, rows: dict[str, int], stages: dict[str, float], started: str, output: Path | Location) -> report.RunFacts:
    return report.RunFacts(
        sources=_sources(old), rows_in=rows["in"], rows_kept=rows["kept"], rows_merged=rows["merged"], rows_quarantined=rows["quarantined"],
        columns=list(old.schema), profile=json.loads((old.folder / "profile.json").read_text("utf-8")), recipe=dict(old.manifest["recipe"]),
        stages=stages, versions=versions(), started=started, output=str(output), dataset=_dataset(old),
    )  # fmt: skip


def _dataset(old: Run) -> dict[str, Any] | None:
    told = old.manifest.get("dataset")
    return {k: v for k, v in told.items() if k != "earlier"} if told else None


def _sources(old: Run) -> list[dict[str, Any]]:
    """The sources as the report of the old run tells of them; without one, what the manifest knows."""
    path = old.folder / "report.json"
    if path.exists():
        told: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["sources"]
        return told
    return [{"name": s.name, "format": "", "bytes": 0, "rows": s.rows, "quarantined": s.quarantined, "decisions": []} for s in old.sources]
