"""A table in an object store cleaned into the same store, against the same with files: the ratio of the times, and the memory of ours.

    python -m benchmarks.stores [--size 1m] [--repeat 1] [--output-format parquet] [--no-near-duplicates] [--work-dir FOLDER] [--json]

The server is a gateway that speaks S3 and keeps its objects in files of this machine (JuiceFS, from the development environment), so
that a table larger than the memory fits; its own time counts, since both work on the same cores, its memory does not. Each cleaning runs in
a process of its own, with the table in the page cache; after a warm-up that compiles, the two take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure, sections
from data_sanitizer import benchmark_generator, settings
from data_sanitizer.stores._parts import of_file
from tests import object_stores

WARM_UP = 1000
HEADINGS = ("where", "MB", "seconds", "CPU s", "peak MB", "own MB")


def main() -> None:
    """Measure both, print the table and the ratio."""
    options = arguments().parse_args()
    with tempfile.TemporaryDirectory(dir=options.work_dir) as name:
        work = Path(name)
        with object_stores.juicefs(work / "server") as endpoint:
            told = object_stores.environment("s3", endpoint)
            os.environ.update(
                {name: value for name, value in told.items() if name.startswith("AWS_")}
            )  # the patience of users, not of tests
            result = compared(options, work)
    print(json.dumps(result, indent=2) if options.json else as_text(result))


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", default="1m", help="rows of the generated table, as 100k or 10m (default 1m)")
    parser.add_argument("--table", type=Path, help="a CSV of your own instead of a generated one")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; times are medians, memory the maximum")
    parser.add_argument("--output-format", default="parquet", choices=["parquet", "csv", "jsonl"])
    parser.add_argument("--no-near-duplicates", action="store_true", help="seek exact duplicates alone")
    parser.add_argument("--work-dir", type=Path, help="folder for tables, runs and the server's objects (default: that of the system)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def compared(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Clean the table from file to files and from object to objects, in turns."""
    table = options.table or benchmark_generator.generate(benchmark_generator.parse_size(options.size), work / "table")["csv"]
    small = benchmark_generator.generate(WARM_UP, work / "small")["csv"]
    recipe = work / "recipe.yaml"
    recipe.write_text(f"name: careful\nduplicates:\n  near: {str(not options.no_near_duplicates).lower()}\n", "utf-8")
    found: dict[str, list[dict[str, float]]] = {"files": [], "store": []}
    for number in range(options.repeat + 1):
        source, name = (small, "warm-up") if number == 0 else (table, f"run-{number}")
        for where in found:
            given, target = placed(where, source, name, work)
            took = cleaned(["clean", given, "-o", target, "--format", options.output_format, "--recipe", str(recipe), "--quiet"], source)
            found[where] += [took] * bool(number)
    facts = {where: {"seconds": median(t["seconds"] for t in took), "cpu_seconds": median(t["cpu_seconds"] for t in took),
                     **{peak: max(t[peak] for t in took) for peak in ("peak_mb", "own_mb")}} for where, took in found.items()}  # fmt: skip
    ratio = facts["store"]["seconds"] / facts["files"]["seconds"]
    return {"bytes": table.stat().st_size, "ratio": round(ratio, 3), **facts, "machine": sections.machine()}


def placed(where: str, source: Path, name: str, work: Path) -> tuple[str, str]:
    """Input and output of a cleaning; for the store the table is put there, which is not measured."""
    if where == "files":
        return str(source), str(work / name)
    prefix = settings.stores().location(f"s3://{object_stores.BUCKET}/{name}")
    (prefix / "in.csv").store.write((prefix / "in.csv").key, of_file(source))
    return str(prefix / "in.csv"), str(prefix / "run")


def cleaned(command: list[str], source: Path) -> dict[str, float]:
    """One call of the command: seconds from its start to its end, CPU seconds, and the largest memory of its processes."""
    measure._warm(source)
    start = time.perf_counter()
    used = os.times()
    with subprocess.Popen([sys.executable, "-m", "data_sanitizer.cli", *command]) as child:
        peak, own = measure._peaks(child)
    seconds, now = time.perf_counter() - start, os.times()
    if child.returncode:
        sys.exit(f"Cleaning ended with exit code {child.returncode}; its message is above.")
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3), "peak_mb": round(peak / 1e6, 1), "own_mb": round(own / 1e6, 1)}


def as_text(result: dict[str, Any]) -> str:
    """The result as a small table."""
    lines = [
        [
            where,
            f"{result['bytes'] / 1e6:,.0f}",
            *(f"{result[where][fact]:,.1f}" for fact in ("seconds", "cpu_seconds", "peak_mb", "own_mb")),
        ]
        for where in ("files", "store")
    ]
    return f"{sections.as_text(HEADINGS, lines)}\n\nstore : files = {result['ratio']:.2f}"


if __name__ == "__main__":
    main()
