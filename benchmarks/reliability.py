"""Kills workers again and again, restarts the database, and counts what became of the jobs.

python -m benchmarks.reliability                     SQLite, and Postgres where its programs are on this machine
python -m benchmarks.reliability --jobs 200 --write  also puts the table into docs/reliability.md

Jobs are small tables. Every few seconds some of the workers, with all they have started, are killed by SIGKILL and others started in their
place. At the end every job has to be done, with the bytes of a run without a fault.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from data_sanitizer import benchmark_generator
from data_sanitizer.pipeline.sanitize import sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.run_folder import sha256
from data_sanitizer.storage.schema import FINAL_STATES, audit_logs
from tests.contract import servers
from tests.contract.conftest import Place, migrated
from tests.service import Service

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
HEAD = "| database | jobs | workers killed | database restarts | attempts | jobs lost | jobs ended twice | other bytes | seconds |"
TENANT = "bench"


def measured(place: Place, folder: Path, jobs: int, workers: int, every: float, restart: Callable[[], None] | None) -> str:
    """One line of the table."""
    migrated(place)
    service, dice = Service(place.user, folder), random.Random(0)
    table = benchmark_generator.generate(60, folder / "g", ["csv"])["csv"].rename(folder / "table.csv")
    os.chdir(folder)
    sanitize([table.name], folder / "run", load_recipe("careful"))
    wanted = sha256(folder / "run" / "manifest.json")
    ids = [service.submit(TENANT, [table]) for _ in range(jobs)]
    begun, kills, restarts = time.monotonic(), 0, 0
    running = [service.worker(lease_seconds=3) for _ in range(workers)]
    while any(service.backend.get_job(TENANT, job).state not in FINAL_STATES for job in ids):
        time.sleep(every)
        place_of = dice.randrange(workers)
        running[place_of].kill()
        running[place_of].wait()
        kills += 1
        if restart and dice.random() < 0.2:
            restart()
            restarts += 1
        running[place_of] = service.worker(lease_seconds=3)
    took = time.monotonic() - begun
    for worker in running:
        worker.terminate()
    for worker in running:
        worker.wait()
    found = [service.backend.get_job(TENANT, job) for job in ids]
    lost = sum(job.state != "success" for job in found)
    other = sum(job.manifest_sha256 != wanted for job in found if job.state == "success")
    twice = _ends(service) - len(ids) + lost
    attempts = sum(job.attempt for job in found)
    service.backend.close()
    name = "Postgres" if place.user.startswith("postgres") else "SQLite"
    return f"| {name} | {jobs} | {kills} | {restarts} | {attempts} | {lost} | {twice} | {other} | {took:.0f} |"


def _ends(service: Service) -> int:
    """Entries of the audit log that tell of a success."""
    with service.backend._database.transaction(TENANT) as connection:
        asked = sa.select(sa.func.count()).where(audit_logs.c.tenant_id == TENANT, audit_logs.c.action == "job.success")
        return int(connection.execute(asked).scalar_one())


@contextmanager
def _places(folder: Path) -> Iterator[list[tuple[Place, Callable[[], None] | None]]]:
    places: list[tuple[Place, Callable[[], None] | None]] = [(Place(*[f"sqlite:///{folder}/service.db"] * 2), None)]
    try:
        server = servers.postgres_server()
    except pytest.skip.Exception as reason:
        print(reason, file=sys.stderr)
        yield places
        return

    def restart() -> None:
        server.stop("immediate")
        server.start()

    try:
        yield [*places, (Place(*servers.new_database(server, "reliability")), restart)]
    finally:
        server.remove()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    lines = [HEAD, re.sub(r"[^|]+", "---", HEAD)]
    with tempfile.TemporaryDirectory() as folder, _places(Path(folder)) as places:
        for number, (place, restart) in enumerate(places):
            own = Path(folder) / str(number)
            own.mkdir()
            lines.append(measured(place, own, given.jobs, given.workers, given.every, restart))
            print(lines[-1], flush=True)
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        table = "<!-- table -->\n" + "\n".join(lines) + "\n<!-- end of the table -->"
        PAGE.write_text(re.sub(r"<!-- table -->.*<!-- end of the table -->", lambda _: table, page, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
