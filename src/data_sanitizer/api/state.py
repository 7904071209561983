"""How the service does: whether it can work, its figures, what a tenant uses."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from data_sanitizer import logs, metrics
from data_sanitizer.api.access import Caller, Found, needs
from data_sanitizer.api.problems import refused
from data_sanitizer.api.schemas import Health, Usage
from data_sanitizer.api.service import Service
from data_sanitizer.errors import DataSanitizerError

router = APIRouter(tags=["service"])
_NEEDED = ("database", "objects")


@router.get("/health", response_model=Health, responses={503: {"model": Health}})
@router.get("/health/ready", response_model=Health, responses={503: {"model": Health}})
def ready(found: Found, response: Response) -> Any:
    """Whether the service can take and give: 503 where it cannot; a part it can do without is only named."""
    broken = [name for name, look in _parts(found) if not _works(name, look)]
    away = any(name in _NEEDED for name in broken)
    response.status_code = 503 if away else 200
    return {"status": "unavailable" if away else "degraded" if broken else "ok", "degraded": broken}


@router.get("/health/live", response_model=Health)
async def live() -> Any:
    """Whether the process answers."""
    return {"status": "ok", "degraded": []}


def _parts(found: Service) -> list[tuple[str, Any]]:
    return [*found.storage.parts().items(), ("objects", lambda: next(iter(found.root.store.listed((found.root / ".ready").key)), None))]


def _works(name: str, look: Any) -> bool:
    try:
        look()
    except DataSanitizerError as error:
        logs.tell("part.unavailable", logging.ERROR, part=name, error=error.code, why=str(error))
        return False
    return True


@router.get("/metrics", response_class=PlainTextResponse)
def figures(found: Found, caller: Annotated[Caller, needs("metrics:read")]) -> PlainTextResponse:
    """Figures of all tenants for Prometheus; only a key of the operator has the scope."""
    return PlainTextResponse(metrics.exposition(found.storage), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/tenants/{tenant_id}/usage", response_model=Usage)
def usage(tenant_id: str, found: Found, caller: Annotated[Caller, needs("jobs:read")]) -> Any:
    """How many jobs the tenant has, how much it keeps, and what its limits are."""
    if tenant_id != caller.tenant:
        raise refused("not-found")
    used, settings = found.storage.usage(tenant_id), found.settings
    return {"tenant_id": tenant_id, "jobs": dict(used.jobs), "open_jobs": used.open_jobs, "open_jobs_limit": settings.tenant_open_jobs,
            "input_bytes": used.input_bytes, "input_bytes_limit": settings.tenant_bytes}  # fmt: skip
