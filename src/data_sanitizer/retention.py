"""Forgets what was delivered, everywhere: the folders of its runs, the objects of its jobs, then the database, and through it the vector
index.

The database goes last, because it knows where the folders are: what was stopped half-way goes on when it is asked for again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from data_sanitizer import publication
from data_sanitizer.model import Delivery
from data_sanitizer.storage_backend import StorageBackend, Target
from data_sanitizer.stores import Location, Stores


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was deleted, or would be."""

    rows: dict[str, int]  # table -> rows
    runs: tuple[str, ...]  # places of runs
    missing: tuple[str, ...]  # places where the run is not, or where another one is by now: left alone
    objects: int = 0  # of jobs: inputs, results and what lies beside them


def forget(
    backend: StorageBackend, target: Target, actor: str, stores: Stores, *, keep_runs: bool = False, root: Location | None = None
) -> Forgotten:
    """Delete the runs of the deliveries concerned, then all that the database and the vector index hold; raises NotStored.

    A run is deleted where its manifest is the one that the delivery was made with; what else lies in its folder stays. `root` is where the
    service keeps the objects of jobs: those that go with the target are deleted there.
    """
    removed: list[str] = []
    missing: list[str] = []
    for delivery in () if keep_runs else _deliveries(backend, target):
        (removed if _remove_run(delivery, stores) else missing).append(delivery.place)
    jobs = _jobs(backend, target)
    objects = sum(clear(root, place) for place in _places(target, jobs)) if root and not keep_runs else 0
    if target.kind == "delivery":
        for job in jobs:
            backend.delete_job(target.tenant, job)
    rows = backend.forget(target, actor)
    if root and not keep_runs and target.kind == "tenant":
        objects += clear(root, f"{target.tenant}/")  # what was handed in meanwhile
    return Forgotten(rows, tuple(removed), tuple(missing), objects)


def clear(root: Location, folder: str) -> int:
    """Delete all objects whose place below the root begins so; gives how many there were."""
    place = root / folder
    there = [found.key for found in place.store.listed(place.key)]
    for key in there:
        place.store.delete(key)
    return len(there)


def _jobs(backend: StorageBackend, target: Target) -> list[UUID]:
    """The jobs that go with the target; of a tenant they need no names."""
    if target.job:
        return [target.job]
    return backend.dataset_jobs(target.tenant, target.dataset, target.delivery) if target.dataset else []


def _places(target: Target, jobs: Iterable[UUID]) -> list[str]:
    return [f"{target.tenant}/"] if target.kind == "tenant" else [f"{target.tenant}/jobs/{job}/" for job in jobs]


def would_forget(
    backend: StorageBackend, target: Target, stores: Stores, *, keep_runs: bool = False, root: Location | None = None
) -> Forgotten:
    """What `forget` would delete."""
    concerned = [] if keep_runs else list(_deliveries(backend, target))
    found = [(d.place, _is_there(d, stores)) for d in concerned]
    runs, missing = (tuple(place for place, there in found if there is wanted) for wanted in (True, False))
    places = [root / place for place in _places(target, _jobs(backend, target))] if root and not keep_runs else []
    objects = sum(1 for place in places for _ in place.store.listed(place.key))
    return Forgotten(backend.would_forget(target), runs, missing, objects)


def _deliveries(backend: StorageBackend, target: Target) -> Iterable[Delivery]:
    """The deliveries that go with the target."""
    if target.kind == "job":
        return
    datasets = [target.dataset] if target.dataset else [dataset for _, dataset in backend.datasets(target.tenant)]
    for dataset in datasets:
        yield from (d for d in backend.deliveries(target.tenant, dataset) if target.delivery in (None, d.no) and d.place)


def _is_there(delivery: Delivery, stores: Stores) -> bool:
    place = stores.place(delivery.place)
    if isinstance(place, Location):
        content = publication.manifest_bytes(place)
    else:
        manifest = place / publication.MANIFEST
        content = manifest.read_bytes() if manifest.is_file() else None
    return content is not None and hashlib.sha256(content).hexdigest() == delivery.manifest_sha256


def _remove_run(delivery: Delivery, stores: Stores) -> bool:
    """Whether the run was there; its manifest goes last, so that a run removed by half is known again."""
    if not _is_there(delivery, stores):
        return False
    place = stores.place(delivery.place)
    if isinstance(place, Location):
        publication.remove(place)
        return True
    names = publication.names_of(place)
    for name in [n for n in names if n != publication.MANIFEST]:
        (place / name).unlink(missing_ok=True)
    (place / publication.MANIFEST).unlink()
    with suppress(OSError):  # where something else lies in it, it stays
        place.rmdir()
    return True
