"""The report of a run: as JSON, or as the page that works offline."""

from __future__ import annotations

import json
from html import escape
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from data_sanitizer.api.access import Found
from data_sanitizer.api.downloads import Reader, file_of, finished
from data_sanitizer.stores import Location

router = APIRouter(tags=["results"])
_OURS = ("output", "commands")  # what tells of places on the machine of the service
_PAGE = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_KINDS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


@router.get("/jobs/{job_id}/report", responses=_KINDS, response_model=dict[str, Any])
def report(
    request: Request, job_id: UUID, found: Found, caller: Reader, format: Annotated[Literal["json", "html"], Query()] = "json",  # noqa: A002
) -> Response:  # fmt: skip
    """What was found and done, with the score before and after."""
    job = finished(found, caller, job_id, request)
    place, sha256 = file_of(found, job, f"report.{format}")
    headers = {"ETag": f'"{sha256}"', "Cache-Control": "private, no-cache"}
    told = json.loads(whole(file_of(found, job, "report.json")[0]))
    if format == "json":
        return JSONResponse({name: value for name, value in told.items() if name not in _OURS}, headers=headers)
    page = whole(place).decode("utf-8")
    for ours in (str(told["output"]), escape(str(told["output"]))):  # the commands in it shall name a folder of the reader's
        page = page.replace(ours, f"run-{job_id}") if ours else page
    more = {"Content-Security-Policy": _PAGE, "Content-Disposition": "inline; filename=report.html"}
    return Response(page, headers={**headers, **more}, media_type="text/html; charset=utf-8")


def whole(place: Location) -> bytes:
    """The bytes of a small object."""
    there = place.store.find(place.key)
    return place.store.read(there, 0, there.size)
