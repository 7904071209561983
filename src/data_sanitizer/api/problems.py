"""What the API answers where it refuses or fails: one table of codes, and one that gives errors of the program their status (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from data_sanitizer import errors

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which a request can end: its status, its title, and the text that says what helps (braces hold facts)."""

    status: int
    title: str
    detail: str


PROBLEMS: Final[Mapping[str, Problem]] = {
    "bad-parameter": Problem(400, "A parameter cannot be used", "{what}"),
    "unknown-parameter": Problem(400, "Unknown parameter", "There is no parameter {what} here. Known: {known}."),
    "bad-cursor": Problem(400, "The cursor cannot be used", "Take it from `next` of the page before, with the same filters."),
    "bad-body": Problem(400, "The body cannot be read", "{what}"),
    "unauthorized": Problem(401, "No valid key", "Send `X-API-Key: TENANT:KEY` with a key that is neither revoked nor expired."),
    "insufficient-scope": Problem(403, "The key may not do this", "The scope `{scope}` is needed. Ask for a key that has it."),
    "quota-exceeded": Problem(403, "No space left for the tenant", "Inputs may take {limit} bytes. Delete jobs that are not needed."),
    "not-found": Problem(404, "Nothing there", "There is nothing under this address for this key."),
    "method-not-allowed": Problem(405, "Method not allowed", "This address does not know the method. See `Allow`."),
    "upload-too-slow": Problem(408, "The upload is too slow", "It stood still for {idle:g} s, or brought less than {rate} bytes a second."),
    "in-flight": Problem(409, "The same request is still under way", "Wait for its answer, then repeat with the same key."),
    "not-finished": Problem(409, "The job has no result yet", "It is {state}. Ask again when it has succeeded."),
    "no-result": Problem(409, "The job has no result", "It is {state}; its `error` says why."),
    "still-running": Problem(409, "The job is not at its end", "Cancel it first, and delete it when it is cancelled."),
    "dataset-busy": Problem(409, "The dataset is being delivered to", "Try again when its jobs are done."),
    "ended": Problem(409, "The job is at its end", "It is {state} and cannot be cancelled."),
    "payload-too-large": Problem(413, "The body is too large", "At most {limit} bytes are taken."),
    "unsupported-media-type": Problem(415, "Unknown kind of body", "Send {known}."),
    "range-not-satisfiable": Problem(416, "The range cannot be served", "Ask for one range inside the {size} bytes."),
    "invalid-request": Problem(422, "The request is not valid", "See `errors`."),
    "unknown-field": Problem(422, "Unknown field", "See `errors`; leave out what is not known."),
    "source-not-allowed": Problem(422, "The source is not allowed", "{what}"),
    "address-not-allowed": Problem(422, "The address is not allowed", "{what}"),
    "too-large-for-format": Problem(422, "Too large for the format", "{what}"),
    "not-in-dataset": Problem(
        422, "No such row", "A row is named by the delivery that brought it first, and is not alone in its entity. See `deliveries`."
    ),
    "not-supported": Problem(422, "Not supported", "{what}"),
    "rate-limited": Problem(429, "Too many requests", "Try again in {wait} s."),
    "too-many-jobs": Problem(429, "Too many open jobs", "{limit} jobs may wait or run at a time. Try again when some are done."),
    "internal-error": Problem(500, "An error of the service", "Tell its operator the request id; the log has the rest."),
    "unavailable": Problem(503, "A part of the service does not answer", "Try again later; what was accepted is not lost."),
}

# Errors of the program, the special before the general: what status they have. Their code is their own.
STATUS: Final[tuple[tuple[type[errors.DataSanitizerError], int], ...]] = (
    (errors.NotStored, 404),
    (errors.NotInRun, 404),
    (errors.UsageError, 422),
    (errors.LimitExceeded, 422),
    (errors.InputError, 422),
    (errors.DatabaseUnreachable, 503),
    (errors.DatabaseBusy, 503),
    (errors.DatabaseFull, 503),
    (errors.DatabaseRefused, 503),
    (errors.SchemaOutdated, 503),
    (errors.StoreUnavailable, 503),
    (errors.StoreRefused, 503),
    (errors.DiskFull, 503),
    (errors.OutputNotWritable, 503),
    (errors.VectorsUnavailable, 503),
)
_TOLD: Final = (errors.RecipeError, errors.NotInRun)  # errors whose message tells the caller what to mend, and no place of ours


def refused(code: str, **facts: Any) -> errors.ServiceRefused:
    """The error that ends a request with a code of the table; `errors` are pointers, `headers` go into the answer."""
    problem = PROBLEMS[code]
    return errors.ServiceRefused(reason=code, why=problem.detail.format(**facts), **facts)


def answer(request: Request, error: errors.DataSanitizerError) -> Response:
    """The answer to a request that ended with an error of the program."""
    if isinstance(error, errors.ServiceRefused):
        facts: dict[str, Any] = {name: error.facts[name] for name in ("errors", "limit", "setting", "scope") if name in error.facts}
        return _response(request, error.reason, str(error.facts["why"]), facts, error.facts.get("headers"))
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    if status in (404, 500, 503):  # what we did not find, and what of ours is broken, is nobody else's matter
        return _response(request, {404: "not-found", 500: "internal-error", 503: "unavailable"}[status])
    detail = str(error) if isinstance(error, _TOLD) else _message(error)
    return _response(request, error.code, detail, status=status)


def _message(error: errors.DataSanitizerError) -> str:
    """The message of an error without a place of this machine."""
    facts = {name: "the file" if name in ("path", "run", "output") else fact for name, fact in error.facts.items()}
    return str(type(error)(**facts))


def coded(request: Request, code: str, errors_: list[dict[str, str]] | None = None, **facts: Any) -> Response:
    """The answer of a code of the table."""
    return _response(request, code, PROBLEMS[code].detail.format(**facts), {"errors": errors_} if errors_ else {}, facts.get("headers"))


def faulty(faults: Sequence[Any]) -> tuple[str, list[dict[str, str]] | None]:
    """The code, and a pointer and a message for each fault that a schema found, and never a value."""
    told = [{"pointer": _pointer(fault["loc"]), "message": str(fault["msg"])[:300]} for fault in faults[:50]]
    kinds, places = {fault["type"] for fault in faults}, {fault["loc"][0] for fault in faults}
    if "json_invalid" in kinds:
        return "bad-body", told
    if places == {"path"}:
        return "not-found", None
    if "body" not in places:
        return "bad-parameter", told
    return ("unknown-field" if kinds == {"extra_forbidden"} else "invalid-request"), told


def _pointer(place: Sequence[Any]) -> str:
    return "".join(f"/{str(part)[:100].replace('~', '~0').replace('/', '~1')}" for part in place[1:] or place)


def _response(request: Request, code: str, detail: str | None = None, facts: Mapping[str, Any] | None = None, headers: Any = None,
              status: int | None = None) -> Response:  # fmt: skip
    known = PROBLEMS.get(code)
    number = status or (known.status if known else 500)
    title = known.title if known else HTTPStatus(number).phrase
    body: dict[str, Any] = {"type": f"urn:data-sanitizer:{code}", "title": title, "status": number, "code": code,
                            "detail": detail if detail is not None else (known.detail if known else ""), **(facts or {})}  # fmt: skip
    if number != 404:  # nothing there is the same for everybody, byte for byte
        body["request_id"] = request.scope.get("state", {}).get("request_id", "")
    more = {"WWW-Authenticate": 'ApiKey realm="data-sanitizer", header="X-API-Key"'} if number == 401 else {}
    more |= {"Retry-After": "5"} if number == 503 else {}
    return Response(json.dumps(body, ensure_ascii=False), number, {**more, **(headers or {})}, MEDIA_TYPE)
