"""The web application of the service: `uvicorn data_sanitizer.api_server:app`, or `data-sanitizer serve` for everything at once.

Nothing is read or connected when this is imported; that happens when the application starts.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from data_sanitizer import bootstrap, logs
from data_sanitizer.api import (
    audit,
    datasets,
    documentation,
    downloads,
    gate,
    ingest,
    jobs,
    problems,
    records,
    reports,
    state,
    undoing,
    webhooks,
)
from data_sanitizer.api.access import known_parameters
from data_sanitizer.api.schemas import Problem
from data_sanitizer.api.service import Service
from data_sanitizer.errors import DataSanitizerError
from data_sanitizer.settings import ApiSettings, ServiceSettings, StorageSettings

_THREADS: Final = 64  # requests that wait for the database or the store at a time, in one process
_REFUSALS: Final = (400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503)


def from_environment() -> Service:
    """The service that the settings describe."""
    settings = ServiceSettings.from_environment()
    stored = StorageSettings.from_environment()
    storage, queue = bootstrap.storage_backend(stored), bootstrap.queue(settings, stored)
    return Service.started(storage, bootstrap.object_store(settings), ApiSettings.from_environment(), queue)


def create_app(make: Callable[[], Service] = from_environment) -> FastAPI:
    """The application; `make` gives its parts when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        logs.set_up()
        logging.getLogger("uvicorn.error").addFilter(gate.without_traceback)
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        app.state.service = await anyio.to_thread.run_sync(make)
        relay = webhooks.Relay(app.state.service)
        relay.start()
        yield
        await anyio.to_thread.run_sync(relay.close)
        await anyio.to_thread.run_sync(app.state.service.close)

    app = FastAPI(title="Data Sanitizer", version="1", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None,
                  redirect_slashes=False, description=documentation.ABOUT)  # fmt: skip
    app.include_router(_routes(), prefix="/api/v1")
    app.include_router(documentation.router, prefix="/api", include_in_schema=False)
    app.add_middleware(gate.Gate)
    app.add_exception_handler(DataSanitizerError, gate.ours)
    app.add_exception_handler(HTTPException, gate.of_framework)
    app.add_exception_handler(RequestValidationError, gate.not_valid)
    return app


def _routes() -> APIRouter:
    found = APIRouter(dependencies=[Depends(known_parameters)], responses=_refusals())
    for module in (ingest, jobs, datasets, reports, downloads, records, audit, undoing, webhooks, state):
        found.include_router(module.router)
    return found


def _refusals() -> dict[int | str, dict[str, Any]]:
    """How the documentation tells of refusals: the same for all routes."""
    titles = {status: [p.title for p in problems.PROBLEMS.values() if p.status == status] for status in _REFUSALS}
    kind = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert Problem.__name__ == "Problem"  # the name that the reference above means
    return {status: {"description": "; ".join(told) or "Not possible", "content": kind} for status, told in titles.items()}


app = create_app()
