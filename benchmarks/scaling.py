"""Whether time grows as the table does: full cleanings with near-duplicates at 100k and 1M rows, and of a skewed table of 1M rows.

    python -m benchmarks.scaling [--sizes 100k,1m] [--skewed 1m] [--repeat 1] [--work-dir FOLDER] [--print]

The first size is the measure of the others; `--sizes 100k,1m,10m` needs about 40 GB of disk. What a call measures replaces what an earlier
one said of the same table in benchmarks/scaling.json, from which the section of docs/benchmarks.md is written.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure, sections, skewed
from benchmarks.near_truth import planted
from data_sanitizer import benchmark_generator

RESULTS = sections.ROOT / "benchmarks" / "scaling.json"
HEADINGS = (
    "table", "rows", "seconds", "CPU s", "CPU µs/row", "µs/further row", "time ratio", "CPU ratio", "duplicates s", "its ratio",
    "peak MB", "own MB", "found", "wrong",
)  # fmt: skip
WARM_UP = 1000


def main() -> None:
    """Measure every table, print, and write the section."""
    options = arguments().parse_args()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.work_dir) as work:
        cleaned(benchmark_generator.generate, WARM_UP, Path(work), 1)  # compiles what is not compiled yet: not counted
        for name, make, rows in wanted(options):
            found.append({"table": name, **cleaned(make, rows, Path(work), options.repeat), "machine": sections.machine()})
            print(sections.as_text(HEADINGS, lines(found)), end="\n\n", flush=True)
    if not options.print:
        complete = merged(found)
        RESULTS.write_text(json.dumps(complete, indent=1) + "\n", encoding="utf-8")
        sections.write(sections.PAGE, "benchmarks.scaling", section(complete))


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", default="100k,1m", help="rows of generated tables, with commas (default 100k,1m)")
    parser.add_argument("--skewed", default="1m", help="rows of skewed tables, with commas (default 1m)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; times are medians, memory the maximum")
    parser.add_argument("--work-dir", type=Path, help="folder for tables and runs (default: that of the system)")
    parser.add_argument("--print", action="store_true", help="print only; leave results and page as they are")
    return parser


def wanted(options: argparse.Namespace) -> Iterator[tuple[str, Any, int]]:
    """Name, maker and rows of every table."""
    kinds = (("customers", benchmark_generator.generate, options.sizes), ("skewed", skewed.generate, options.skewed))
    for name, make, sizes in kinds:
        for size in filter(None, sizes.split(",")):
            yield name, make, benchmark_generator.parse_size(size)


def cleaned(make: Any, rows: int, work: Path, repeat: int) -> dict[str, Any]:
    """Make a table, clean it some times, and say what it took and what was found; the files are removed."""
    home = work / "table"
    make(rows, home)
    runs = []
    for _ in range(repeat):
        shutil.rmtree(home / "run", ignore_errors=True)
        runs.append(measure.measured(home / "customers.csv", home / "run"))
    found = planted(home / "run", home)
    shutil.rmtree(home)
    return {
        "rows": rows,
        "seconds": round(median(m.seconds for m in runs), 2),
        "cpu_seconds": round(median(m.cpu_seconds for m in runs), 2),
        "stages": {stage: round(median(m.stages[stage] for m in runs), 2) for stage in runs[0].stages},
        "peak_mb": round(max(m.peak_mb for m in runs)),
        "own_mb": round(max(m.own_mb for m in runs)),
        "planted": {**asdict(found), "recall": round(found.recall, 5), "wrongness": round(found.wrongness, 5)},
    }


def merged(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of this call with those of earlier calls on other tables, smallest first."""
    earlier = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    new = {(f["table"], f["rows"]) for f in found}
    return sorted([*found, *(f for f in earlier if (f["table"], f["rows"]) not in new)], key=lambda f: (f["table"], f["rows"]))


def lines(found: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """A line for each table; ratios are of time a row to that of the first table."""
    first = found[0]

    def ratio(this: dict[str, Any], seconds: float, of_first: float) -> str:
        return f"{seconds / this['rows'] / (of_first / first['rows']):.2f}"

    for before, one in zip([None, *found[:-1]], found, strict=True):
        near, cpu = one["stages"]["duplicates"], one["cpu_seconds"]
        yield [
            one["table"], f"{one['rows']:,}", f"{one['seconds']:.1f}", f"{cpu:.1f}", f"{cpu / one['rows'] * 1e6:.1f}", further(before, one),
            ratio(one, one["seconds"], first["seconds"]), ratio(one, cpu, first["cpu_seconds"]),
            f"{near:.1f}", ratio(one, near, first["stages"]["duplicates"]), f"{one['peak_mb']:,}", f"{one['own_mb']:,}",
            f"{one['planted']['recall']:.2%}", f"{one['planted']['wrongness']:.2%}",
        ]  # fmt: skip


def further(before: dict[str, Any] | None, one: dict[str, Any]) -> str:
    """CPU time of each row beyond those of the next smaller table of the same kind, in µs: fixed costs fall out."""
    if not before or before["table"] != one["table"] or before["rows"] >= one["rows"]:
        return ""
    return f"{(one['cpu_seconds'] - before['cpu_seconds']) / (one['rows'] - before['rows']) * 1e6:.1f}"


def section(found: Sequence[dict[str, Any]]) -> str:
    """The section in Markdown."""
    intro = Path(__file__).with_name("scaling.md").read_text(encoding="utf-8").strip()
    return "\n\n".join([intro, sections.table(HEADINGS, lines(found)), f"Measured on {found[-1]['machine']}."])


if __name__ == "__main__":
    main()
