"""The environment of the process: the only module that reads it, or writes to it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from data_sanitizer.errors import UsageError

if TYPE_CHECKING:
    from data_sanitizer.model import ReadLimits
    from data_sanitizer.stores import Stores

# For the allocator of Polars, which reads it when it is loaded: give memory back soon. Saves 60 MB at a million rows and costs no time.
_ALLOCATOR = ("_RJEM_MALLOC_CONF", "narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0")

_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def spare_memory() -> None:
    """Make this process and its children keep less memory than they once needed; to be called before Polars is imported."""
    os.environ.setdefault(*_ALLOCATOR)


def stores() -> Stores:
    """All stores, with what the environment says of each; raises UsageError for a value that is none."""
    from data_sanitizer import extensions
    from data_sanitizer.stores import Stores

    return Stores({name: _read(extensions.load("stores", name).Settings) for name in extensions.names("stores")})


def _read(kind: Any) -> Any:
    """An instance of a settings class; each field is taken from the first of its variables that is set and not empty."""
    told = {}
    for field in fields(kind):
        for variable in field.metadata.get("variables", ()):
            if text := os.environ.get(variable):
                told[field.name] = _value(variable, text, type(field.default))
                break
    return kind(**told)


def _value(variable: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in _YES | _NO:
            raise UsageError(why=f"{variable} is one of: {', '.join(sorted(_YES | _NO))}.")
        return text.lower() in _YES
    if kind not in (int, float):
        return text
    try:
        number = kind(text)
    except ValueError as error:
        raise UsageError(why=f"{variable} is a number.") from error
    if not 0 < number < 1e9:
        raise UsageError(why=f"{variable} is a number above 0.")
    return number


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
