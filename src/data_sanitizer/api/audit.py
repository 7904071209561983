"""The audit log of the tenant, as far as it tells of a job: read by pages, added to, never changed."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from data_sanitizer.api import _cursors
from data_sanitizer.api.access import Caller, Found, needs
from data_sanitizer.api.jobs import job_of
from data_sanitizer.api.schemas import AuditHead, AuditPage, NewEntry

router = APIRouter(tags=["audit"])


@router.get("/jobs/{job_id}/audit-log", response_model=AuditPage)
def audit_log(
    request: Request, job_id: UUID, found: Found, caller: Annotated[Caller, needs("audit:read")],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100, cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Any:  # fmt: skip
    """What was done with a job, by whom: entries of the tenant's chain. No cell is ever in them."""
    job_of(found, caller, job_id, request)
    after = _cursors.read(cursor, int, "audit", str(job_id)) or 0
    page = found.storage.audit_page(caller.tenant, subject=str(job_id), after=after, limit=limit + 1)
    entries = [{**entry, "detail": json.loads(entry["detail"]), "hash": entry["hash"].hex()} for entry in page[:limit]]
    next_ = _cursors.made(entries[-1]["seq"], "audit", str(job_id)) if len(page) > limit else None
    return {"entries": entries, "next": next_}


@router.post("/jobs/{job_id}/audit-log", response_model=AuditHead, status_code=201)
def note(request: Request, job_id: UUID, entry: NewEntry, found: Found, caller: Annotated[Caller, needs("audit:write")]) -> Any:
    """Add an entry about a job, as that somebody has checked its result."""
    job_of(found, caller, job_id, request)
    head = found.storage.insert_audit_log(caller.tenant, caller.actor, f"note.{entry.action}", str(job_id), entry.detail)
    return {"seq": head.seq, "hash": head.hash}
