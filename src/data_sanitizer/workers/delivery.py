"""The dataset that a job delivers to: read while the job is worked on, changed in the transaction that ends the job."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import IO, Any
from uuid import UUID

from data_sanitizer import bootstrap
from data_sanitizer.faults import crashpoint
from data_sanitizer.model import DatasetState, NewDelivery, RowPart, Samples
from data_sanitizer.ports import RowIndex
from data_sanitizer.settings import StorageSettings
from data_sanitizer.storage_backend import Made, StorageBackend
from data_sanitizer.workers.progress import Progress


@contextmanager
def opened(task: Mapping[str, Any]) -> Iterator[Delivering | None]:
    """The dataset of a job; None where it delivers to none, and then no database is connected."""
    told = task.get("dataset")
    if not told:
        yield None
        return
    settings = StorageSettings(**told["storage"])
    with bootstrap.storage_backend(settings).closing() as backend, ExitStack() as resources:
        yield Delivering(backend, task, resources)


class _EarlierRows:
    """The index of a dataset; the rows of a delivery that is not made yet are left to the next one to sign."""

    def __init__(self, index: RowIndex, last: int) -> None:
        self.opened, self.similar, self._index, self._last = index.opened, index.similar, index, last

    def add(self, samples: Samples) -> None:
        """Add rows of a delivery that is made."""
        if samples.delivery <= self._last:
            self._index.add(samples)


class Delivering:
    """A `ports.Dataset` that keeps what is committed to it until the job ends."""

    def __init__(self, backend: StorageBackend, task: Mapping[str, Any], resources: ExitStack) -> None:
        self._backend, self._task, self._resources, self._progress = backend, task, resources, Progress()
        self._stored = backend.dataset(task["tenant"], task["dataset"]["name"])
        self._state = self._stored.state()
        self._made: Made | None = None
        self.index: RowIndex = _EarlierRows(self._stored.index, max((d.no for d in self._state.deliveries), default=0))

    def basis(self) -> list[Any]:
        """What the work depends on: checkpoints of an attempt that saw another dataset are of no use."""
        return [self._state.name, *self._state.version]

    def state(self) -> DatasetState:
        """As it was when the work began; where it changes meanwhile, the end of the job says so."""
        return self._state

    def parts(self) -> Iterator[RowPart]:
        """All its rows, without their cells."""
        return self._stored.parts()

    def cells(self, delivery: int, part: int) -> bytes:
        """The cells of one part."""
        return self._stored.cells(delivery, part)

    def profile(self, delivery: int) -> Mapping[str, Any]:
        """What profile.json said of a delivery."""
        return self._stored.profile(delivery)

    def seen(self, delivery: int) -> bytes:
        """Which rows of earlier deliveries one had too."""
        return self._stored.seen(delivery)

    def knowledge(self, before: int) -> bytes:
        """What was learned of its rows before a delivery."""
        return self._stored.knowledge(before)

    def commit(self, new: NewDelivery, rows: Callable[[], Iterator[RowPart]], version: tuple[int, int]) -> None:
        """Keep the delivery in a file of this process until `finish`; the folder that its rows come from is removed before."""
        file: IO[bytes] = self._resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        for part in rows():
            pickle.dump(part, file)
        self._made = Made(self._stored.id, new, lambda: _parts(file), version)

    def finish(self, result: Mapping[str, Any]) -> str:
        """End the job and make the delivery part of the dataset, both or neither; gives the state of the job then.

        Raises LeaseLost where another worker has the job, and DatasetBusy where the dataset has changed.
        """
        tenant, job = self._task["tenant"], UUID(self._task["job"])
        held = replace(self._backend.get_job(tenant, job), lease_token=UUID(self._task["dataset"]["lease"]))
        progress = self._progress.finished(result["rows"]["in"])
        crashpoint("delivery.before_tx")
        ended = self._backend.finish_job(held, "success", made=self._made, result=result, manifest_sha256=result["manifest_sha256"],
                                         progress=progress, error=None)  # fmt: skip
        crashpoint("delivery.after_tx")
        return ended


def _parts(file: IO[bytes]) -> Iterator[RowPart]:
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    while file.tell() < end:
        yield pickle.load(file)  # noqa: S301  written by this process, into a file without a name
