"""What the API asks of the storage, on every database: lists, uploads under way, keys, rates, decisions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from data_sanitizer import errors
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import jobs
from data_sanitizer.storage_backend import StorageBackend, new_id
from tests.contract.conftest import Place


@pytest.fixture
def backend(place: Place) -> Iterator[StorageBackend]:
    with place.backend().closing() as found:
        yield found


@pytest.fixture
def tenant(backend: StorageBackend) -> str:
    name = f"tenant-{uuid4().hex[:8]}"
    backend.create_tenant(name)
    return name


def make(backend: StorageBackend, tenant: str, **more: Any) -> UUID:
    return backend.create_job(tenant, source={"objects": []}, input_bytes=10, **more)


def aged(backend: StorageBackend, tenant: str, job: UUID, hours: float, **more: Any) -> None:
    """As if the job were so old."""
    then = now(-hours * 3600)
    change = sa.update(jobs).where(jobs.c.tenant_id == tenant, jobs.c.id == job).values(created_at=then, updated_at=then, **more)
    with backend._database.transaction(tenant) as connection:
        connection.execute(change)


def test_pages_are_the_list_and_no_other_tenant_is_in_them(backend: StorageBackend, tenant: str) -> None:
    other = f"{tenant}-b"
    backend.create_tenant(other)
    made = [make(backend, tenant) for _ in range(5)]
    make(backend, other)
    first = backend.list_jobs(tenant, limit=2)
    rest = backend.list_jobs(tenant, before=first[-1].id, limit=10)
    assert [job.id for job in first + rest] == sorted(made, reverse=True)
    assert backend.list_jobs(tenant, states=("running",)) == []
    used = backend.usage(tenant)
    assert (used.jobs, used.open_jobs, used.input_bytes) == ({"queued": 5}, 5, 50)


def test_an_idempotency_key_is_taken_once(backend: StorageBackend, tenant: str) -> None:
    ids = [new_id() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: backend.reserve_job(tenant, job, "k"), ids))
    assert [taken.mine for taken in found].count(True) == 1
    assert len({taken.job for taken in found}) == 1
    mine = next(taken.job for taken in found if taken.mine)
    backend.keep_reservation(tenant, mine)
    assert backend.submit_job(tenant, mine, source={"objects": []}, request_fingerprint="f" * 64)
    assert not backend.submit_job(tenant, mine, source={"objects": []}, request_fingerprint="f" * 64)
    again = backend.reserve_job(tenant, new_id(), "k")
    assert (again.job, again.state, again.mine) == (mine, "queued", False)
    backend.check_same_request(tenant, mine, "f" * 64, "k")
    with pytest.raises(errors.IdempotencyKeyReused):
        backend.check_same_request(tenant, mine, "0" * 64, "k")


def test_an_upload_that_was_given_up_does_not_hold_its_key(backend: StorageBackend, tenant: str) -> None:
    first, second, third = new_id(), new_id(), new_id()
    assert backend.reserve_job(tenant, first, "k").mine
    assert not backend.reserve_job(tenant, second, "k").mine
    aged(backend, tenant, first, 0.1)
    assert backend.reserve_job(tenant, second, "k").mine
    backend.abandon_job(tenant, second)
    assert backend.reserve_job(tenant, third, "k").mine


def test_t49_a_key_is_free_again_after_a_day(backend: StorageBackend, tenant: str) -> None:
    job = new_id()
    backend.reserve_job(tenant, job, "k")
    backend.submit_job(tenant, job, source={"objects": []})
    backend.update_job_status(tenant, job, "failed")
    aged(backend, tenant, job, 23)
    assert not backend.reserve_job(tenant, new_id(), "k").mine
    aged(backend, tenant, job, 25)
    assert backend.reserve_job(tenant, new_id(), "k").mine
    assert backend.get_job(tenant, job).state == "failed"


def test_only_a_job_at_its_end_is_deleted(backend: StorageBackend, tenant: str) -> None:
    job = make(backend, tenant)
    assert not backend.delete_job(tenant, job)
    backend.decide_cluster(tenant, job, "1", "skip", "somebody")
    backend.update_job_status(tenant, job, "failed")
    assert backend.delete_job(tenant, job)
    for call in (backend.get_job, backend.delete_job):
        with pytest.raises(errors.NotStored):
            call(tenant, job)


def test_the_last_decision_counts(backend: StorageBackend, tenant: str) -> None:
    job = make(backend, tenant)
    for decision in ("duplicate", "not_a_duplicate"):
        backend.decide_cluster(tenant, job, "7", decision, "somebody")
    assert backend.cluster_decisions(tenant, job, ["7", "8"]) == {"7": "not_a_duplicate"}
    with pytest.raises(errors.NotStored):
        backend.decide_cluster(tenant, uuid4(), "7", "skip", "somebody")


def test_a_key_holds_in_its_time_and_until_it_is_revoked(backend: StorageBackend, tenant: str) -> None:
    for name, when in (("always", {}), ("ended", {"lifetime": 0.05}), ("later", {"delay": 3600.0})):
        backend.create_key(tenant, name, b"d" * 32, label="", scopes=["jobs:read"], created_by="test", **when)
    time.sleep(0.1)
    assert {key.id: key.usable for key in backend.list_keys(tenant)} == {"always": True, "ended": False, "later": False}
    backend.touch_key(tenant, "always")
    backend.revoke_key(tenant, "always")
    found = backend.find_key(tenant, "always")
    assert found
    assert not found.usable
    assert found.last_used_at
    assert backend.find_key(f"{tenant}-b", "always") is None
    with pytest.raises(errors.NotStored):
        backend.revoke_key(tenant, "no such")


def test_t08_a_limit_is_exact_however_many_ask(backend: StorageBackend, tenant: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: backend.count_rate(tenant, "key:x", 20, 60)[1], range(60)))
    assert waits.count(0) == 20
    assert all(0 < wait <= 60 for wait in waits if wait)
    assert backend.count_rate(tenant, "key:y", 20, 60)[1] == 0
    assert backend.count_rate(f"{tenant}-b", "key:x", 20, 60)[1] == 0


def test_the_window_moves(backend: StorageBackend, tenant: str) -> None:
    assert [backend.count_rate(tenant, "s", 2, 60)[1] for _ in range(3)][-1] > 0
    time.sleep(2.1)
    assert backend.count_rate(tenant, "s", 2, 1)[1] == 0
