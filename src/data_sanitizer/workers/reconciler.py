"""Brings database and object store to agree: what no job needs is removed, uploads that were given up are ended.

It only removes what nobody can need, and says the same twice: any number of workers may do it at the same time, and be killed in it.
A result that was published without its job being told needs nothing here: the next attempt at the job finds it.
"""

from __future__ import annotations

import time
from typing import Final
from uuid import UUID

from data_sanitizer.faults import crashpoint
from data_sanitizer.storage.schema import FINAL_STATES
from data_sanitizer.storage_backend import StorageBackend
from data_sanitizer.stores import Location

_PARTS: Final = 3  # jobs, its id, and what lies below it


def reconcile(backend: StorageBackend, root: Location, grace: float) -> int:
    """Do it for all tenants; gives how many objects were removed. Uploads younger than `grace` seconds may still get their job."""
    removed = 0
    for tenant in backend.tenants():
        backend.abandon_jobs(tenant, grace)
        listed = _listed(root, f"{tenant}/jobs/")
        places = backend.job_places(tenant)  # after the listing: a job that is not there has no row yet, or never will
        for job, names in listed.items():
            state, prefix = places.get(job, ("", None))
            unknown = job not in places and time.time() - _made(job) > grace
            removed += _removed(root, names, f"{tenant}/jobs/{job}", state, prefix, everything=unknown)
    return removed


def tidy(backend: StorageBackend, root: Location, tenant: str, job: UUID) -> int:
    """Remove what a job that has ended needs no more: checkpoints, and attempts that came to nothing."""
    found = backend.get_job(tenant, job)
    folder = f"{tenant}/jobs/{job}"
    names = _listed(root, f"{folder}/").get(job, [])
    return _removed(root, names, folder, found.state, found.result["prefix"] if found.result else None)


def _removed(root: Location, names: list[str], folder: str, state: str, prefix: str | None, *, everything: bool = False) -> int:
    if not everything and state not in FINAL_STATES:
        return 0
    made = (f"{prefix}/", f"{folder}/derived/") if prefix else ()  # the result, and the formats that it was downloaded in
    kept = () if everything else (f"{folder}/input/", *made)
    gone = [name for name in names if not name.startswith(kept)] if kept else names
    for name in gone:
        crashpoint("gc.mid")
        place = root / name
        place.store.delete(place.key)
    return len(gone)


def _listed(root: Location, prefix: str) -> dict[UUID, list[str]]:
    """The objects of each job, relative to the root."""
    start, found = (root / prefix).key, dict[UUID, list[str]]()
    above = len((root / "").key)
    for listed in root.store.listed(start):
        name = listed.key[above:]
        parts = name.split("/", _PARTS)
        if len(parts) > _PARTS and (job := _id(parts[2])) is not None:
            found.setdefault(job, []).append(name)
    return found


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _made(job: UUID) -> float:
    """When an id was made: version 7 begins with it."""
    return (job.int >> 80) / 1000
