"""The queue in the database: who may work on a job, and that nobody else's work counts. The same for every database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from data_sanitizer import errors
from data_sanitizer.storage_backend import Chunk, Job, StorageBackend
from tests.contract.conftest import Place

RESULT = {"prefix": "p", "manifest_sha256": "0" * 64, "rows": {"in": 3, "kept": 3, "merged": 0, "quarantined": 0}, "files": {}}


@pytest.fixture
def backend(place: Place) -> Iterator[StorageBackend]:
    with place.backend().closing() as found:
        yield found


@pytest.fixture
def lane() -> str:
    return uuid4().hex[:12]  # a queue of the test's own


def made(backend: StorageBackend, tenant: str, lane: str, **values: object) -> UUID:
    backend.create_tenant(tenant)
    return backend.create_job(tenant, source={}, lane=lane, **values)  # type: ignore[arg-type]


def claimed(backend: StorageBackend, lane: str, seconds: float = 30, most: int = 100) -> Job:
    job = backend.claim_job([lane], lease_seconds=seconds, tenant_jobs=most)
    assert job is not None
    return job


def test_a_job_is_claimed_once(backend: StorageBackend, lane: str) -> None:
    job = made(backend, f"t{lane}", lane)
    assert backend.jobs_due([lane])
    found = claimed(backend, lane)
    assert (found.id, found.state, found.attempt) == (job, "running", 1)
    assert found.lease_token
    assert found.started_at
    assert not backend.jobs_due([lane])
    assert backend.claim_job([lane], lease_seconds=30, tenant_jobs=100) is None


def test_workers_that_claim_at_the_same_moment_get_different_jobs(place: Place, lane: str) -> None:
    count, tenant = 60, f"t{lane}"
    with place.backend(retry_for=60).closing() as backend:
        wanted = {made(backend, tenant, lane) for _ in range(count)}
        barrier, got = threading.Barrier(4), []

        def work() -> None:
            barrier.wait()
            while job := backend.claim_job([lane], lease_seconds=60, tenant_jobs=1000):
                got.append(job.id)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(got) == count
    assert set(got) == wanted


def test_a_tenant_with_many_jobs_does_not_hold_up_another(backend: StorageBackend, lane: str) -> None:
    for _ in range(10):
        made(backend, f"a{lane}", lane)
    first = claimed(backend, lane)
    backend.finish_job(first, "failed")  # a single worker: no job runs while it looks for the next
    made(backend, f"b{lane}", lane)
    assert claimed(backend, lane).tenant_id == f"b{lane}"
    assert claimed(backend, lane).tenant_id == f"a{lane}"


def test_so_many_jobs_of_a_tenant_run_and_no_more(backend: StorageBackend, lane: str) -> None:
    tenant = f"t{lane}"
    for _ in range(3):
        made(backend, tenant, lane)
    first, second = claimed(backend, lane, seconds=0.3, most=2), claimed(backend, lane, most=2)
    assert first.id != second.id
    assert backend.claim_job([lane], lease_seconds=30, tenant_jobs=2) is None
    time.sleep(0.4)  # a lease that has ended counts no more
    assert claimed(backend, lane, most=2)


def test_priorities_order_the_jobs_of_one_tenant(backend: StorageBackend, lane: str) -> None:
    late, urgent = made(backend, f"t{lane}", lane), made(backend, f"t{lane}", lane, priority=5)
    assert [claimed(backend, lane).id for _ in range(2)] == [urgent, late]


def test_nothing_that_a_worker_does_counts_once_its_lease_was_taken(backend: StorageBackend, lane: str) -> None:
    made(backend, f"t{lane}", lane)
    slow = claimed(backend, lane, seconds=0.1)
    time.sleep(0.2)
    other = claimed(backend, lane)
    assert (other.id, other.attempt, other.crash_count) == (slow.id, 2, 1)
    for late in (
        lambda: backend.heartbeat_job(slow, 30),
        lambda: backend.finish_job(slow, "success", result=RESULT),
        lambda: backend.give_back_job(slow),
        lambda: backend.record_chunk(slow, Chunk("pass1", 0, "k", "s", 1)),
        lambda: backend.advance_job(slow, "pass2", 0),
    ):
        with pytest.raises(errors.LeaseLost):
            late()
    assert backend.finish_job(other, "success", result=RESULT) == "success"
    assert backend.get_job(other.tenant_id, other.id).result == RESULT


def test_a_lease_that_ended_gives_no_right_even_where_nobody_took_it(backend: StorageBackend, lane: str) -> None:
    made(backend, f"t{lane}", lane)
    job = claimed(backend, lane, seconds=0.1)
    time.sleep(0.2)
    with pytest.raises(errors.LeaseLost):
        backend.finish_job(job, "success", result=RESULT)
    assert not backend.heartbeat_job(job, 30)  # still his: it can be prolonged
    assert backend.finish_job(job, "success", result=RESULT) == "success"


def test_an_end_whose_answer_was_lost_can_be_told_again(backend: StorageBackend, lane: str) -> None:
    made(backend, f"t{lane}", lane)
    job = claimed(backend, lane)
    assert [backend.finish_job(job, "success", result=RESULT) for _ in range(3)] == ["success"] * 3
    assert backend.verify_audit_log(job.tenant_id).entries == 1
    assert ("jobs", "success", 1.0) in [count[1:] for count in backend.counts() if count[0] == job.tenant_id]


def test_a_job_that_waits_is_cancelled_at_once_and_one_that_runs_by_its_worker(backend: StorageBackend, lane: str) -> None:
    tenant = f"t{lane}"
    waiting = made(backend, tenant, lane)
    assert [backend.request_cancel(tenant, waiting) for _ in range(2)] == ["cancelled"] * 2
    running = made(backend, tenant, lane)
    job = claimed(backend, lane)
    assert backend.request_cancel(tenant, running) == "running"
    assert backend.heartbeat_job(job, 30)
    assert backend.finish_job(job, "success", result=RESULT) == "cancelled"  # what was asked for first holds
    assert backend.get_job(tenant, running).result is None
    assert backend.verify_audit_log(tenant).entries == 2
    with pytest.raises(errors.NotStored):
        backend.request_cancel("nobody", running)


def test_of_cancel_and_success_one_wins(place: Place, lane: str) -> None:
    tenant = f"t{lane}"
    with place.backend(retry_for=60).closing() as backend:
        for _ in range(40):
            job = made(backend, tenant, lane)
            mine = claimed(backend, lane)
            barrier, told = threading.Barrier(2), {}

            def finish(mine: Job = mine, barrier: threading.Barrier = barrier, told: dict[str, str] = told) -> None:
                barrier.wait()
                told["worker"] = backend.finish_job(mine, "success", result=RESULT)

            thread = threading.Thread(target=finish)
            thread.start()
            barrier.wait()
            backend.request_cancel(tenant, job)
            thread.join()
            found = backend.get_job(tenant, job)
            assert found.state == told["worker"]
            assert (found.result is None) == (found.state == "cancelled")
        assert backend.verify_audit_log(tenant).entries == 40


def test_the_next_stage_needs_all_chunks_of_the_one_before(backend: StorageBackend, lane: str) -> None:
    made(backend, f"t{lane}", lane)
    job = claimed(backend, lane)
    backend.record_chunk(job, Chunk("pass1", 0, "k0", "s0", 5))
    with pytest.raises(errors.NotStored):
        backend.advance_job(job, "pass2", 2)
    backend.record_chunk(job, Chunk("pass1", 3, "k1", "s1", 5))
    backend.record_chunk(job, Chunk("pass1", 3, "k1", "s1", 5))
    backend.advance_job(job, "pass2", 2)
    backend.advance_job(job, "pass2", 2)
    assert backend.get_job(job.tenant_id, job.id).stage == "pass2"
    assert backend.job_chunks(job) == [Chunk("pass1", 0, "k0", "s0", 5), Chunk("pass1", 3, "k1", "s1", 5)]


def test_a_job_given_back_waits_and_counts_why(backend: StorageBackend, lane: str) -> None:
    made(backend, f"t{lane}", lane)
    error = {"code": "store-unavailable", "title": "It is away.", "retryable": True}
    backend.give_back_job(claimed(backend, lane))  # told to stop: nobody's fault
    backend.give_back_job(claimed(backend, lane), error=error)
    backend.give_back_job(claimed(backend, lane), error=error, crashed=True)
    job = claimed(backend, lane)
    assert (job.attempt, job.retries, job.crash_count, job.error) == (4, 1, 1, error)
    backend.record_chunk(job, Chunk("pass1", 0, "k", "s", 1))  # it gets on
    backend.give_back_job(job, wait=60, error=error)
    assert not backend.jobs_due([lane])
    found = backend.get_job(job.tenant_id, job.id)
    assert (found.retries, found.crash_count, found.state) == (1, 0, "queued")


def test_an_upload_that_was_given_up_ends(backend: StorageBackend, lane: str) -> None:
    job = made(backend, f"t{lane}", lane, state="accepted")
    assert backend.claim_job([lane], lease_seconds=30, tenant_jobs=100) is None
    assert backend.abandon_jobs(f"t{lane}", 3600) == []
    time.sleep(0.05)
    assert backend.abandon_jobs(f"t{lane}", 0) == [job]
    assert backend.get_job(f"t{lane}", job).state == "failed"


def test_a_token_is_needed(backend: StorageBackend, lane: str) -> None:
    made(backend, f"t{lane}", lane)
    with pytest.raises(errors.LeaseLost):
        backend.heartbeat_job(replace(claimed(backend, lane), lease_token=None), 30)
