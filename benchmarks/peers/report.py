"""The results as a table on the terminal, as JSON, and as a section of docs/benchmarks.md written from that JSON."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers.contestants import Run, python_version
from benchmarks.peers.score import Found, all_pairs, near_pairs
from benchmarks.peers.tables import Table

BEGIN, END = "<!-- python -m benchmarks.peers writes from here -->", "<!-- python -m benchmarks.peers writes to here -->"
HEADINGS = ("who", "seconds", "ratio", "CPU s", "peak MB", "near P", "near R", "near F1", "all P", "all R", "all F1")
OURS = "Data Sanitizer"


def result(table: Table, runs: Sequence[Run], seconds: float) -> dict[str, Any]:
    """All that was measured on one table, as values of JSON."""
    return {
        "table": table.name,
        "title": table.title,
        "rows": table.rows,
        "megabytes": round(table.path.stat().st_size / 1e6, 1),
        "limit_seconds": seconds,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": {
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
            "load_after": round(os.getloadavg()[0], 1),
            "python": python_version(),
        },
        "runs": [_run(run, table) for run in runs],
    }


def _run(run: Run, table: Table) -> dict[str, Any]:
    return {
        "name": run.name,
        "version": run.version,
        "how": run.how,
        "seconds": round(run.measured.seconds, 2),
        "cpu_seconds": round(run.measured.cpu_seconds, 2),
        "peak_mb": round(run.measured.peak / 1e6),
        "failure": run.measured.failure,
        "answers": [_answer(found, table) for found in run.found],
    }


def _answer(found: Found, table: Table) -> dict[str, Any]:
    near, everything = near_pairs(found, table.truth), all_pairs(found, table.truth)
    return {"setting": found.setting, "near": asdict(near), "all": asdict(everything)}


def shown(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers that the table shows: of ours both, of a peer with several thresholds the best one by F1."""
    if run["name"] == OURS:
        return list(run["answers"])
    return [max(run["answers"], key=lambda answer: (answer["near"]["f1"], answer["all"]["f1"]))] if run["answers"] else []


def lines(found: dict[str, Any]) -> Iterator[list[str]]:
    """The rows of the table of one result, below HEADINGS."""
    ours = next((run["seconds"] for run in found["runs"] if run["name"] == OURS and not run["failure"]), None)
    for run in found["runs"]:
        name = run["name"] if run["name"] == OURS else f"{run['name']} {run['version']}"
        times = [
            f"{run['seconds']:.1f}",
            f"{run['seconds'] / ours:.1f}" if ours else "",
            f"{run['cpu_seconds']:.1f}",
            f"{run['peak_mb']:,}",
        ]
        if run["failure"]:
            yield [f"{name}: {run['failure']}", times[0], "", *times[2:], *[""] * 6]
        for answer in shown(run):
            figures = [f"{answer[over][key]:.4f}" for over in ("near", "all") for key in ("precision", "recall", "f1")]
            yield [f"{name}, {answer['setting']}", *times, *figures]


def as_text(found: dict[str, Any]) -> str:
    """The result for a terminal."""
    cells = [list(HEADINGS), *lines(found)]
    wide = [max(len(line[place]) for line in cells) for place in range(len(HEADINGS))]
    rows = ("  ".join(f"{c:<{w}}" if i == 0 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(line, wide, strict=True))) for line in cells)
    return "\n".join([f"{found['title']}, {found['megabytes']} MB", *rows])


def merged(path: Path, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of the file with those of this call in place of earlier ones of the same tables, smallest table first."""
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    new = {found["table"] for found in results}
    return sorted([*results, *(found for found in earlier if found["table"] not in new)], key=lambda found: (found["rows"], found["table"]))


def save(path: Path, results: Sequence[dict[str, Any]]) -> None:
    """Write the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def write_section(page: Path, results: Sequence[dict[str, Any]]) -> None:
    """Put the section between the markers of the page, or at its end where it has none."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text("\n\n".join([before.rstrip(), BEGIN, section(results), END]) + (after or "\n"), encoding="utf-8")


def section(results: Sequence[dict[str, Any]]) -> str:
    """The section in Markdown: what was compared, a table for each result, how to read it."""
    intro = Path(__file__).with_name("section.txt").read_text(encoding="utf-8").strip()
    peers = {run["name"]: run for found in results for run in found["runs"]}
    who = "\n".join(f"- **{run['name']} {run['version']}**: {run['how']}" for run in peers.values())
    return "\n\n".join([intro.replace("PEERS", who), *(_table(found) for found in results)])


def _table(found: dict[str, Any]) -> str:
    machine = "{cores} cores, {memory_gb} GB, Python {python}".format(**found["machine"])
    head = f"### {found['title']}\n\n{found['megabytes']} MB of CSV; {machine}; each had {found['limit_seconds']:.0f} s at most.\n"
    rule = ["---", *["---:"] * (len(HEADINGS) - 1)]
    return "\n".join([head, *("| " + " | ".join(line) + " |" for line in [list(HEADINGS), rule, *lines(found)])])
