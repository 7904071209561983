"""What every request passes: an id, a bound on its body, headers that keep browsers safe, a line in the log, and an answer to any error."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_sanitizer import logs
from data_sanitizer.api import problems
from data_sanitizer.errors import DataSanitizerError

SMALL: Final = 1 << 20  # bytes of a body that is not an upload
_PATIENCE: Final = 30.0  # seconds for all of such a body
_UPLOAD: Final = re.compile(r"/api/v1/datasets/[^/]+/ingest")
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cache-control", b"no-store"),
)


class Gate:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(scope)
        exchange = _Exchange(scope, send)
        try:
            held = receive if _UPLOAD.fullmatch(scope["path"]) else await _small(scope, receive)
            if isinstance(held, Response):
                await held(scope, receive, exchange.send)
            else:
                await self._app(scope, held, exchange.send)
        except ClientDisconnect:
            exchange.status = 499
        except Exception as error:
            logs.tell("request.broke", logging.ERROR, error=type(error).__name__, place=_place(error), **exchange.told())
            if not exchange.status:
                await problems.coded(Request(scope), "internal-error")(scope, receive, exchange.send)
            raise
        finally:
            exchange.log()


class _Exchange:
    """One request and its answer, as the log tells of them: never a query, a body, a key or a cell."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send, self._start, self.status = scope, send, time.monotonic(), 0

    async def send(self, message: Message) -> None:
        """Pass a message on, with our headers in its head."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message = {**message, "headers": self._headers(message.get("headers", []))}
        await self._send(message)

    def _headers(self, given: Any) -> list[tuple[bytes, bytes]]:
        state = self._scope["state"]
        names = {name.lower() for name, _ in given}
        more = [(b"x-request-id", state["request_id"].encode()), *((n, v) for n, v in _HEADERS if n not in names)]
        if self._scope.get("scheme") == "https":
            more.append((b"strict-transport-security", b"max-age=31536000; includeSubDomains"))
        if "rate" in state:
            most, left, wait = state["rate"]
            more += [(b"ratelimit-policy", f'"default";q={most};w=60'.encode()), (b"ratelimit", f'"default";r={left};t={wait}'.encode())]
        return [*given, *more]

    def told(self) -> dict[str, Any]:
        """What the log says of the request."""
        state, route = self._scope["state"], self._scope.get("route")
        return {"request_id": state["request_id"], "method": self._scope["method"], "status": self.status,
                "route": getattr(route, "path", ""), "tenant_id": state.get("tenant", ""),
                "seconds": round(time.monotonic() - self._start, 4)}  # fmt: skip

    def log(self) -> None:
        """The line of the request; a refused key and another tenant's address are worth a warning."""
        state = self._scope["state"]
        if "api_key" in self._scope.get("query_string", b"").decode("latin-1").lower():
            logs.tell("security.key_in_address", logging.WARNING, **self.told())  # not looked at; others have seen it
        if "security" in state:
            logs.tell(f"security.{state['security']}", logging.WARNING, **self.told())
        logs.tell("request", **self.told())


async def _small(scope: Scope, receive: Receive) -> Receive | Response:
    """The body of a request that is no upload, read to its end; an answer instead where it is too large or too slow."""
    body, until = b"", asyncio.get_running_loop().time() + _PATIENCE
    more = True
    if _announced(scope) > SMALL:
        return problems.coded(Request(scope), "payload-too-large", limit=SMALL)
    while more:
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            return problems.coded(Request(scope), "upload-too-slow", idle=_PATIENCE, rate=SMALL / _PATIENCE)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > SMALL:
            return problems.coded(Request(scope), "payload-too-large", limit=SMALL)
    return _replayed(body, receive)


def _announced(scope: Scope) -> int:
    given = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(given) if given.isdigit() else 0


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _request_id(scope: Scope) -> str:
    given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown place"


async def ours(request: Request, error: Exception) -> Response:
    """The answer to an error of the program."""
    if not isinstance(error, DataSanitizerError):
        raise error
    found = problems.answer(request, error)
    if found.status_code >= 500:
        logs.tell("request.failed", logging.ERROR, error=error.code, why=str(error), request_id=request.scope["state"]["request_id"])
    return found


async def of_framework(request: Request, error: Exception) -> Response:
    """The answer to what the framework refuses: an unknown address, a method, a body that is no JSON."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not-found", 405: "method-not-allowed", 400: "bad-body"}.get(error.status_code, "bad-body")
    facts: dict[str, Any] = {"what": "It is not what its kind says."} if code == "bad-body" else {}
    return problems.coded(request, code, headers=dict(error.headers or {}), **facts)


async def not_valid(request: Request, error: Exception) -> Response:
    """The answer to a request that does not fit its schema."""
    faults: Any = error.errors()  # type: ignore[attr-defined]
    code, told = problems.faulty(faults)
    return problems.coded(request, code, told, what="See `errors`.")


def without_traceback(record: logging.LogRecord) -> bool:
    """A filter: what went wrong stands in our own line; a traceback could quote what somebody sent."""
    record.exc_info = record.exc_text = None
    return True
