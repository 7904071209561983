"""Taking in a table: as a form, as a raw body, or from an allowed bucket; 202 means that it is stored and its job is queued."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import ValidationError

from data_sanitizer.api import sources, uploads
from data_sanitizer.api.access import Caller, Found, needs
from data_sanitizer.api.problems import faulty, refused
from data_sanitizer.api.schemas import Accepted, IngestFromSource, IngestOptions
from data_sanitizer.api.service import Service
from data_sanitizer.errors import DataSanitizerError, RecipeError
from data_sanitizer.recipe import RECIPES, load_recipe
from data_sanitizer.storage_backend import new_id

router = APIRouter(tags=["jobs"])
M = TypeVar("M", bound=IngestOptions)
_ALIVE: Final = 20.0  # seconds between two signs of life of an upload
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object", "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "dataset_name": {"type": "string"},
                        "dataset": {"type": "string"},
                        "options": {"type": "string", "description": "The other options, as JSON."},
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": IngestFromSource.model_json_schema(ref_template="#/components/schemas/{model}")},
        },
    }
}  # fmt: skip


@router.post("/datasets/{tenant_id}/ingest", status_code=202, response_model=Accepted, openapi_extra=_BODY)
async def ingest(
    request: Request, response: Response, tenant_id: str, found: Found, caller: Annotated[Caller, needs("jobs:write")],
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255, pattern=r"^[!-~]+$")] = None,
    options: Annotated[str | None, Query(max_length=uploads.FIELD, description="For a raw body: the options, as JSON.")] = None,
    filename: Annotated[str | None, Query(max_length=1000, description="For a raw body: the name of the file.")] = None,
) -> Accepted:  # fmt: skip
    """Store a table and queue its cleaning. The same `Idempotency-Key` with the same table gives the same job."""
    if tenant_id != caller.tenant:
        raise refused("not-found")
    await anyio.to_thread.run_sync(_room, found, caller)
    taking = _Taking(request, found, caller, idempotency_key, options)
    job = await taking.run()
    response.headers["Location"] = f"/api/v1/jobs/{job}"
    return Accepted(job_id=job, status="queued")


def _room(found: Service, caller: Caller) -> None:
    """Raise too-many-jobs and quota-exceeded."""
    used, settings = found.storage.usage(caller.tenant), found.settings
    if used.open_jobs >= settings.tenant_open_jobs:
        raise refused("too-many-jobs", limit=settings.tenant_open_jobs, headers={"Retry-After": "30"})
    if used.input_bytes >= settings.tenant_bytes:
        raise refused("quota-exceeded", limit=settings.tenant_bytes)


class _Taking:
    """One table being taken in."""

    def __init__(self, request: Request, found: Service, caller: Caller, key: str | None, options: str | None) -> None:
        self._request, self._found, self._caller, self._key, self._options = request, found, caller, key, options
        self._job = new_id()
        self._first: UUID | None = None  # the job that has the idempotency key already

    async def run(self) -> UUID:
        """The id of the job."""
        if self._key:
            await anyio.to_thread.run_sync(self._reserve)
        beat = asyncio.create_task(self._beat()) if self._key and not self._first else None
        try:
            upload, options = await self._received()
            return await anyio.to_thread.run_sync(self._submit, upload, options)
        except BaseException:
            if self._key and not self._first:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._found.storage.abandon_job, self._caller.tenant, self._job)
            raise
        finally:
            if beat:
                beat.cancel()

    def _reserve(self) -> None:
        taken = self._found.storage.reserve_job(self._caller.tenant, self._job, str(self._key))
        if not taken.mine and taken.state == "accepted":
            raise refused("in-flight", headers={"Retry-After": "2"})
        self._first = None if taken.mine else taken.job

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_ALIVE)
            with suppress(DataSanitizerError):
                await anyio.to_thread.run_sync(self._found.storage.keep_reservation, self._caller.tenant, self._job)

    async def _received(self) -> tuple[uploads.Upload, IngestOptions]:
        folder, kind = f"{self._caller.tenant}/jobs/{self._job}/input", self._request.headers.get("content-type", "").partition(";")[0]
        if kind.strip().lower() == "application/json" and not self._options:
            asked = _checked(IngestFromSource, await self._whole())
            _usable(asked)
            return await anyio.to_thread.run_sync(sources.copied, asked.source_url, self._found, self._caller.tenant, folder), asked
        early = _parsed(self._options or "{}", {})
        _usable(early)
        upload = await uploads.receive(self._request, self._found.settings, self._found.root, folder)
        try:
            options = early if not upload.fields else _parsed(upload.fields.pop("options", "{}"), upload.fields)
            _usable(options)
            if not upload.files:
                raise refused("bad-body", what="The form has no part named `file`.")
        except BaseException:
            await anyio.to_thread.run_sync(uploads.drop, self._found.root, upload)
            raise
        return upload, options

    async def _whole(self) -> bytes:
        data = bytearray()
        async for piece in uploads.body(self._request, self._found.settings):
            data += piece
            if len(data) > uploads.FIELD:
                raise refused("payload-too-large", limit=uploads.FIELD)
        return bytes(data)

    def _submit(self, upload: uploads.Upload, options: IngestOptions) -> UUID:
        """Make the row of the job; where the same request was made before, its job, and what came again is dropped."""
        found, tenant, values = self._found, self._caller.tenant, _values(upload, options, self._found.settings.large_bytes)
        print_ = _fingerprint(upload, options)
        if self._first:
            uploads.drop(found.root, upload)
            found.storage.check_same_request(tenant, self._first, print_, str(self._key))
            return self._first
        try:
            values["dataset_id"] = found.storage.create_dataset(tenant, options.dataset) if options.dataset else None
            if not self._key:
                found.storage.create_job(tenant, job_id=self._job, request_fingerprint=print_, **values)
            elif not found.storage.submit_job(tenant, self._job, request_fingerprint=print_, **values):
                raise refused("in-flight", headers={"Retry-After": "2"})
        except BaseException:
            uploads.drop(found.root, upload)
            raise
        found.storage.insert_audit_log(tenant, self._caller.actor, "job.accepted", str(self._job), event_id=self._job)
        found.wake()
        return self._job


def _values(upload: uploads.Upload, options: IngestOptions, large: int) -> dict[str, Any]:
    """The fields of the job's row, as the workers read them."""
    size = sum(file.bytes for file in upload.files)
    told = {"recipe": options.recipe or "careful", "output_format": options.output_format, "dataset": options.dataset,
            "accept_changes": options.accept_changes,
            "reading": options.reading.model_dump(exclude_none=True), "dataset_name": options.dataset_name}  # fmt: skip
    return {"source": {"objects": [asdict(file) for file in upload.files]}, "options": told, "priority": options.priority,
            "lane": "large" if size >= large else "small", "input_bytes": size}  # fmt: skip


def _fingerprint(upload: uploads.Upload, options: IngestOptions) -> str:
    told = [[(file.name, file.sha256) for file in upload.files], options.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _parsed(text: str, fields: Mapping[str, str]) -> IngestOptions:
    """The options of a JSON text and of single fields of a form; each may be given once. Raises RequestValidationError."""
    try:
        told = json.loads(text, parse_constant=lambda name: _no_number(name))
    except (ValueError, RecursionError) as error:
        raise refused("bad-body", what="`options` is no valid JSON.") from error
    if not isinstance(told, dict):
        raise refused("bad-body", what="`options` is a JSON object.")
    if both := sorted(set(told) & set(fields)):
        raise refused("bad-body", what=f"{', '.join(both)} is given twice.")
    return _checked(IngestOptions, json.dumps({**told, **fields}).encode())


def _checked(kind: type[M], text: bytes) -> M:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        reason, told = faulty([{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()])
        raise refused(reason, errors=told, what="It is no valid JSON.") from error


def _no_number(name: str) -> None:
    raise ValueError(name)


def _usable(options: IngestOptions) -> None:
    """Raise where the options ask for what is not to be had: an unknown recipe, a file of the server."""
    if options.accept_changes and options.dataset is None:
        raise refused("not-supported", what="`accept_changes` is for deliveries: name their `dataset`, or leave it out.")
    recipe = options.recipe or "careful"
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise RecipeError(recipe=recipe[:100], why="it is not known here", kind="recipes", known=", ".join(RECIPES))
        return
    if not isinstance(recipe.get("extends", "careful"), str) or recipe.get("extends", "careful") not in RECIPES:
        raise RecipeError(recipe="of the request", why="`extends` names no recipe", kind="recipes", known=", ".join(RECIPES))
    if _names_a_file(recipe):
        raise refused("not-supported", what="A recipe names no files of the server: leave `key_file` out.")
    try:
        load_recipe(recipe)
    except (TypeError, ValueError, AttributeError, KeyError, StopIteration) as error:
        known = "extends, steps, duplicates, seed"
        raise RecipeError(recipe="of the request", why="it does not have the form of a recipe", kind="keys", known=known) from error


def _names_a_file(told: Any) -> bool:
    if isinstance(told, dict):
        return any(str(name).endswith("_file") or _names_a_file(value) for name, value in told.items())
    return isinstance(told, list) and any(map(_names_a_file, told))
