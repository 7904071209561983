"""What workers ask of the storage: claims of jobs, their leases, their chunks and their ends, and the figures of the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa

from data_sanitizer.errors import LeaseLost
from data_sanitizer.model import NewDelivery, RowPart
from data_sanitizer.storage import _audit, _deliveries, _jobs, _leases, _tallies
from data_sanitizer.storage._jobs import Job
from data_sanitizer.storage._leases import Chunk
from data_sanitizer.storage._part import Part
from data_sanitizer.storage.schema import EVERY_TENANT


@dataclass(frozen=True, slots=True)
class Made:
    """A delivery that is to become part of its dataset together with the end of its job."""

    dataset: UUID
    new: NewDelivery
    rows: Callable[[], Iterator[RowPart]]
    version: tuple[int, int]  # of the dataset that it was made for


class Work(Part):
    """A part of StorageBackend."""

    def claim_job(self, lanes: Sequence[str], *, lease_seconds: float, tenant_jobs: int) -> Job | None:
        """Take the job of any tenant whose turn it is, for a time; None where there is none. See `storage._leases.claim`."""
        return self._run(EVERY_TENANT, lambda c: _leases.claim(c, lanes, lease_seconds, tenant_jobs))

    def jobs_due(self, lanes: Sequence[str]) -> bool:
        """Whether a job of these lanes waits for a worker."""
        return self._read(EVERY_TENANT, lambda c: _leases.due(c, lanes))

    def heartbeat_job(self, job: Job, lease_seconds: float, progress: Mapping[str, Any] | None = None) -> bool:
        """Keep a claimed job; gives whether it is to be cancelled. Raises LeaseLost."""
        return self._run(job.tenant_id, lambda c: _leases.heartbeat(c, job.tenant_id, job.id, _token(job), lease_seconds, progress))

    def record_chunk(self, job: Job, chunk: Chunk) -> None:
        """Store that a part of a claimed job is done; raises LeaseLost."""
        self._run(job.tenant_id, lambda c: _leases.record(c, job.tenant_id, job.id, _token(job), chunk))

    def job_chunks(self, job: Job) -> list[Chunk]:
        """The parts of a job that are done."""
        return self._read(job.tenant_id, lambda c: _leases.chunks(c, job.tenant_id, job.id))

    def advance_job(self, job: Job, stage: str, done: int) -> None:
        """Put a claimed job into its next stage, where `done` chunks of the present one are stored; raises LeaseLost and NotStored."""
        self._run(job.tenant_id, lambda c: _leases.advance(c, job.tenant_id, job.id, _token(job), stage, done))

    def give_back_job(self, job: Job, *, wait: float = 0, error: Mapping[str, Any] | None = None, crashed: bool = False) -> None:
        """End the lease; the job can be claimed again after `wait` seconds. Raises LeaseLost."""
        told: dict[str, Any] = {"wait": wait, "error": error, "crashed": crashed}
        self._run(job.tenant_id, lambda c: _leases.give_back(c, job.tenant_id, job.id, _token(job), **told))

    def finish_job(self, job: Job, state: str, *, made: Made | None = None, **told: Any) -> str:
        """End a claimed job (`result`, `manifest_sha256`, `error`, `degraded`), with an entry in the audit log and a message to the outbox.

        Gives the state that it has then: cancelled, where that was asked for meanwhile. Raises LeaseLost. What the job has `made` becomes
        part of its dataset in the same transaction, where the job succeeds: both are, or neither is. Raises DatasetBusy.
        """

        def work(connection: sa.Connection) -> str:
            first = _jobs.get(connection, job.tenant_id, job.id).state == "running"  # else an answer was lost, and all is done
            ended = _leases.finish(connection, job.tenant_id, job.id, _token(job), state, told)
            if made and first and ended == "success":
                _deliveries.commit(connection, job.tenant_id, made.dataset, made.new, made.rows(), made.version)
            self._ended(connection, job.tenant_id, job.id, ended, "worker")
            return ended

        return self._run(job.tenant_id, work)

    def request_cancel(self, tenant_id: str, job_id: UUID, *, actor: str = "tenant") -> str:
        """Cancel a job; gives its state: `running` where a worker has to stop first. Raises NotStored."""

        def work(connection: sa.Connection) -> str:
            state = _leases.request_cancel(connection, tenant_id, job_id)
            if state == "cancelled":
                self._ended(connection, tenant_id, job_id, state, actor)
            return state

        return self._run(tenant_id, work)

    def job_places(self, tenant_id: str) -> dict[UUID, tuple[str, str | None]]:
        """The state of each job of a tenant, and the prefix of its result in the object store."""
        return self._read(tenant_id, lambda c: _leases.places(c, tenant_id))

    def abandon_jobs(self, tenant_id: str, seconds: float) -> list[UUID]:
        """End the jobs whose upload was begun so long ago and never completed; gives them."""

        def work(connection: sa.Connection) -> list[UUID]:
            error = {"code": "upload-abandoned", "title": "The upload was begun and never completed. Send it again.", "retryable": False}
            found = _leases.abandon(connection, tenant_id, seconds, error)
            for job in found:
                self._ended(connection, tenant_id, job, "failed", "reconciler")
            return found

        return self._run(tenant_id, work)

    def _ended(self, connection: sa.Connection, tenant: str, job: UUID, state: str, actor: str) -> None:
        told = {"actor": actor, "action": f"job.{state}", "subject": str(job), "detail": {}}
        _audit.append(connection, tenant, uuid5(job, "ended"), self._audit_key, told)

    def counts(self) -> list[tuple[str, str, str, float]]:
        """What was counted since the beginning: tenant, name, label, total."""
        return [tuple(row) for row in self._read(EVERY_TENANT, _tallies.totals)]

    def queue_state(self) -> list[tuple[str, str, int, int, float]]:
        """The queue now: lane, state, jobs, those whose lease has ended, seconds since the oldest was due."""
        return [tuple(row) for row in self._read(EVERY_TENANT, _tallies.queue)]


def _token(job: Job) -> UUID:
    if job.lease_token is None:
        raise LeaseLost(job=job.id)
    return job.lease_token
