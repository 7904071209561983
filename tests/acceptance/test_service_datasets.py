"""Deliveries to a dataset through the service: what the command gives, once, whatever happens to the workers; and forgotten again."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from data_sanitizer import retention, run_folder
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.settings import stores
from data_sanitizer.storage_backend import StorageBackend, Target
from tests.acceptance.test_compare import ROWS, table
from tests.contract.conftest import Place, migrated
from tests.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("deliveries")
    place = Place(*[f"sqlite:///{folder}/service.db"] * 2)
    migrated(place)
    found = Service(place.user, folder)
    with found.working(lanes="small"):
        yield found
    found.backend.close()


def rows(path: Path, first: int, last: int) -> Path:
    """People by number: two ranges that overlap are two deliveries with rows in common."""
    lines = [f"{n},Person {n:04},{n % 89}.5,city {n % 7}" for n in range(first, last)]
    path.write_text("\n".join(["id,name,weight,city", *lines]) + "\n")
    return path


def deliver(service: Service, tenant: str, path: Path, name: str = "customers", *, lane: str = "small", **options: Any) -> UUID:
    service.backend.create_tenant(tenant)
    dataset = service.backend.create_dataset(tenant, name)
    return service.submit(tenant, [path], lane=lane, dataset_id=dataset, dataset=name, **options)


def result(service: Service, tenant: str, job: UUID) -> Path:
    found = service.ended(tenant, job)
    assert found.state == "success", (found.error, service.log()[-3000:])
    assert found.result
    return service.folder / "objects" / found.result["prefix"]


def test_deliveries_give_what_the_command_gives(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, backend = f"t{uuid.uuid4().hex[:12]}", service.backend
    tables = [rows(tmp_path / f"{n}.csv", first, first + 40) for n, first in enumerate((0, 20, 40))]
    jobs = [deliver(service, tenant, path) for path in tables]  # at once: they wait for each other
    runs = [result(service, tenant, job) for job in jobs]
    made = backend.deliveries(tenant, backend.find_dataset(tenant, "customers"))
    assert [d.name for d in made] == [path.name for path in tables]
    assert [Path(d.place.removeprefix("file://")) for d in made] == runs
    assert [run_folder.sha256(run / "manifest.json") for run in runs] == [d.manifest_sha256 for d in made]
    assert [(d.counts["seen"], d.counts["new"]) for d in made] == [(0, 40), (20, 20), (20, 20)]
    assert [(backend.get_job(tenant, job).result or {})["delivery"] for job in jobs] == [1, 2, 3]
    assert [backend.get_job(tenant, job).attempt for job in jobs] == [1, 1, 1]
    monkeypatch.chdir(tmp_path)  # sources have the names that they were given
    for path, run in zip(tables, runs, strict=True):
        own = tmp_path / f"command-{path.stem}"
        sanitize([path.name], own, load_recipe("careful"), RunOptions(dataset=backend.dataset(f"{tenant}x", "customers")))
        for name in ("cleaned.parquet", "ledger.parquet", "duplicates.parquet", "removed.parquet"):
            assert (own / name).read_bytes() == (run / name).read_bytes(), name
    again = result(service, tenant, deliver(service, tenant, tables[1]))
    assert run_folder.read_manifest(again)["dataset"]["delivery"] == 2
    assert (again / "entities.parquet").read_bytes() == (runs[1] / "entities.parquet").read_bytes()
    assert len(backend.deliveries(tenant, backend.find_dataset(tenant, "customers"))) == 3


@pytest.mark.parametrize("point", ["publish.manifest_put", "delivery.before_tx", "delivery.after_tx"])
def test_a_worker_that_is_killed_delivers_once(service: Service, tmp_path: Path, point: str) -> None:
    tenant, backend = f"t{uuid.uuid4().hex[:12]}", service.backend
    result(service, tenant, deliver(service, tenant, rows(tmp_path / "1.csv", 0, 40)))
    job = deliver(service, tenant, rows(tmp_path / "2.csv", 20, 60), lane=tenant)
    faulty = service.worker("--once", "--lanes", tenant, fault=f"{point}:1:kill9")
    service.until(tenant, job, lambda found: found.attempt > 0)
    service.move(tenant, job, "small")
    run = result(service, tenant, job)
    assert faulty.wait(30) in (0, -signal.SIGKILL)
    made = backend.deliveries(tenant, backend.find_dataset(tenant, "customers"))
    assert [(d.counts["seen"], d.counts["new"]) for d in made] == [(0, 40), (20, 20)]
    assert (made[1].place.removeprefix("file://"), made[1].manifest_sha256) == (str(run), run_folder.sha256(run / "manifest.json"))
    assert service.ends_told(tenant, job) == (1, 1)


def test_a_job_that_is_cancelled_at_its_end_delivers_nothing(service: Service, tmp_path: Path) -> None:
    tenant, backend = f"t{uuid.uuid4().hex[:12]}", service.backend
    job = deliver(service, tenant, rows(tmp_path / "1.csv", 0, 40), lane=tenant)
    faulty = service.worker("--once", "--lanes", tenant, fault="delivery.before_tx:1:kill9")
    service.until(tenant, job, lambda found: found.attempt > 0 and found.state == "queued")
    assert backend.request_cancel(tenant, job) == "cancelled"
    assert faulty.wait(30) == 0
    assert backend.deliveries(tenant, backend.find_dataset(tenant, "customers")) == []


def test_a_contract_that_is_broken_ends_the_job_until_it_is_accepted(service: Service, tmp_path: Path) -> None:
    tenant, backend = f"t{uuid.uuid4().hex[:12]}", service.backend
    first, second = (table(tmp_path / f"{n}.csv", n, scale) for n, scale in ((1, 1), (2, 1000)))
    result(service, tenant, deliver(service, tenant, first))
    failed = service.ended(tenant, deliver(service, tenant, second))
    assert (failed.state, (failed.error or {})["code"], failed.attempt) == ("failed", "contract-broken", 1)
    dataset = backend.find_dataset(tenant, "customers")
    assert len(backend.deliveries(tenant, dataset)) == 1
    accepted = result(service, tenant, deliver(service, tenant, second, accept_changes=True))
    assert run_folder.read_manifest(accepted)["rows"]["in"] == ROWS
    assert len(backend.deliveries(tenant, dataset)) == 2


def objects(service: Service, tenant: str) -> set[str]:
    """The jobs that something lies of."""
    start = (service.root / f"{tenant}/").key
    return {found.key.removeprefix(start).split("/")[1] for found in service.root.store.listed(start)}


def test_forgetting_leaves_no_object(service: Service, tmp_path: Path) -> None:
    tenant, other = f"t{uuid.uuid4().hex[:12]}", f"u{uuid.uuid4().hex[:12]}"
    jobs = [deliver(service, tenant, rows(tmp_path / f"{n}.csv", 20 * n, 20 * n + 30)) for n in range(3)]
    plain, stays = service.submit(tenant, [tmp_path / "0.csv"]), service.submit(other, [tmp_path / "0.csv"])
    for job in (*jobs, plain):
        result(service, tenant, job)
    result(service, other, stays)
    backend: StorageBackend = service.backend
    dataset = backend.find_dataset(tenant, "customers")

    def forget(target: Target) -> set[str]:
        wanted = retention.would_forget(backend, target, stores(), root=service.root)
        done = retention.forget(backend, target, "test", stores(), root=service.root)
        assert wanted.objects + len(wanted.runs) > 0
        assert done.objects > 0
        backend.verify_audit_log(tenant)
        return objects(service, tenant)

    assert forget(Target(tenant, dataset, delivery=3)) == {str(job) for job in (*jobs[:2], plain)}
    assert forget(Target(tenant, job=plain)) == {str(job) for job in jobs[:2]}
    assert forget(Target(tenant, dataset)) == set()
    last = service.submit(tenant, [tmp_path / "0.csv"])
    result(service, tenant, last)
    assert forget(Target(tenant)) == set()
    assert objects(service, other) == {str(stays)}
