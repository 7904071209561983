"""Holds the lease of one job while a process of its own works on it: hears it, keeps the lease, and ends it where it must.

The heartbeat comes from here, so that it goes on while the work is deep in compiled code; and what the work crashes is not the worker.
"""

from __future__ import annotations

import random
import select
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from data_sanitizer import logs, settings
from data_sanitizer.errors import DataSanitizerError, EnvironmentFailed, JobTimedOut, LeaseLost, WorkerCrashed
from data_sanitizer.faults import crashpoint
from data_sanitizer.settings import ServiceSettings
from data_sanitizer.storage_backend import Chunk, Job, StorageBackend
from data_sanitizer.workers import pass1_worker, pass2_worker
from data_sanitizer.workers.process import WorkProcess
from data_sanitizer.workers.progress import Progress

MOST_CRASHES: Final = 3  # in a row, without a chunk done in between
_LONGEST_WAIT: Final = 300.0  # seconds until a job is tried again
_BEATS: Final = 3  # heartbeats in the time of a lease


class Supervisor:
    """One attempt at one job, seen from outside."""

    def __init__(self, backend: StorageBackend, service: ServiceSettings, job: Job, stop: threading.Event) -> None:
        self._backend, self._service, self._job, self._stop = backend, service, job, stop
        self._progress, self._chunks = Progress(), 0
        self._crashes, self._retries = job.crash_count, job.retries  # since something was last done
        self._begun = self._beaten = time.monotonic()
        self._draining: float | None = None
        self._finishing = False  # the process ends the job itself

    def run(self, process: WorkProcess) -> str:
        """Take the job as far as it goes; gives how it ended: a state of the job, `queued` or `lost`. The process has ended then."""
        job = self._job
        with logs.bound(job=str(job.id), tenant=job.tenant_id, attempt=job.attempt):
            logs.tell("attempt begins", stage=job.stage)
            try:
                crashpoint("claim.after")
                ended = self._before() or self._watch(process)
            except LeaseLost:
                logs.tell("lease lost")
                ended = "lost"
            except EnvironmentFailed as error:  # the lease ends by itself, and somebody claims the job again
                logs.tell("cannot say how it ended", error=error.code)
                ended = "lost"
            finally:
                process.kill()
            logs.tell("attempt ends", result=ended, seconds=round(time.monotonic() - self._begun, 3))
        return ended

    def _before(self) -> str | None:
        """What ends the job before it begins."""
        job = self._job
        if job.cancel_requested:
            return self._backend.finish_job(job, "cancelled")
        if job.crash_count >= MOST_CRASHES:
            return self._failed("dead", WorkerCrashed(count=job.crash_count, why="the worker was lost"))
        return None

    def _watch(self, process: WorkProcess) -> str:
        process.order(self._task())
        while True:
            if (ended := self._tended(process)) is not None:
                return ended
            if not select.select([process.answers], [], [], 0.05 if self._draining else min(0.5, self._pause()))[0]:
                continue
            for message in process.messages():
                if message is None:
                    return self._died(process)
                if (ended := self._heard(message, process)) is not None:
                    return ended

    def _task(self) -> dict[str, Any]:
        job = self._job
        chunks = [asdict(chunk) for chunk in self._backend.job_chunks(job)]
        return {"tenant": job.tenant_id, "job": str(job.id), "attempt": job.attempt, "stage": job.stage, "source": job.source,
                "options": job.options, "chunks": chunks, "settings": {**asdict(self._service), "broker_url": ""},
                "fault": settings.fault(), "dataset": self._dataset()}  # fmt: skip

    def _dataset(self) -> dict[str, Any] | None:
        """What a process needs to deliver to a dataset; the database is told to no other one."""
        name = self._job.options.get("dataset")
        stored = asdict(settings.StorageSettings.from_environment())
        return {"name": name, "storage": stored, "lease": str(self._job.lease_token)} if name else None

    def _pause(self) -> float:
        return max(0.01, self._beaten + self._service.lease_seconds / _BEATS - time.monotonic())

    def _tended(self, process: WorkProcess) -> str | None:
        """The heartbeat where it is due, the time that the job may take, and the end of the worker."""
        now = time.monotonic()
        if self._stop.is_set() and self._draining is None:
            self._draining = now
            process.order("stop")
        if self._draining is not None and now - self._draining > self._service.drain_seconds:
            return self._given_back(process)
        if now - self._begun > self._service.job_seconds:
            process.kill()
            return self._failed("failed", JobTimedOut(seconds=f"{self._service.job_seconds:g}"))
        if self._finishing or now - self._beaten < self._service.lease_seconds / _BEATS:
            return None
        return self._beat(process)

    def _beat(self, process: WorkProcess) -> str | None:
        try:
            crashpoint("heartbeat")
            cancel = self._backend.heartbeat_job(self._job, self._service.lease_seconds, self._progress.told())
        except LeaseLost:
            process.kill()
            raise
        except EnvironmentFailed as error:
            if time.monotonic() - self._beaten > self._service.lease_seconds:
                process.kill()
                raise
            logs.tell("heartbeat failed", error=error.code)
            time.sleep(min(0.2, self._service.lease_seconds / 10))
            return None
        self._beaten = time.monotonic()
        if cancel:
            process.kill()
            crashpoint("cancel.mid")
            return self._backend.finish_job(self._job, "cancelled")
        return None

    def _heard(self, message: Mapping[str, Any], process: WorkProcess) -> str | None:
        kind = message["kind"]
        if kind == "progress":
            self._progress.heard(message["stage"], message["rows"], message["total"])
        elif kind == "chunk":
            chunk = Chunk(message["stage"], message["no"], message["key"], message["sha256"], message["rows"])
            crashpoint("chunk.before_recorded")
            self._backend.record_chunk(self._job, chunk)
            crashpoint("chunk.recorded")
            self._chunks += chunk.stage == pass1_worker.STAGE
            self._crashes = self._retries = 0
            logs.tell("chunk kept", stage=chunk.stage, no=chunk.no, rows=chunk.rows)
        elif kind == "advance":
            crashpoint("flip.before")
            self._backend.advance_job(self._job, pass2_worker.STAGE, self._chunks)
            crashpoint("flip.after")
            process.order("done")
        elif kind == "finishing":
            self._backend.heartbeat_job(self._job, self._service.lease_seconds, self._progress.told())
            self._finishing = True
            process.order("done")
        elif kind == "result":
            return self._succeeded(message, process)
        elif kind == "error":
            return self._went_wrong(message)
        return None

    def _succeeded(self, message: Mapping[str, Any], process: WorkProcess) -> str:
        """The fenced commit: what was published becomes the result of the job."""
        process.kill()
        if "ended" in message:  # in the transaction of its delivery
            return str(message["ended"])
        result = {name: message.get(name, {}) for name in ("prefix", "manifest_sha256", "rows", "files", "seconds")}
        progress = self._progress.finished(result["rows"]["in"])
        crashpoint("publish.before_tx")
        ended = self._backend.finish_job(self._job, "success", result=result, manifest_sha256=result["manifest_sha256"], progress=progress,
                                         error=None)  # fmt: skip
        crashpoint("publish.after_tx")
        return ended

    def _went_wrong(self, message: Mapping[str, Any]) -> str:
        error = {name: message[name] for name in ("code", "title", "retryable")}
        logs.tell("work failed", error=error["code"], retryable=error["retryable"])
        if not error["retryable"]:
            return self._backend.finish_job(self._job, "failed", error=error)
        if self._retries + 1 >= self._job.max_attempts:
            return self._backend.finish_job(self._job, "dead", error=error)
        return self._queued(error, self._retries)

    def _died(self, process: WorkProcess) -> str:
        """The process has ended without a word."""
        code = process.wait()
        if self._draining is not None:
            return self._given_back(process)
        crash = WorkerCrashed(count=self._crashes + 1, why=f"the process was ended by signal {-code}" if code < 0 else "it gave up")
        logs.tell("work crashed", code=code)
        if self._crashes + 1 >= MOST_CRASHES:
            return self._failed("dead", crash)
        return self._queued(_described(crash, retryable=True), self._crashes, crashed=True)

    def _queued(self, error: Mapping[str, Any], times: int, *, crashed: bool = False) -> str:
        """Back into the queue; the wait has full jitter, so that many that failed together do not come back together."""
        wait = random.uniform(0, min(_LONGEST_WAIT, 2.0 ** (times + 1)))  # noqa: S311
        self._backend.give_back_job(self._job, wait=wait, error=error, crashed=crashed)
        return "queued"

    def _given_back(self, process: WorkProcess) -> str:
        process.kill()
        self._backend.give_back_job(self._job)
        return "queued"

    def _failed(self, state: str, error: DataSanitizerError) -> str:
        return self._backend.finish_job(self._job, state, error=_described(error, retryable=False))


def _described(error: DataSanitizerError, *, retryable: bool) -> dict[str, Any]:
    return {"code": error.code, "title": str(error), "retryable": retryable}
