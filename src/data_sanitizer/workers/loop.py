"""The life of a worker: look for a job, work on it, look again; until it is told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from data_sanitizer import bootstrap, logs
from data_sanitizer.errors import EnvironmentFailed
from data_sanitizer.ports import Queue
from data_sanitizer.settings import ServiceSettings
from data_sanitizer.storage.schema import FINAL_STATES
from data_sanitizer.storage_backend import Job, StorageBackend
from data_sanitizer.workers import reconciler
from data_sanitizer.workers.process import WorkProcess
from data_sanitizer.workers.supervisor import Supervisor


class Worker:
    """Takes one job at a time from the lanes it is for."""

    def __init__(self, backend: StorageBackend, service: ServiceSettings, queue: Queue, lanes: Sequence[str]) -> None:
        self._backend, self._service, self._queue, self._lanes = backend, service, queue, tuple(lanes)
        self._spare: WorkProcess | None = None
        self._root, self._reconciled = bootstrap.object_store(service), time.monotonic()
        self.stop = threading.Event()

    def serve(self) -> None:
        """Work until `stop` is set; the job at hand then goes back into the queue at its next chunk."""
        try:
            while not self.stop.is_set():
                if not self.once():
                    self._queue.wait(self._service.poll_seconds)
                if time.monotonic() - self._reconciled > self._service.reconcile_seconds:
                    self.reconcile()
        finally:
            self.close()

    def drain(self) -> int:
        """Work until no job waits any more; gives how many attempts that took."""
        attempts = 0
        try:
            while not self.stop.is_set() and self.once():
                attempts += 1
        finally:
            self.close()
        return attempts

    def once(self) -> bool:
        """Work on the job whose turn it is; gives whether there was one."""
        job = self._claimed()
        if job is None:
            self._spare = self._spare or WorkProcess()
            return False
        process, self._spare = self._spare or WorkProcess(), None
        ended = Supervisor(self._backend, self._service, job, self.stop).run(process)
        if ended in FINAL_STATES:
            with suppress(EnvironmentFailed):  # what stays is found by `reconcile`
                reconciler.tidy(self._backend, self._root, job.tenant_id, job.id)
        return True

    def reconcile(self) -> None:
        """Remove what no job needs any more; the next time does what could not be done now."""
        self._reconciled = time.monotonic()
        try:
            removed = reconciler.reconcile(self._backend, self._root, self._service.keep_orphans_seconds)
        except EnvironmentFailed as error:
            logs.tell("cannot reconcile", error=error.code)
            return
        logs.tell("reconciled", removed=removed)

    def close(self) -> None:
        """End the process that waits for a job."""
        if self._spare is not None:
            self._spare.kill()
            self._spare = None

    def _claimed(self) -> Job | None:
        try:
            if not self._backend.jobs_due(self._lanes):
                return None
            return self._backend.claim_job(self._lanes, lease_seconds=self._service.lease_seconds, tenant_jobs=self._service.tenant_jobs)
        except EnvironmentFailed as error:
            logs.tell("cannot look for jobs", error=error.code)
            self.stop.wait(self._service.poll_seconds)
            return None
