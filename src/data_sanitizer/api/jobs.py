"""Jobs: their list, how far they are, events as they happen, cancelling, deleting."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from data_sanitizer import retention
from data_sanitizer.api import _cursors
from data_sanitizer.api.access import Caller, Found, needs
from data_sanitizer.api.problems import refused
from data_sanitizer.api.schemas import JobPage, JobStatus
from data_sanitizer.api.service import Service
from data_sanitizer.errors import NotStored
from data_sanitizer.storage_backend import Job

router = APIRouter(tags=["jobs"])
_STATES: Final = {"queued": ("accepted", "queued"), "running": ("running",), "success": ("success",), "failed": ("failed", "dead"),
                  "cancelled": ("cancelled",)}  # fmt: skip
_SHOWN: Final = {state: status for status, states in _STATES.items() for state in states}
_ENDS: Final = ("success", "failed", "cancelled")
_LOOK: Final = 0.5  # seconds between two looks at a job that somebody waits for
_PING: Final = 15.0
_LONGEST: Final = 3600.0  # seconds that a stream of events lasts; the client comes back by itself
Reader = Annotated[Caller, needs("jobs:read")]
Writer = Annotated[Caller, needs("jobs:write")]


def job_of(found: Service, caller: Caller, job_id: UUID, request: Request | None = None) -> Job:
    """A job of the caller's tenant; raises not-found, for another tenant's as well."""
    try:
        job = found.storage.get_job(caller.tenant, job_id)
    except NotStored as error:
        if request is not None:
            request.scope["state"]["security"] = "not_found"
        raise refused("not-found") from error
    return job


def status_of(job: Job) -> JobStatus:
    """A job as its tenant sees it: no places, no other names than those that the tenant gave."""
    keys = ("stage", "rows_done", "rows", "rows_per_second", "seconds_left", "percent")
    inputs = [{name: told[name] for name in ("name", "bytes", "sha256")} for told in job.source.get("objects", [])]
    error = {k: v for k, v in (job.error or {}).items() if k in ("code", "title", "retryable")} or None
    return JobStatus.model_validate({
        "id": job.id, "status": _SHOWN[job.state], "progress": {k: job.progress[k] for k in keys if k in job.progress}, "error": error,
        "degraded": list(job.degraded), "inputs": inputs, "output_format": job.options.get("output_format", "parquet"),
        "dataset_name": job.options.get("dataset_name"), "dataset": job.options.get("dataset"),
        "delivery": (job.result or {}).get("delivery"), "attempt": job.attempt, "cancel_requested": job.cancel_requested,
        "rows": (job.result or {}).get("rows"), "manifest_sha256": job.manifest_sha256, "created_at": job.created_at,
        "finished_at": job.finished_at,
    })  # fmt: skip


@router.get("/jobs", response_model=JobPage)
def jobs(
    found: Found, caller: Reader, response: Response,
    status: Annotated[Literal["queued", "running", "success", "failed", "cancelled"] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> JobPage:  # fmt: skip
    """The jobs of the tenant, the newest first."""
    before = _cursors.read(cursor, str, "jobs", status)
    page = found.storage.list_jobs(caller.tenant, states=_STATES[status] if status else (), before=_uuid(before), limit=limit + 1)
    next_ = _cursors.made(str(page[limit - 1].id), "jobs", status) if len(page) > limit else None
    if next_:
        response.headers["Link"] = f'</api/v1/jobs?cursor={next_}&limit={limit}{f"&status={status}" if status else ""}>; rel="next"'
    return JobPage(jobs=[status_of(job) for job in page[:limit]], next=next_)


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise refused("bad-cursor") from error


@router.get("/jobs/{job_id}", response_model=JobStatus)
@router.get("/jobs/{job_id}/status", response_model=JobStatus)
async def job(
    request: Request, response: Response, job_id: UUID, found: Found, caller: Reader,
    wait: Annotated[int, Query(ge=0, le=60, description="Seconds to wait for a change.")] = 0,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Any:  # fmt: skip
    """How far a job is. With `wait` the answer comes when something has changed since `If-None-Match`, or the time is over."""
    until, told = time.monotonic() + wait, await _status(found, caller, job_id, request)
    first = if_none_match or _tag(told)
    while _tag(told) == first and told.status not in _ENDS and time.monotonic() < until:
        await asyncio.sleep(min(_LOOK, max(0.0, until - time.monotonic())))
        told = await _status(found, caller, job_id, request)
    headers = {"ETag": _tag(told)} | ({} if told.status in _ENDS else {"Retry-After": "1"})
    if if_none_match == _tag(told):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return told


async def _status(found: Service, caller: Caller, job_id: UUID, request: Request | None = None) -> JobStatus:
    return status_of(await anyio.to_thread.run_sync(job_of, found, caller, job_id, request))


def _tag(told: JobStatus) -> str:
    return f'"{hashlib.sha256(told.model_dump_json().encode()).hexdigest()[:32]}"'


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse,
            responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}})  # fmt: skip
async def events(request: Request, job_id: UUID, found: Found, caller: Reader,
                 last_event_id: Annotated[str | None, Header()] = None) -> StreamingResponse:  # fmt: skip
    """What happens to a job, as server-sent events: `status` at each change, the last one at its end."""
    first = await _status(found, caller, job_id, request)
    stream = _events(found, caller, job_id, first, last_event_id)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(found: Service, caller: Caller, job_id: UUID, told: JobStatus, last: str | None) -> AsyncIterator[str]:
    """An event's id names what it tells: a client that comes back with the id of the present state is told nothing twice."""
    start = heard = time.monotonic()
    yield "retry: 2000\n\n"
    while time.monotonic() - start < _LONGEST:
        number = _tag(told).strip('"')
        if number != last:
            yield f"id: {number}\nevent: status\ndata: {json.dumps(told.model_dump(mode='json'), ensure_ascii=False)}\n\n"
            last, heard = number, time.monotonic()
        if told.status in _ENDS:
            return
        if time.monotonic() - heard > _PING:
            yield ": still here\n\n"
            heard = time.monotonic()
        await asyncio.sleep(_LOOK)
        try:
            told = await _status(found, caller, job_id)
        except Exception:
            yield "event: gone\ndata: {}\n\n"
            raise


@router.post("/jobs/{job_id}/cancel", response_model=JobStatus, status_code=202)
def cancel(request: Request, job_id: UUID, found: Found, caller: Writer) -> JobStatus:
    """Ask that a job be cancelled; a running one ends within seconds. Asking again changes nothing."""
    job_of(found, caller, job_id, request)
    state = found.storage.request_cancel(caller.tenant, job_id, actor=caller.actor)
    if state in ("success", "failed", "dead"):
        raise refused("ended", state=_SHOWN[state])
    found.storage.insert_audit_log(caller.tenant, caller.actor, "job.cancel", str(job_id))
    return status_of(job_of(found, caller, job_id))


@router.delete("/jobs/{job_id}", status_code=204, response_class=Response)
def delete(request: Request, job_id: UUID, found: Found, caller: Writer) -> Response:
    """Delete a job that is at its end: its input, its result and what was kept about it. The audit log stays."""
    job_of(found, caller, job_id, request)
    if not found.storage.delete_job(caller.tenant, job_id):
        raise refused("still-running")
    found.storage.insert_audit_log(caller.tenant, caller.actor, "job.deleted", str(job_id))
    retention.clear(found.root, f"{caller.tenant}/jobs/{job_id}/")
    return Response(status_code=204)
