"""Signatures in the database and in a vector index: the database is the truth, the index follows through the outbox.

Where the index does not answer, or holds something else than the database, the index in the process is filled from the database and asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from data_sanitizer.errors import VectorsUnavailable
from data_sanitizer.model import Candidates, Samples
from data_sanitizer.ports import Vectors
from data_sanitizer.storage import _jobs, _outbox, _samples
from data_sanitizer.storage.memory import MemoryVectors, scan

UPSERT: Final = "vectors.upsert"
DELETE: Final = "vectors.delete"
_HELD: Final = 1 << 18  # signatures of a dataset that this process holds, 240 MB; of more it holds some at a time
T = TypeVar("T")


class Run(Protocol):
    """One transaction of a tenant, tried again where the connection was lost."""

    def __call__(self, tenant: str, work: Callable[[sa.Connection], T], *, read_only: bool = False) -> T:
        """What the work gives."""
        ...


class Signatures:
    """The signatures of all tenants; `remote` is the index that processes share, if there is one."""

    def __init__(self, run: Run, remote: Vectors | None) -> None:
        self._run = run
        self._remote = remote
        self._memory = MemoryVectors()

    def store(self, tenant: str, samples: Samples) -> None:
        """Store a chunk, and the message about it, in one transaction; then pass the message on."""

        def work(connection: sa.Connection) -> None:
            if _samples.store(connection, tenant, samples) and self._remote:
                place = {"dataset": samples.dataset, "delivery": samples.delivery, "chunk": samples.chunk}
                _outbox.put(connection, tenant, UPSERT, place)

        self._run(tenant, work)
        self._try_relay(tenant)

    def delete(self, tenant: str, dataset: UUID, delivery: int) -> None:
        """Delete a delivery, and tell the index."""

        def work(connection: sa.Connection) -> None:
            _samples.delete(connection, tenant, dataset, delivery)
            if self._remote:
                _outbox.put(connection, tenant, DELETE, {"dataset": str(dataset), "delivery": delivery})

        self._run(tenant, work)
        self._try_relay(tenant)

    def _try_relay(self, tenant: str) -> bool:
        """Whether the index has all that it should have heard of."""
        try:
            self.relay(tenant)
        except VectorsUnavailable:
            return False
        return True

    def relay(self, tenant: str) -> int:
        """Pass on all messages; raises VectorsUnavailable at the first that is not taken, and tries it later again."""
        if self._remote is None:
            return 0
        passed = 0
        while messages := self._run(tenant, lambda c: _outbox.waiting(c, tenant, (UPSERT, DELETE), due=False), read_only=True):
            for message in messages:
                self._pass_on(tenant, message)
                passed += 1
        return passed

    def _pass_on(self, tenant: str, message: Any) -> None:
        assert self._remote is not None
        told = message.payload
        try:
            if message.topic == DELETE:
                self._remote.delete(tenant, told["dataset"], told["delivery"])
            elif batch := self._load(tenant, UUID(told["dataset"]), (told["delivery"], told["chunk"])):
                self._remote.upsert(tenant, batch)
        except VectorsUnavailable as error:
            why = str(error.facts["why"])
            self._run(tenant, lambda c: _outbox.failed(c, tenant, message.id, message.attempts, why))
            raise
        self._run(tenant, lambda c: _outbox.done(c, tenant, [message.id]))

    def _load(self, tenant: str, dataset: UUID, place: tuple[int, int]) -> Samples | None:
        return self._run(tenant, lambda c: _samples.load(c, tenant, dataset, *place), read_only=True)

    def held(self, tenant: str, dataset: UUID) -> dict[tuple[int, int], int]:
        """(delivery, chunk) of all that is stored of a dataset, with the number of signatures."""
        return self._run(tenant, lambda c: _samples.chunks(c, tenant, dataset), read_only=True)

    def query(self, tenant: str, dataset: UUID, signatures: NDArray[np.uint32], limit: int, threshold: float,
              before: int | None = None) -> Candidates:  # fmt: skip
        """Similar signatures of a dataset, from the shared index where it has all of it; with `before`, of earlier deliveries alone."""
        stored = self.held(tenant, dataset)
        asked = signatures, limit, threshold
        early = {place: size for place, size in stored.items() if before is None or place[0] < before}
        if len(early) < len(stored):  # an index is asked for all that it holds
            return self._scanned(tenant, dataset, early, *asked)
        if self._remote and self._try_relay(tenant):
            try:
                return self._remote.search(tenant, str(dataset), *asked, sum(stored.values()))
            except VectorsUnavailable:
                return replace(self._in_process(tenant, dataset, stored, *asked), degraded=True)
        return replace(self._in_process(tenant, dataset, stored, *asked), degraded=self._remote is not None)

    def _scanned(self, tenant: str, dataset: UUID, stored: dict[tuple[int, int], int], signatures: NDArray[np.uint32], limit: int,
                 threshold: float) -> Candidates:  # fmt: skip
        def batches() -> Iterator[Samples]:
            for place in sorted(stored):
                if batch := self._load(tenant, dataset, place):
                    yield batch

        return scan(batches, signatures, limit, threshold)

    def _in_process(self, tenant: str, dataset: UUID, stored: dict[tuple[int, int], int], signatures: NDArray[np.uint32], limit: int,
                    threshold: float) -> Candidates:  # fmt: skip
        """What the index in this process finds, after it was brought to what is stored; of much that is stored no index is made."""
        if sum(stored.values()) > _HELD:
            return self._scanned(tenant, dataset, stored, signatures, limit, threshold)
        held = self._memory.held(tenant, str(dataset))
        for delivery in {place[0] for place, count in held.items() if stored.get(place) != count}:
            self._memory.delete(tenant, str(dataset), delivery)
        held = self._memory.held(tenant, str(dataset))
        for place in sorted(stored.keys() - held.keys()):
            if batch := self._load(tenant, dataset, place):
                self._memory.upsert(tenant, batch)
        expected = sum(self._memory.held(tenant, str(dataset)).values())
        return self._memory.search(tenant, str(dataset), signatures, limit, threshold, expected)

    def rebuild(self, tenant: str) -> int:
        """Empty the shared index for a tenant and fill it from the database; gives the number of signatures."""
        if self._remote is None:
            return 0
        count = 0
        waiting = self._run(tenant, lambda c: _outbox.waiting(c, tenant, (UPSERT, DELETE), due=False, limit=1 << 31), read_only=True)
        for dataset in self._run(tenant, lambda c: _jobs.dataset_ids(c, tenant), read_only=True):
            self._remote.delete(tenant, str(dataset), None)
            stored = self._run(tenant, lambda c, d=dataset: _samples.chunks(c, tenant, d), read_only=True)  # type: ignore[misc]
            for place in sorted(stored):
                if batch := self._load(tenant, dataset, place):
                    self._remote.upsert(tenant, batch)
                    count += len(batch.hashes)
        self._run(tenant, lambda c: _outbox.done(c, tenant, [message.id for message in waiting]))
        return count
