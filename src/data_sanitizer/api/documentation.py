"""The documentation of the API: its OpenAPI description, and a page made of it that needs no script."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse

from data_sanitizer.api.problems import PROBLEMS, refused
from data_sanitizer.api.schemas import Problem

ABOUT: Final = (
    "Clean tables, look at what was done, take it back. Every request carries `X-API-Key: TENANT:KEY`; every answer that is no success is "
    "`application/problem+json` with a `code`."
)
router = APIRouter()
_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><h1>{title}</h1><p>{about}</p>{parts}</html>"""


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description of the application."""
    if app.openapi_schema is None:
        told = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        told["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            told["components"]["schemas"].pop(name, None)
        app.openapi_schema = told
    return app.openapi_schema


@router.get("/openapi.json")
def openapi(request: Request) -> JSONResponse:
    """The description for machines."""
    _allowed(request)
    return JSONResponse(described(request.app))


@router.get("/docs")
def page(request: Request) -> HTMLResponse:
    """The description for people."""
    _allowed(request)
    told = described(request.app)
    parts = [_operation(path, method, facts) for path, methods in told["paths"].items() for method, facts in methods.items()]
    codes = "".join(f"<tr><td>{c}<td>{p.status}<td>{escape(p.title)}<td>{escape(p.detail)}" for c, p in PROBLEMS.items())
    table = f"<h2>Refusals</h2><table><tr><th>code<th>status<th>title<th>what helps{codes}</table>"
    return HTMLResponse(_PAGE.format(title=escape(told["info"]["title"]), about=escape(ABOUT), parts="".join(parts) + table))


def _allowed(request: Request) -> None:
    if not request.app.state.service.settings.docs:
        raise refused("not-found")


def _operation(path: str, method: str, facts: dict[str, Any]) -> str:
    """One operation as a part of the page."""
    rows = "".join(
        f"<li><code>{escape(p['name'])}</code> ({p['in']}) {escape(p.get('description', ''))}" for p in facts.get("parameters", [])
    )
    return f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(facts.get('description', ''))}</p>" + (f"<ul>{rows}</ul>" if rows else "")
