"""Measures how long cleaning takes against the floor: the least that any program must do to read the same table and write it again.

The floor is Polars reading the CSV as text and writing it as zstd Parquet. The floor and the cleaning each run in a fresh process of
their own, one after the other on the same file, which is in the page cache for both; the clock starts after the imports. A small table
is cleaned once before, so that compiling the kernels on their first use on a machine is not counted. This process meanwhile adds up the
resident memory of the measured process and all its children.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import click

from data_sanitizer import benchmark_generator
from data_sanitizer.errors import DataSanitizerError, UsageError

SAMPLE_SECONDS = 0.03  # between two looks at the memory; a look takes about 2 ms
WARM_UP_ROWS = 1000
FLOOR, CLEAN = "floor", "clean"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the floor or of the cleaning: seconds of the timed part (wall, CPU, by stage), peak memory of the process tree."""

    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    stages: Mapping[str, float]


def run(size: int | str, near_duplicates: bool = True, seed: int = 0, work_dir: Path | None = None, repeat: int = 1) -> dict[str, Any]:
    """Make a dirty table of `size` rows and measure the floor and the cleaning on it; times are medians, peaks maxima over `repeat` runs.

    In a `work_dir` the table is kept and used again by the next call for the same size and seed; without one it goes to a temporary
    folder, removed at the end. Raises UsageError for a size not known and DataSanitizerError where a measured process fails.
    """
    rows = benchmark_generator.parse_size(size)
    if repeat < 1:
        raise UsageError(why="--repeat must be at least 1.")
    with tempfile.TemporaryDirectory(prefix="data-sanitizer-benchmark-") as temporary:
        folder = work_dir or Path(temporary)
        source = _table(rows, seed, folder)
        _measured(CLEAN, _table(WARM_UP_ROWS, seed, Path(temporary)), folder, near_duplicates)  # not counted
        floors, cleanings = [], []
        for _ in range(repeat):
            floors.append(_measured(FLOOR, source, folder, near_duplicates))
            cleanings.append(_measured(CLEAN, source, folder, near_duplicates))
        return _result(rows, source.stat().st_size, floors, cleanings)


def _table(rows: int, seed: int, folder: Path) -> Path:
    """The CSV for this size and seed: the one made before by this version of the generator, or a new one."""
    home = folder / f"customers-{rows}-seed{seed}-v{benchmark_generator.VERSION}"
    table, truth = home / "customers.csv", home / "truth.parquet"
    if not (table.exists() and truth.exists()):
        benchmark_generator.generate(rows, home, ("csv",), seed, force=True)
    return table


def _measured(what: str, source: Path, folder: Path, near_duplicates: bool) -> Measured:
    _warm(source)
    with tempfile.TemporaryDirectory(prefix=f".{what}-", dir=folder) as target:
        command = [sys.executable, "-m", "data_sanitizer.pipeline.benchmark", what, str(source), target, json.dumps(near_duplicates)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 (our own module)
            peak = _peak_rss(child)
            answer = child.stdout.read() if child.stdout else ""
    if child.returncode:
        raise DataSanitizerError(why=f"the measured process ({what}) ended with exit code {child.returncode}; its message is above")
    return Measured(**json.loads(answer.splitlines()[-1]), peak_rss_mb=peak / 1e6)


def _warm(source: Path) -> None:
    with source.open("rb") as file:
        while file.read(1 << 24):
            pass


def _peak_rss(child: subprocess.Popen[str]) -> int:
    """The largest sum of the resident memory of a process and its children until it ends, in bytes."""
    import psutil

    peak = 0
    while child.poll() is None:
        try:
            tree = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
            peak = max(peak, sum(process.memory_info().rss for process in tree))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # a process ended between being listed and being asked: this look does not count
        time.sleep(SAMPLE_SECONDS)
    return peak


def _result(rows: int, size: int, floors: list[Measured], cleanings: list[Measured]) -> dict[str, Any]:
    floor, seconds = median(m.seconds for m in floors), median(m.seconds for m in cleanings)
    return {
        "size": rows,
        "rows": rows,
        "bytes": size,
        "floor_seconds": round(floor, 3),
        "seconds": round(seconds, 3),
        "ratio_to_floor": round(seconds / floor, 3),
        "rows_per_second": round(rows / seconds),
        "peak_rss_mb": round(max(m.peak_rss_mb for m in cleanings), 1),
        "floor_peak_rss_mb": round(max(m.peak_rss_mb for m in floors), 1),
        "cpu_seconds": round(median(m.cpu_seconds for m in cleanings), 3),
        "stages": {stage: round(median(m.stages.get(stage, 0.0) for m in cleanings), 3) for stage in cleanings[0].stages},
        "machine": _machine(),
    }


def _machine() -> dict[str, Any]:
    import polars as pl
    import psutil

    memory = round(psutil.virtual_memory().total / 2**30, 1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cores": cores, "memory_gb": memory, "python": platform.python_version(), "polars": pl.__version__}


def as_text(result: Mapping[str, Any]) -> str:
    """The result of `run` as a small table."""
    lines = [
        ("rows", f"{result['rows']:,}", f"{result['bytes'] / 1e6:,.0f} MB of CSV"),
        ("floor", f"{result['floor_seconds']:.2f} s", f"peak {result['floor_peak_rss_mb']:,.0f} MB"),
        ("cleaning", f"{result['seconds']:.2f} s", f"peak {result['peak_rss_mb']:,.0f} MB, CPU {result['cpu_seconds']:.2f} s"),
        *((f"  {stage}", f"{seconds:.2f} s", f"{seconds / result['seconds']:.0%}") for stage, seconds in result["stages"].items()),
        ("ratio to floor", f"{result['ratio_to_floor']:.2f}", f"{result['rows_per_second']:,} rows/s"),
        ("machine", f"{result['machine']['cores']} cores", "{memory_gb} GB, Python {python}, Polars {polars}".format(**result["machine"])),
    ]
    wide = [max(len(line[place]) for line in lines) for place in (0, 1)]
    return "\n".join(f"{name:<{wide[0]}}  {value:>{wide[1]}}  {note}" for name, value, note in lines)


@click.command("benchmark")
@click.option("--size", default="1m", show_default=True, help="Rows: a number, or one with k, m or b, as 50k or 1m.")
@click.option("--near-duplicates/--no-near-duplicates", default=True, help="Seek near-duplicates, or exact ones alone.")
@click.option("--seed", default=0, show_default=True, help="Another seed makes another table.")
@click.option("--repeat", default=1, show_default=True, help="Measure so many times and give the median.")
@click.option("--work-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder in which the table is kept for the next time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def benchmark_command(size: str, near_duplicates: bool, seed: int, repeat: int, work_dir: Path | None, as_json: bool) -> None:
    """Measure cleaning on this machine: time by stage, memory, and the ratio to the floor."""
    result = run(size, near_duplicates, seed, work_dir, repeat)
    click.echo(json.dumps(result, indent=2) if as_json else as_text(result))


def _floor() -> Callable[[Path, Path], dict[str, float]]:
    import polars as pl

    def write(source: Path, target: Path) -> dict[str, float]:
        pl.scan_csv(source, infer_schema=False).sink_parquet(target / "floor.parquet", compression="zstd")
        return {}

    return write


def _cleaning(near_duplicates: bool) -> Callable[[Path, Path], dict[str, float]]:
    """The cleaning with the careful recipe, imported and ready: a call gives its seconds by stage."""
    from data_sanitizer.pipeline.sanitize import sanitize
    from data_sanitizer.recipe import load_recipe

    careful = load_recipe("careful")
    recipe = replace(careful, duplicates=replace(careful.duplicates, near=near_duplicates))

    def clean(source: Path, target: Path) -> dict[str, float]:
        return dict(sanitize([str(source)], target / "run", recipe)["stages"])

    return clean


def _cpu_seconds() -> float:
    """User and system seconds of this process and of the children it has waited for."""
    import psutil

    used = psutil.Process().cpu_times()
    return float(used.user + used.system + used.children_user + used.children_system)


def _measure(what: str, source: str, target: str, near_duplicates: str) -> None:
    """The measured process: import, start the clock, work, print what it took."""
    if what == CLEAN:
        from data_sanitizer.sandbox import process

        process.prepare()  # as the command does: the reader's libraries load while ours do
    work = _floor() if what == FLOOR else _cleaning(json.loads(near_duplicates))
    cpu, start = _cpu_seconds(), time.perf_counter()
    stages = work(Path(source), Path(target))
    seconds = time.perf_counter() - start
    click.echo(json.dumps({"seconds": seconds, "cpu_seconds": _cpu_seconds() - cpu, "stages": stages}))


if __name__ == "__main__":
    try:
        _measure(*sys.argv[1:])
    except DataSanitizerError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
