"""Forgets what was delivered, everywhere: the folders of its runs, then the database, and through it the vector index.

The database goes last, because it knows where the folders are: what was stopped half-way goes on when it is asked for again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

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


def forget(backend: StorageBackend, target: Target, actor: str, stores: Stores, *, keep_runs: bool = False) -> Forgotten:
    """Delete the runs of the deliveries concerned, then all that the database and the vector index hold; raises NotStored.

    A run is deleted where its manifest is the one that the delivery was made with; what else lies in its folder stays.
    """
    removed: list[str] = []
    missing: list[str] = []
    for delivery in () if keep_runs else _deliveries(backend, target):
        (removed if _remove_run(delivery, stores) else missing).append(delivery.place)
    return Forgotten(backend.forget(target, actor), tuple(removed), tuple(missing))


def would_forget(backend: StorageBackend, target: Target, stores: Stores, *, keep_runs: bool = False) -> Forgotten:
    """What `forget` would delete."""
    concerned = [] if keep_runs else list(_deliveries(backend, target))
    found = [(d.place, _is_there(d, stores)) for d in concerned]
    runs, missing = (tuple(place for place, there in found if there is wanted) for wanted in (True, False))
    return Forgotten(backend.would_forget(target), runs, missing)


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
