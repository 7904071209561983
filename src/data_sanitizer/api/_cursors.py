"""Cursors: where a page ended, bound to the filters it was asked with, in a text that says nothing to the caller."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, TypeVar

from data_sanitizer.api.problems import refused

T = TypeVar("T")


def made(place: Any, *filters: Any) -> str:
    """The cursor of a place: a number or a text.

    >>> read(made(17, "a"), int, "a")
    17
    """
    return base64.urlsafe_b64encode(json.dumps([place, _bound(filters)]).encode()).decode().rstrip("=")


def read(cursor: str | None, kind: type[T], *filters: Any) -> T | None:
    """The place again; None where no cursor is given. Raises bad-cursor for one that is none, or is of other filters."""
    if cursor is None:
        return None
    try:
        place, bound = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError) as error:
        raise refused("bad-cursor") from error
    if bound != _bound(filters) or type(place) is not kind:
        raise refused("bad-cursor")
    return place


def _bound(filters: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps(filters, default=str).encode()).hexdigest()[:12]
