"""Turns finished runs into the measures of a pilot: what was found, how surely, how fast, what was asked, and what it returns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from data_sanitizer import ledger, run_folder
from data_sanitizer.errors import RunUnreadable
from data_sanitizer.pipeline import pilot_return, pilot_truth
from data_sanitizer.pipeline.pilot_return import Outlay
from data_sanitizer.pipeline.report_rules import rule
from data_sanitizer.stores import Location

GOALS: Final = {"found": 0.90, "false": 0.05, "rows_an_hour": 10_000_000}  # more than, less than, at least
MISLEADS: Final = 2  # the severity from which a repair counts as one that a person would have had to make


def measured(runs: Sequence[tuple[Path | Location, Path | None]], outlay: Outlay | None = None) -> dict[str, Any]:
    """The pilot's report: the measures of each run, given with its file of truth if it has one. Raises RunUnreadable, TruthUnusable."""
    return {"schema": "data-sanitizer.pilot/1", "goals": GOALS, "runs": [_run(place, truth, outlay) for place, truth in runs]}


def _run(place: Path | Location, truth: Path | None, outlay: Outlay | None) -> dict[str, Any]:
    with run_folder.at_hand(place, without="cleaned") as folder:
        run_folder.read_manifest(folder)
        report = _report(folder, place)
        records = _records(folder, report["rows"]["in"])
        duplicates = _duplicates(folder, report, truth)
    speed = _speed(report)
    return {
        "run": str(place),
        "started": report["started"],
        "sources": [str(source["name"]) for source in report["sources"]],
        "recipe": str(report["recipe"]["name"]),
        "rows": report["rows"],
        "score": [report["score"][side]["score"] for side in ("before", "after")],
        "parts": {part: [report["score"][side][part] for side in ("before", "after")] for part in report["score"]["before"]},
        "duplicates": duplicates,
        "repairs": [_repair(one) for one in report["rules"] if one["changed"] or one["rows"] or one["converted"]],
        "questions": [{key: one[key] for key in ("label", "column", "cells", "whole_column")} for one in report["questions"]],
        "records": records,
        "speed": speed,
        "goals": _goals(duplicates, speed),
        "return": outlay and pilot_return.returned(outlay, records["bad_share"], records["asked_share"]),
    }


def _report(folder: Path, place: Path | Location) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunUnreadable(path=place, why="its report.json cannot be read") from error
    return found


def _repair(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: told[key] for key in ("rule", "label", "changed", "rows", "converted")}


def _records(folder: Path, rows: int) -> dict[str, Any]:
    """How many rows were bad (repaired, merged or set aside by a rule whose finding misleads or breaks), and how many are asked about.

    Stray blanks alone make no row bad, nor does a missing value that stays missing. Questions about a whole column are not counted.
    """
    table = pl.scan_parquet(folder / "ledger.parquet", glob=False).filter(pl.col("row").is_not_null())
    names = table.select(pl.col("rule").unique()).collect(engine="streaming").to_series().to_list()
    serious = [name for name in names if max(rule(part).severity for part in str(name).split("+")) >= MISLEADS]
    acts = [ledger.SET, ledger.REMOVE, ledger.QUARANTINE]
    bad = table.filter(pl.col("action").is_in(acts) & pl.col("rule").is_in(serious)).select("source", "row")
    waiting = pl.scan_parquet(folder / "duplicates.parquet", glob=False).filter(pl.col("decision") == "review").select("source", "row")
    asked = pl.concat([table.filter(pl.col("action") == ledger.FLAG).select("source", "row"), waiting])
    counts = [_distinct(frame) for frame in (bad, asked)]
    return {
        "bad": counts[0],
        "asked": counts[1],
        "bad_share": counts[0] / rows if rows else 0.0,
        "asked_share": counts[1] / rows if rows else 0.0,
    }


def _distinct(rows: pl.LazyFrame) -> int:
    return int(rows.unique().select(pl.len()).collect(engine="streaming").item())


def _duplicates(folder: Path, report: Mapping[str, Any], truth: Path | None) -> dict[str, Any]:
    told = report["duplicates"]
    counts = {kind: dict(told[kind]) for kind in ("exact", "near")}
    found = {
        "exact": counts["exact"]["removed"], "near": counts["near"]["removed"],
        "review": counts["exact"]["review"] + counts["near"]["review"], "reason": counts["near"]["reason"],
        "estimate": _estimate(folder), "truth": None,
    }  # fmt: skip
    if truth is not None:
        labels, complete = pilot_truth.read(truth, [str(source["name"]) for source in report["sources"]])
        found["truth"] = pilot_truth.judged(folder, labels, complete) | {"complete": complete}
    return found


def _estimate(folder: Path) -> dict[str, Any]:
    """What the confidence of the run itself leads to expect: how many of the merged rows are no duplicates, and how much of the duplicates
    it saw it merged. Duplicates that it did not see are in neither figure."""
    rows = pl.scan_parquet(folder / "duplicates.parquet", glob=False).filter(pl.col("decision").is_in(["removed", "review"]))
    sure = pl.col("confidence").cast(pl.Float64)
    removed = pl.col("decision") == "removed"
    told = rows.select(n=removed.sum(), right=sure.filter(removed).sum(), all=sure.sum()).collect(engine="streaming").row(0, named=True)
    merged, right, seen = int(told["n"] or 0), float(told["right"] or 0), float(told["all"] or 0)
    return {
        "rows_merged": merged,
        "false": round(1 - right / merged, 6) if merged else None,
        "merged_of_seen": round(right / seen, 6) if seen else None,
    }


def _speed(report: Mapping[str, Any]) -> dict[str, Any]:
    seconds, rows = sum(report["stages"].values()), report["rows"]["in"]
    return {"seconds": round(seconds, 3), "rows_an_hour": round(rows / seconds * 3600) if seconds else None}


def _goals(duplicates: Mapping[str, Any], speed: Mapping[str, Any]) -> dict[str, bool | None]:
    """Which goals were met; null where nothing was measured. An estimate meets no goal."""
    truth = duplicates["truth"] or {"found": None, "false": None}
    rate = speed["rows_an_hour"]
    return {
        "found": None if truth["found"] is None else truth["found"] > GOALS["found"],
        "false": None if truth["false"] is None else truth["false"] < GOALS["false"],
        "rows_an_hour": None if rate is None else rate >= GOALS["rows_an_hour"],
    }
