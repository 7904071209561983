"""The cleaned table and the other files of a run, by ranges; in another format where the run has another."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as InPath
from fastapi.responses import Response, StreamingResponse

from data_sanitizer.api.access import Caller, Found, needs
from data_sanitizer.api.jobs import job_of
from data_sanitizer.api.problems import refused
from data_sanitizer.api.service import Service
from data_sanitizer.errors import InputNotFound, LimitExceeded
from data_sanitizer.model import StoredObject
from data_sanitizer.pipeline.exports import export
from data_sanitizer.storage_backend import Job
from data_sanitizer.stores import Location
from data_sanitizer.stores._parts import of_file

router = APIRouter(tags=["results"])
_PIECE: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_KINDS: Final = {
    "parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "json": "application/json", "html": "text/html",
}  # fmt: skip
_BINARY: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file.", "content": {kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
                                                  for kind in _KINDS.values()}},
    206: {"description": "A range of it."},
    307: {"description": "It is to be fetched from the object store, without the key."},
    304: {"description": "It has not changed."}, 416: {"description": "No such range."},
}  # fmt: skip
FILES: Final = ("ledger.parquet", "duplicates.parquet", "matches.parquet", "removed.parquet", "quarantine.parquet", "profile.json",
                "manifest.json")  # fmt: skip
Reader = Annotated[Caller, needs("reports:read")]
Range = Annotated[str | None, Header(alias="Range", max_length=200_000)]
IfRange = Annotated[str | None, Header(alias="If-Range", max_length=200)]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", max_length=1000)]


@dataclass(frozen=True, slots=True)
class Served:
    """An object that is given out: its bytes never change under this tag."""

    place: Location
    tag: str
    name: str
    kind: str
    headers: Mapping[str, str]


def finished(found: Service, caller: Caller, job_id: UUID, request: Request | None = None) -> Job:
    """A job with a result; raises not-found, not-finished, no-result."""
    job = job_of(found, caller, job_id, request)
    if job.state in ("failed", "dead", "cancelled"):
        raise refused("no-result", state="failed" if job.state == "dead" else job.state)
    if job.state != "success" or not job.result:
        raise refused("not-finished", state="running" if job.state == "running" else "queued", headers={"Retry-After": "2"})
    return job


def file_of(found: Service, job: Job, name: str) -> tuple[Location, str]:
    """Where a file of a run is, and its digest: only what the row of the job names is ever looked at."""
    told = (job.result or {}).get("files", {}).get(name)
    if told is None:
        raise refused("not-found")
    return found.root / f"{(job.result or {})['prefix']}/{name}", str(told["sha256"])


@router.get("/jobs/{job_id}/download", responses=_BINARY, response_class=StreamingResponse)
def download(
    request: Request, job_id: UUID, found: Found, caller: Reader,
    format: Annotated[Literal["parquet", "csv", "jsonl", "xlsx"] | None, Query()] = None,  # noqa: A002
    formula_guard: Annotated[Literal["on", "off"], Query(description="For CSV: a ' before what a spreadsheet takes for a formula.")] = "on",
    range_: Range = None, if_range: IfRange = None, if_none_match: IfNoneMatch = None,
) -> Response:  # fmt: skip
    """The cleaned table. `X-Guarded-Cells` says how many cells the formula guard has changed."""
    job = finished(found, caller, job_id, request)
    own = str(job.options.get("output_format", "parquet"))
    wanted, guard = format or own, formula_guard == "on" and (format or own) == "csv"
    if wanted == own and not guard:
        place, sha256 = file_of(found, job, f"cleaned.{own}")
        served = Served(place, f'"{sha256}"', f"{_stem(job)}.{own}", _KINDS[own], {})
    else:
        with found.heavy:
            place, count = _converted(found, job, own, wanted, guard)
        tag = f'"{job.manifest_sha256}-{wanted}{"-guarded" if guard else ""}"'
        served = Served(place, tag, f"{_stem(job)}.{wanted}", _KINDS[wanted], {"X-Guarded-Cells": str(count)} if guard else {})
    return _redirected(served, found.settings.redirect_downloads, if_none_match) or given(served, range_, if_range, if_none_match)


@router.get("/jobs/{job_id}/files/{name}", responses=_BINARY, response_class=StreamingResponse)
def file(
    request: Request, job_id: UUID, name: Annotated[Literal[FILES], InPath()], found: Found, caller: Reader,  # type: ignore[valid-type]
    range_: Range = None, if_range: IfRange = None, if_none_match: IfNoneMatch = None,
) -> Response:  # fmt: skip
    """A file of the run directory as it was written: the ledger, the duplicates, the manifest, ….

    Cells that a recipe masked stand in none of them; `ledger`, `removed` and `quarantine` hold others as they were read.
    """
    caller.must_have("personal:read")
    place, sha256 = file_of(found, finished(found, caller, job_id, request), str(name))
    return given(Served(place, f'"{sha256}"', str(name), _KINDS[str(name).rpartition(".")[2]], {}), range_, if_range, if_none_match)


def _converted(found: Service, job: Job, own: str, wanted: str, guard: bool) -> tuple[Location, int]:
    """The table in another format: made once, kept beside the result; its name is the count of guarded cells."""
    kind = f"{wanted}-guarded" if guard else wanted
    folder = found.root / f"{job.tenant_id}/jobs/{job.id}/derived/{job.manifest_sha256}/{kind}" / ""
    there = next(iter(folder.store.listed(folder.key)), None)
    return (folder.at(there.key), int(Path(there.key).stem)) if there else _convert(found, job, own, wanted, guard, folder)


def _convert(found: Service, job: Job, own: str, wanted: str, guard: bool, folder: Location) -> tuple[Location, int]:
    place, sha256 = file_of(found, job, f"cleaned.{own}")
    with found.cache.file(place, sha256) as source, tempfile.TemporaryDirectory(prefix="data-sanitizer-api-") as scratch:
        target = Path(scratch) / f"cleaned.{wanted}"
        try:
            count = export(source, target, wanted, guard=guard)
        except LimitExceeded as error:
            what = (
                f"{error.facts['found']}, and {error.facts['limit']} are at most {error.facts['most']}. Take another format.".capitalize()
            )
            raise refused("too-large-for-format", what=what) from error
        made = folder / f"{count}.{wanted}"
        made.store.write(made.key, of_file(target))
    return made, count


def _stem(job: Job) -> str:
    names = [str(told["name"]) for told in job.source.get("objects", [])]
    return f"{Path(names[0]).name.split('.')[0] or 'table'}-cleaned" if len(names) == 1 else "cleaned"


def given(served: Served, range_: str | None, if_range: str | None, if_none_match: str | None) -> Response:
    """The answer with a file, a range of it, or nothing new."""
    headers = {"ETag": served.tag, "Accept-Ranges": "bytes", "Content-Disposition": _disposition(served.name),
               "Cache-Control": "private, no-cache", "Content-Security-Policy": "sandbox; default-src 'none'",
               **served.headers}  # fmt: skip
    if if_none_match and served.tag in {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}:
        return Response(status_code=304, headers=headers)
    try:
        there = served.place.store.find(served.place.key)
    except InputNotFound as error:
        raise refused("not-found") from error
    asked = range_ if range_ and if_range in (None, served.tag) else None
    start, stop = _cut(asked, there.size)
    part = (start, stop) != (0, there.size)
    headers |= {"Content-Length": str(stop - start)} | ({"Content-Range": f"bytes {start}-{stop - 1}/{there.size}"} if part else {})
    return StreamingResponse(_pieces(served.place, there, start, stop), 206 if part else 200, headers, served.kind)


def _redirected(served: Served, seconds: int, if_none_match: str | None) -> Response | None:
    """An answer that sends the caller to the object store; None where that is not wanted, or the store has no such addresses."""
    signed = getattr(served.place.store, "signed", None)
    if not seconds or signed is None or if_none_match:
        return None
    place = signed(served.place.key, seconds, _disposition(served.name), served.kind)
    return Response(status_code=307, headers={**served.headers, "Location": place, "Cache-Control": "no-store"}) if place else None


def _cut(asked: str | None, size: int) -> tuple[int, int]:
    """The bytes of one range; all of them where none is asked for, or several, or something that is none."""
    match = _RANGE.fullmatch(asked or "")
    if match is None or match.groups() == ("", ""):
        return 0, size
    first, last = match.groups()
    start, stop = (int(first), min(int(last) + 1 if last else size, size)) if first else (max(0, size - int(last)), size)
    if first and last and int(last) < int(first):
        return 0, size
    if start >= size or start >= stop:
        raise refused("range-not-satisfiable", size=size, headers={"Content-Range": f"bytes */{size}"})
    return start, stop


def _pieces(place: Location, there: StoredObject, start: int, stop: int) -> Iterator[bytes]:
    for at in range(start, stop, _PIECE):
        yield place.store.read(there, at, min(_PIECE, stop - at))


def _disposition(name: str) -> str:
    """As RFC 6266 wants it: a name of plain letters, and the real one encoded.

    >>> _disposition('ü".csv')
    'attachment; filename="__.csv"; filename*=UTF-8\\'\\'%C3%BC%22.csv'
    """
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
