"""Asking again where an answer broke off: after a pause that doubles, as often as the settings allow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from data_sanitizer import errors

R = TypeVar("R")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds


def repeated(work: Callable[[], R | None], tries: int, path: str, why: str) -> R:
    """What `work` gives, asked until it is not None; raises StoreUnavailable when all tries were in vain."""
    for number in range(tries):
        if number:
            time.sleep(min(_FIRST_PAUSE * 2 ** (number - 1), _LONGEST_PAUSE))
        if (result := work()) is not None:
            return result
    raise errors.StoreUnavailable(path=path, why=why, tries=tries)
