"""Logs of the service: one JSON object a line on standard error, with the ids of job and tenant, and never the content of a cell."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

_BOUND: ContextVar[dict[str, Any] | None] = ContextVar("bound", default=None)
LOGGER: Final = "data_sanitizer"


class Lines(logging.Formatter):
    """A record as one line of JSON: its message is a fixed text, what varies stands in fields of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, message, what is bound, and the fields that the call gave. Of an error its class and place alone."""
        told = {"time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"), "level": record.levelname.lower(),
                "event": record.getMessage(), **(_BOUND.get() or {}), **getattr(record, "fields", {})}  # fmt: skip
        if record.exc_info and record.exc_info[0]:
            told["error"] = record.exc_info[0].__name__
        return json.dumps(told, ensure_ascii=False, default=str)


def set_up(level: str = "info") -> None:
    """Write the program's own messages, and warnings of libraries, as JSON lines."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(Lines())
    own = logging.getLogger(LOGGER)
    own.handlers, own.propagate = [lines], False
    own.setLevel(level.upper())


def tell(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Write one message; its fields are ids, counts, names of errors, never content of a table."""
    logging.getLogger(LOGGER).log(level, event, extra={"fields": fields})


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Every message within the block has these fields as well."""
    token = _BOUND.set({**(_BOUND.get() or {}), **fields})
    try:
        yield
    finally:
        _BOUND.reset(token)
