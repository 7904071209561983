"""One cleaning in a process of its own, and what it took: wall time, CPU time, memory of the process and its children.

python -m benchmarks.measure TABLE RUN      clean TABLE into the folder RUN, and print seconds as JSON
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOK_SECONDS = 0.04  # between two looks at the memory


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of one cleaning without start and imports (wall, CPU, wall by stage) and the largest memory of the process tree, in MB.

    `own_mb` leaves out pages of files (libraries, memory-mapped blocks), which the system can take back at any time.
    """

    seconds: float
    cpu_seconds: float
    stages: Mapping[str, float]
    peak_mb: float
    own_mb: float


def measured(source: Path, run: Path) -> Measured:
    """Clean a table with the careful recipe, near-duplicates included, in a fresh process, with the file in the page cache."""
    _warm(source)
    command = [sys.executable, "-m", "benchmarks.measure", str(source), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        peak, own = _peaks(child)
        answer = child.stdout.read() if child.stdout else ""
    if child.returncode:
        sys.exit(f"Cleaning {source} ended with exit code {child.returncode}; its message is above.")
    return Measured(**json.loads(answer.splitlines()[-1]), peak_mb=peak / 1e6, own_mb=own / 1e6)


def _warm(source: Path) -> None:
    with source.open("rb") as file:
        while file.read(1 << 24):
            pass


def _peaks(child: subprocess.Popen[str]) -> tuple[int, int]:
    """The largest sums of resident memory, and of resident memory without pages of files, until the process ends, in bytes."""
    peak = own = 0
    while child.poll() is None:
        try:
            tree = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
            infos = [process.memory_info() for process in tree]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # a process ended between being listed and being asked: this look does not count
        peak = max(peak, sum(info.rss for info in infos))
        own = max(own, sum(info.rss - getattr(info, "shared", 0) for info in infos))
        time.sleep(LOOK_SECONDS)
    return peak, own


def cpu_seconds() -> float:
    """User and system seconds of this process and of the children it has waited for."""
    used = psutil.Process().cpu_times()
    return float(used.user + used.system + used.children_user + used.children_system)


def main(source: str, run: str) -> None:
    """The measured process: import, start the clocks, clean, print what it took."""
    from data_sanitizer.pipeline.sanitize import sanitize
    from data_sanitizer.recipe import load_recipe

    recipe = load_recipe("careful")
    cpu, start = cpu_seconds(), time.perf_counter()
    stages = sanitize([source], Path(run), recipe)["stages"]
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds() - cpu, "stages": stages}))


if __name__ == "__main__":
    main(*sys.argv[1:])
