"""The environment of the process: the only module that reads it, or writes to it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from data_sanitizer.errors import UsageError

if TYPE_CHECKING:
    from data_sanitizer.model import ReadLimits

# For the allocator of Polars, which reads it when it is loaded: give memory back soon. Saves 60 MB at a million rows and costs no time.
_ALLOCATOR = ("_RJEM_MALLOC_CONF", "narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0")


def spare_memory() -> None:
    """Make this process and its children keep less memory than they once needed; to be called before Polars is imported."""
    os.environ.setdefault(*_ALLOCATOR)


_LIMIT = "DATA_SANITIZER_LIMIT_"


def read_limits(given: Iterable[str] = ()) -> ReadLimits:
    """The limits of reading: those given as NAME=N, else DATA_SANITIZER_LIMIT_NAME, else the defaults. Raises UsageError."""
    from data_sanitizer.model import ReadLimits

    names = [f.name for f in fields(ReadLimits)]
    pairs = [(n, os.environ[_LIMIT + n.upper()]) for n in names if _LIMIT + n.upper() in os.environ]
    pairs += [(name.strip(), number) for name, _, number in (text.partition("=") for text in given)]
    for name, number in pairs:
        if name not in names:
            raise UsageError(why=f"There is no limit {name}. Known limits: {', '.join(names)}.")
        if not number.strip().isdecimal():
            raise UsageError(why=f"The limit {name} is no whole number. Write it as {name}=1000.")
    return ReadLimits(**{name: int(number) for name, number in pairs})
