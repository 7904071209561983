"""Named places at which a test can make the program fail: killed, stopped, out of disk. Nothing happens where none is set."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from data_sanitizer.errors import DatabaseUnreachable


@dataclass(slots=True)
class _Plan:
    name: str = ""
    hit: int = 1
    action: str = ""
    seen: Counter[str] = field(default_factory=Counter)


_PLAN = _Plan()


def arm(fault: str) -> None:
    """Set what shall happen, as `NAME:HIT:ACTION`: at the so many-th passing of a place, in this process."""
    _PLAN.name, hit, _PLAN.action = fault.rsplit(":", 2)
    _PLAN.hit = int(hit)
    _PLAN.seen.clear()


def crashpoint(name: str) -> None:
    """A place at which the program may be made to fail."""
    if name != _PLAN.name:
        return
    _PLAN.seen[name] += 1
    if _PLAN.seen[name] == _PLAN.hit:
        _ACTIONS[_PLAN.action]()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _full() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"0")


def _raise() -> None:
    raise RuntimeError


def _drop() -> None:
    raise DatabaseUnreachable(why="the connection was lost")


_ACTIONS = {"kill9": _kill, "hang": _hang, "enospc": _full, "raise": _raise, "dbdrop": _drop}
