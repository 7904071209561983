"""How the service does under load: its own processes, on a new folder, asked by its own client.

python -m benchmarks.load                                  as docs/reliability.md tells
python -m benchmarks.load --jobs 5 --rows 500 --crowd 10   a small one
python -m benchmarks.load --write                          also puts the table into docs/reliability.md
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks import sections
from data_sanitizer import benchmark_generator
from data_sanitizer.client import Client
from data_sanitizer.errors import ServiceRefused
from data_sanitizer.run_folder import sha256
from tests.api import Running, served

PAGE = sections.ROOT / "docs" / "reliability.md"
HEADINGS = ["what", "measured", "aim"]
Line = list[str]


def main() -> None:
    """Measure, print, and write where that is asked for."""
    asked = _asked()
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        home = Path(folder)
        settings = [("DATA_SANITIZER_KEY_REQUESTS", "1000000"), ("DATA_SANITIZER_TENANT_OPEN_JOBS", "100000")]
        with served(home, "--workers", str(asked.workers), settings=settings) as running:
            for measure in (crowded, fair, byte_for_byte, long_upload, overhead):
                lines += measure(running, home, asked)
                print(sections.as_text(HEADINGS, lines[-1:]).splitlines()[-1], flush=True)
    text = f"{sections.machine()}, {asked.workers} workers, SQLite and a folder.\n\n{sections.table(HEADINGS, lines)}"
    print(text)
    if asked.write:
        sections.write(PAGE, "benchmarks.load", text)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("jobs", 100), ("rows", 10_000), ("crowd", 1000), ("same", 20), ("upload", 1 << 30), ("large", 1_000_000),
                          ("workers", 2)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def crowded(running: Running, home: Path, asked: argparse.Namespace) -> list[Line]:
    """Many jobs at once, while somebody asks how they are and hands in larger tables."""
    table = generated(home / "many", asked.rows, 1)
    jobs = at_once(asked.jobs, 16, lambda _: with_client(running, lambda client: client.ingest(table)))
    five = home / "five.csv"
    five.write_bytes(b"id,name\n" + b"1,somebody with a name\n" * ((5 << 20) // 23))
    waits: list[float] = []
    ended, sent = threading.Event(), []

    def ask() -> None:
        with running.client() as client:
            while not ended.is_set():
                waits.append(timed(lambda: client.get_status(jobs[len(waits) % len(jobs)])))
                time.sleep(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    begun = time.monotonic()
    with running.client() as client:
        sent = [timed(lambda: cancelled(client, five)) for _ in range(20)]
        states = [ended_as(client, job) for job in jobs]
    seconds = time.monotonic() - begun
    ended.set()
    asking.join()
    done = states.count("success")
    return [
        [f"{asked.jobs} jobs of {asked.rows:,} rows at once: done", f"{done} of {asked.jobs}, {seconds:.0f} s", "all"],
        ["status of a job meanwhile, p99", f"{percentile(waits):.0f} ms of {len(waits)}", "200 ms"],
        ["ingest of 5 MB meanwhile, p99", f"{percentile(sent):.0f} ms of {len(sent)}", "1000 ms"],
    ]


def cancelled(client: Client, table: Path) -> None:
    """Hand a table in; its job is of no interest."""
    client.cancel(client.ingest(table, priority=-9))


def fair(running: Running, home: Path, asked: argparse.Namespace) -> list[Line]:
    """A tenant's one job beside the crowd of another's."""
    table, key = generated(home / "fair", asked.rows, 2), running.command("keys", "create", "other").stdout.strip()
    with running.client(key) as other:
        alone = timed(lambda: other.wait(other.ingest(table))) / 1000
        crowd = at_once(asked.crowd, 16, lambda _: with_client(running, lambda client: client.ingest(table)))
        beside = timed(lambda: other.wait(other.ingest(table))) / 1000
    with running.client() as client:
        for job in crowd:
            _cancel(client, job)
    return [[f"one job beside {asked.crowd} of another tenant", f"{beside:.1f} s; alone {alone:.1f} s", f"one job more: {2 * alone:.1f} s"]]


def _cancel(client: Client, job: str) -> None:
    if client.get_status(job)["status"] in ("queued", "running"):
        with suppress(ServiceRefused):  # it has ended meanwhile
            client.cancel(job)


def byte_for_byte(running: Running, home: Path, asked: argparse.Namespace) -> list[Line]:
    """Jobs at once, each with the table that the command makes."""
    tables = [generated(home / f"same-{seed}", 500, seed) for seed in range(asked.same)]
    jobs = at_once(len(tables), 16, lambda n: with_client(running, lambda client: client.ingest(tables[n])))
    equal = 0
    with running.client() as client:
        for number, (table, job) in enumerate(zip(tables, jobs, strict=True)):
            run = cleaned(table, home / f"run-{number}")
            ended_as(client, job)
            equal += client.get_status(job)["manifest_sha256"] == sha256(run / "manifest.json")
    return [[f"{asked.same} jobs at once, as the command byte for byte", f"{equal} of {asked.same}", "all"]]


def long_upload(running: Running, home: Path, asked: argparse.Namespace) -> list[Line]:
    """What the API holds in memory while a large table comes in."""
    api, most = psutil.Process(running.process.pid), [0]
    before, done = api.memory_info().rss, threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            most[0] = max(most[0], api.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    with running.client(timeout=600) as client:
        seconds = timed(lambda: client.cancel(client.ingest(_Generated(asked.upload)))) / 1000  # type: ignore[arg-type]
    done.set()
    watching.join()
    grown = (most[0] - before) / 1e6
    return [[f"memory of the API during an upload of {asked.upload / 1e9:.2f} GB", f"+{grown:.0f} MB, {seconds:.0f} s", "flat"]]


class _Generated:
    """A table of a size, made while it is read."""

    name = "long.csv"
    _PIECE = b"1,somebody with a name,somewhere\n" * 1000

    def __init__(self, size: int) -> None:
        self._size, self._at = size, 0

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> None:
        self._at = place

    def read(self, size: int) -> bytes:
        count = min(size, len(self._PIECE), self._size - self._at)
        self._at += count
        return self._PIECE[:count]


def overhead(running: Running, home: Path, asked: argparse.Namespace) -> list[Line]:
    """A large table by the command, and through the service from the upload to the download."""
    table = generated(home / "large", asked.large, 3)
    cleaned(table, home / "warm")
    by_command = timed(lambda: cleaned(table, home / "run-large")) / 1000

    def through() -> None:
        with running.client(timeout=600) as client:
            job = client.ingest(table)
            client.wait(job)
            client.download(job, home / "large.parquet")

    by_service = timed(through) / 1000
    more = (by_service / by_command - 1) * 100
    return [[f"{asked.large:,} rows through the service", f"{by_service:.1f} s; command {by_command:.1f} s: {more:+.0f} %", "+25 %"]]


def generated(folder: Path, rows: int, seed: int) -> Path:
    """A dirty table."""
    return benchmark_generator.generate(rows, folder, ["csv"], seed=seed)["csv"]


def cleaned(table: Path, run: Path) -> Path:
    """The run of the command."""
    command = [sys.executable, "-m", "data_sanitizer.cli", "clean", table.name, "-o", str(run), "--quiet"]
    subprocess.run(command, cwd=table.parent, check=True, env=dict(os.environ))
    return run


def with_client(running: Running, work: Callable[[Client], str]) -> str:
    """One call with a connection of its own."""
    with running.client() as client:
        return work(client)


def at_once(count: int, threads: int, work: Callable[[int], str]) -> list[str]:
    """The same so many times, in threads."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))


def ended_as(client: Client, job: str) -> str:
    """The status of a job at its end."""
    while (status := client.get_status(job)["status"]) in ("queued", "running"):
        time.sleep(0.1)
    return str(status)


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def percentile(values: list[float], share: float = 0.99) -> float:
    """The value below which that share lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


if __name__ == "__main__":
    main()
