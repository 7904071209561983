"""Taking changes back: a new job whose result is the old one without them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from data_sanitizer import run_folder
from data_sanitizer.api.access import Caller, Found, needs
from data_sanitizer.api.downloads import file_of, finished
from data_sanitizer.api.jobs import status_of
from data_sanitizer.api.schemas import JobStatus, Undo
from data_sanitizer.api.service import Service
from data_sanitizer.pipeline.undo_run import undo_run
from data_sanitizer.storage_backend import Job, new_id
from data_sanitizer.stores._parts import of_file

router = APIRouter(tags=["results"])
_PIECE = 4 << 20


@router.post("/jobs/{job_id}/undo", response_model=JobStatus, status_code=201)
def undo(
    request: Request, response: Response, job_id: UUID, choice: Undo, found: Found, caller: Annotated[Caller, needs("jobs:write")]
) -> Any:
    """Take changes back: those that fit every filter. Gives a new job, done already; the old one stays as it is."""
    job, new = finished(found, caller, job_id, request), new_id()
    with found.heavy, _run_of(found, job) as run, tempfile.TemporaryDirectory(prefix="data-sanitizer-api-") as scratch:
        output = Path(scratch) / "run"
        undo_run(run, output, **choice.model_dump())
        result = _published(found, caller.tenant, new, output)
    told = {**job.options, "undo_of": str(job_id)}
    found.storage.create_job(
        caller.tenant, job_id=new, source=job.source, options=told, dataset_id=job.dataset_id, lane=job.lane, state="success",
        result=result, input_bytes=0,
    )  # fmt: skip
    found.storage.insert_audit_log(caller.tenant, caller.actor, "job.undone", str(job_id), {"new": str(new)})
    response.headers["Location"] = f"/api/v1/jobs/{new}"
    return status_of(found.storage.get_job(caller.tenant, new))


@contextmanager
def _run_of(found: Service, job: Job) -> Iterator[Path]:
    """The run of a job as a folder: where it is one already, that; else a copy."""
    first, _ = file_of(found, job, run_folder.MANIFEST)
    if first.scheme == "file":
        yield (Path("/") / first.key).parent
        return
    with tempfile.TemporaryDirectory(prefix="data-sanitizer-api-") as folder:
        for name in (job.result or {})["files"]:
            place, _ = file_of(found, job, name)
            there = place.store.find(place.key)
            with (Path(folder) / name).open("wb") as file:
                for start in range(0, there.size, _PIECE):
                    file.write(place.store.read(there, start, min(_PIECE, there.size - start)))
        yield Path(folder)


def _published(found: Service, tenant: str, job: UUID, run: Path) -> dict[str, Any]:
    """Store the files of a run below the new job, the manifest last; gives what its row says of them."""
    prefix, manifest = f"{tenant}/jobs/{job}/attempt-1", run_folder.read_manifest(run)
    paths = sorted((p for p in run.iterdir() if p.is_file()), key=lambda p: (p.name == run_folder.MANIFEST, p.name))
    for path in paths:
        place = found.root / f"{prefix}/{path.name}"
        place.store.write(place.key, of_file(path))
    files = {p.name: {"bytes": p.stat().st_size, "sha256": run_folder.sha256(p)} for p in paths}
    return {"prefix": prefix, "manifest_sha256": files[run_folder.MANIFEST]["sha256"], "rows": manifest["rows"], "files": files}
