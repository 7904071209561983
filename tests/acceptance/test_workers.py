"""Workers as an operator runs them: real processes, real signals; every job ends once, with the bytes that the command gives."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from data_sanitizer import benchmark_generator, metrics
from data_sanitizer.pipeline.sanitize import sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.run_folder import sha256
from data_sanitizer.storage_backend import StorageBackend
from tests.contract.conftest import Place, migrated
from tests.contract.servers import free_port
from tests.service import Service


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Small tables, each another one."""
    folder = tmp_path_factory.mktemp("tables")
    made = (benchmark_generator.generate(60, folder / f"g{seed}", ["csv"], seed=seed)["csv"] for seed in range(20))
    return [path.rename(folder / f"table-{seed}.csv") for seed, path in enumerate(made)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose work takes some seconds, in several blocks."""
    folder = tmp_path_factory.mktemp("large")
    return benchmark_generator.generate(60_000, folder / "g", ["csv"])["csv"].rename(folder / "large.csv")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    place = Place(*[f"sqlite:///{tmp_path}/service.db"] * 2)
    migrated(place)
    found = Service(place.user, tmp_path)
    yield found
    found.backend.close()


def by_command(table: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The digest of the manifest of the run that the command makes of a table; the manifest has those of all its files."""
    monkeypatch.chdir(table.parent)
    sanitize([table.name], folder / f"run-{table.stem}", load_recipe("careful"))
    return sha256(folder / f"run-{table.stem}" / "manifest.json")


def new_tenant() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


def test_twenty_jobs_at_once_give_what_the_command_gives(
    service: Service, tables: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = ["first", "second"]
    wanted = {table: by_command(table, tmp_path, monkeypatch) for table in tables}
    jobs = [(tenants[number % 2], service.submit(tenants[number % 2], [table]), table) for number, table in enumerate(tables)]
    with service.working(2):
        for tenant, job, table in jobs:
            service.ended(tenant, job, 120)
            service.must_be_sound(tenant, job, wanted[table])
    told = metrics.exposition(service.backend)
    assert 'data_sanitizer_jobs_total{tenant_id="first",status="success"} 10' in told
    assert 'data_sanitizer_rows_processed_total{tenant_id="second"}' in told
    assert 'data_sanitizer_active_jobs_count{status="running"} 0' in told


def test_workers_killed_again_and_again_lose_nothing(
    service: Service, tables: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tables[:6]
    wanted = {table: by_command(table, tmp_path, monkeypatch) for table in chosen}
    tenant, killed = new_tenant(), 0
    jobs = [(service.submit(tenant, [table]), table) for table in chosen]
    for _ in range(4):
        worker = _at_work(service, tenant, [job for job, _ in jobs])
        worker.kill()  # no signal that it could catch, and its own children are to go with it
        worker.wait()
        killed += 1
    with service.working():
        for job, table in jobs:
            service.ended(tenant, job, 120)
            service.must_be_sound(tenant, job, wanted[table])
    assert killed == 4


def _at_work(service: Service, tenant: str, jobs: list[uuid.UUID]) -> subprocess.Popen[bytes]:
    """A new worker that has begun a job. Three crashes in a row are the end of a job: one that was in two is let through."""
    before, until = {job: service.backend.get_job(tenant, job).attempt for job in jobs}, time.monotonic() + 60
    worker = service.worker()
    while time.monotonic() < until:
        found = [service.backend.get_job(tenant, job) for job in jobs]
        if any(job.state == "running" and job.attempt > before[job.id] and job.crash_count < 2 for job in found):
            return worker
        time.sleep(0.05)
    raise AssertionError(service.log())


def test_the_process_that_works_dies_with_its_worker(service: Service, large: Path) -> None:
    tenant = new_tenant()
    job = service.submit(tenant, [large])
    worker = service.worker()
    service.until(tenant, job, lambda found: found.progress)
    children = psutil.Process(worker.pid).children(recursive=True)
    assert children
    worker.kill()
    worker.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    service.backend.request_cancel(tenant, job)
    with service.working():
        assert service.ended(tenant, job).state == "cancelled"


def test_a_worker_told_to_stop_gives_its_job_back_and_another_goes_on(
    service: Service, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, wanted = new_tenant(), by_command(large, tmp_path, monkeypatch)
    job = service.submit(tenant, [large])
    worker = service.worker()
    service.until(tenant, job, lambda found: service.backend.job_chunks(found))
    begun = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert time.monotonic() - begun < 15
    found = service.backend.get_job(tenant, job)
    assert (found.state, found.crash_count, found.retries) == ("queued", 0, 0)
    kept = service.backend.job_chunks(found)
    assert kept
    with service.working():
        service.must_be_sound(tenant, job, wanted)
    assert service.backend.get_job(tenant, job).attempt == 2


def test_a_checkpoint_that_was_spoilt_is_made_anew(service: Service, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, wanted = new_tenant(), by_command(large, tmp_path, monkeypatch)
    job = service.submit(tenant, [large])
    worker = service.worker(fault="pass2.begin:1:kill9")
    found = service.until(tenant, job, lambda found: found.crash_count)
    worker.kill()
    worker.wait()
    for chunk in service.backend.job_chunks(found):
        path = service.folder / "objects" / tenant / "jobs" / str(job) / "work" / chunk.key
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with service.working():
        service.must_be_sound(tenant, job, wanted)


@pytest.mark.parametrize("stage", ["pass1", "duplicates", "write"])
def test_a_job_is_cancelled_at_any_stage(stage: str, service: Service, large: Path) -> None:
    tenant = new_tenant()
    job = service.submit(tenant, [large])
    with service.working():
        service.until(tenant, job, lambda found: found.progress.get("stage") == stage or found.state == "success")
        state = service.backend.request_cancel(tenant, job)
        found = service.ended(tenant, job)
    if state == "success":
        pytest.skip(f"the machine was too fast: the job had ended before {stage} was seen")
    assert found.state == "cancelled"
    assert found.result is None
    assert service.ends_told(tenant, job) == (1, 1)
    service.worker("--reconcile").wait(30)
    assert {name.split("/")[0] for name in service.files(tenant, job)} == {"input"}


def test_a_bad_file_fails_at_once_and_harms_no_other(service: Service, tables: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "broken.parquet"
    bad.write_bytes(b"PAR1" + b"\0" * 50 + b"PAR1")
    tenant = new_tenant()
    broken, sound = service.submit(tenant, [bad]), service.submit(tenant, tables[:1])
    strange = service.submit(tenant, tables[:1], recipe="/etc/passwd")
    service.worker("--drain").wait(60)
    found = service.backend.get_job(tenant, broken)
    assert (found.state, found.attempt, found.error and found.error["retryable"]) == ("failed", 1, False)
    assert found.error
    assert "broken.parquet" in found.error["title"]
    assert service.backend.get_job(tenant, sound).state == "success"
    refused = service.backend.get_job(tenant, strange)
    assert (refused.state, refused.error and refused.error["code"]) == ("failed", "recipe-error")


def test_what_crashes_every_time_is_given_up_after_three_crashes(service: Service, tables: list[Path]) -> None:
    tenant = new_tenant()
    job, other = service.submit(tenant, tables[:1]), service.submit(tenant, tables[:1], lane="large")
    with service.working(lanes="small", fault="pass1.begin:1:kill9"), service.working(lanes="large"):
        found = service.ended(tenant, job)
        assert service.ended(tenant, other).state == "success"
    assert (found.state, found.attempt, found.error and found.error["code"]) == ("dead", 3, "worker-crashed")
    assert service.ends_told(tenant, job) == (1, 1)


def test_a_job_that_takes_too_long_is_ended(service: Service, tables: list[Path]) -> None:
    tenant = new_tenant()
    job = service.submit(tenant, tables[:1])
    with service.working(fault="pass1.begin:1:hang", job_seconds=4):
        found = service.ended(tenant, job)
    assert (found.state, found.error and found.error["code"]) == ("failed", "job-timed-out")


def test_the_broker_may_be_away(service: Service, tables: list[Path]) -> None:
    tenant = new_tenant()
    job = service.submit(tenant, tables[:1])
    with service.working(broker_url=f"redis://127.0.0.1:{free_port()}/0"):
        assert service.ended(tenant, job).state == "success"


def test_no_log_holds_a_cell(service: Service, tmp_path: Path) -> None:
    table = tmp_path / "secret.csv"
    table.write_text("name,when\n" + "".join(f"Quetzalcoatl {n},2024-13-4{n}\n" for n in range(9)))
    tenant = new_tenant()
    job = service.submit(tenant, [table])
    service.worker("--drain").wait(60)
    assert service.backend.get_job(tenant, job).state == "success"
    assert "Quetzalcoatl" not in service.log()
    assert f'"tenant": "{tenant}"' in service.log()


def test_the_clock_of_a_worker_says_nothing(service: Service, tables: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease is the database's: a worker whose clock is an hour ahead takes no job that another one holds."""
    tenant = new_tenant()
    job = service.submit(tenant, tables[:1])
    held = service.backend.claim_job(["small"], lease_seconds=60, tenant_jobs=9)
    assert held
    assert held.id == job
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    other = StorageBackend(service.backend._database.config)  # type: ignore[attr-defined]
    assert other.claim_job(["small"], lease_seconds=60, tenant_jobs=9) is None
    assert not other.heartbeat_job(held, 60)
    other.close()


def test_a_disk_that_is_full_is_waited_for(service: Service, tables: list[Path]) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    small = service.folder / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=40k tmpfs {small} 2>/dev/null") != 0:
        pytest.skip("this machine lets nobody mount a file system")
    tenant = new_tenant()
    try:
        job = service.submit(tenant, tables[:1])
        with service.working(work_folder=small, retry_for=5):
            found = service.until(tenant, job, lambda found: found.retries >= 1)
            assert found.error
            assert found.error["code"] in ("disk-full", "environment-failed")
            os.system(f"mount -o remount,size=200m {small}")
            assert service.ended(tenant, job).state == "success"
        left = [path.name for path in small.iterdir()]
    finally:
        os.system(f"umount {small}")
    assert left == []
