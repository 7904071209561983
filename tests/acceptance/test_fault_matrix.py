"""Every place at which a worker can fail, times every way to fail: the job ends once, with the bytes of a run without a fault."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from data_sanitizer import benchmark_generator
from data_sanitizer.pipeline.sanitize import sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.run_folder import sha256
from data_sanitizer.storage_backend import StorageBackend
from data_sanitizer.workers import reconciler
from tests.contract import servers
from tests.contract.conftest import Place, migrated
from tests.service import Service

WORK = ("pass1.begin", "pass1.mid", "pass1.chunk.computed", "pass1.chunk.written", "pass1.chunk.told", "pass2.begin", "pass2.mid",
        "pass2.chunk.written", "duplicates.mid", "write.mid", "publish.begin", "publish.manifest_put", "publish.verified")  # fmt: skip
HOLDING = ("claim.after", "heartbeat", "chunk.before_recorded", "chunk.recorded", "flip.before", "flip.after", "publish.before_tx",
           "publish.after_tx")  # fmt: skip
CASES = [
    *((point, action, "success") for point in WORK for action in ("kill9", "enospc")),
    *((point, "raise", "failed") for point in ("pass1.mid", "pass2.chunk.written", "publish.verified")),
    *((point, action, "success") for point in HOLDING for action in ("kill9", "hang")),
    ("heartbeat", "dbdrop", "success"),
    ("publish.before_tx", "dbdrop", "success"),
]


@pytest.fixture(scope="module")
def tables() -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory() as folder:
        yield [
            benchmark_generator.generate(150, Path(folder) / f"part-{seed}", ["csv"], seed=seed)["csv"].rename(Path(folder) / f"{seed}.csv")
            for seed in range(2)
        ]


@pytest.fixture(scope="module")
def manifest(tables: list[Path]) -> Iterator[str]:
    """Of the run that the command makes."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(tables[0].parent)
        try:
            sanitize([table.name for table in tables], Path(folder) / "run", load_recipe("careful"))
        finally:
            os.chdir(before)
        yield sha256(Path(folder) / "run" / "manifest.json")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """On Postgres where there is one, else on SQLite; with a worker that never fails."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as resources:
        try:
            server = servers.postgres_server()
            resources.callback(server.remove)
            place = Place(*servers.new_database(server, "matrix"))
        except pytest.skip.Exception:
            place = Place(*[f"sqlite:///{folder}/service.db"] * 2)
        migrated(place)
        found = Service(place.user, Path(folder))
        with found.working(lanes="small"):
            yield found
        found.backend.close()


@pytest.mark.parametrize(("point", "action", "state"), CASES)
def test_a_fault_costs_time_and_nothing_else(
    point: str, action: str, state: str, service: Service, tables: list[Path], manifest: str
) -> None:
    tenant = f"t{uuid.uuid4().hex[:12]}"
    job = service.submit(tenant, tables, lane=tenant)
    faulty = service.worker("--once", "--lanes", tenant, fault=f"{point}:1:{action}")
    service.until(tenant, job, lambda found: found.attempt > 0)
    service.move(tenant, job, "small")  # who takes over does not fail
    if action == "hang":
        _hung(faulty)
    service.must_be_sound(tenant, job, manifest, state)
    if action == "hang":
        faulty.send_signal(signal.SIGCONT)  # it wakes, and finds that the job is another's
    assert faulty.wait(30) == (-signal.SIGKILL if action == "kill9" and point in HOLDING else 0)
    service.must_be_sound(tenant, job, manifest, state)
    must_be_tidy(service, tenant, job)


def _hung(process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < until
        time.sleep(0.05)


def must_be_tidy(service: Service, tenant: str, job: uuid.UUID) -> None:
    """What no job needs is gone after the next look, however the job came to its end; a format that was downloaded stays."""
    converted = service.root / f"{tenant}/jobs/{job}/derived/1/csv/data.csv"
    converted.store.write(converted.key, [b"a"])
    reconciler.reconcile(service.backend, service.root, 86_400)
    found = service.backend.get_job(tenant, job)
    attempt = Path(found.result["prefix"]).name if found.result else "none"
    below = {name.split("/")[0] for name in service.files(tenant, job)}
    assert below <= ({"input", attempt, "derived"} if found.result else {"input"})
    assert ("derived" in below) == bool(found.result)


def test_the_figures_agree_with_the_jobs(service: Service) -> None:
    counted = sum(total for _, name, _, total in service.backend.counts() if name == "jobs")
    backend: StorageBackend = service.backend
    places = [state for tenant in backend.tenants() for state, _ in backend.job_places(tenant).values()]
    assert counted == len(places)
    assert set(places) <= {"success", "failed"}
