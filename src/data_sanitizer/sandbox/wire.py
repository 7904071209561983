"""Messages between parent and child: the parent's are pickled, the child's are JSON, for nothing that it says is to be trusted."""

from __future__ import annotations

import errno
import json
import re
import socket
import struct
from collections.abc import Callable
from typing import Any

from data_sanitizer import errors
from data_sanitizer.sandbox.limits import DISK, MEMORY

_SIZE = struct.Struct("!I")
_LIMITS = {errno.ENOMEM: MEMORY, errno.EFBIG: DISK}  # what the system says where a limit is reached
_LONGEST = 64 << 20  # bytes of one message: what was decided about a source, and where a block lies


def send(to: socket.socket, data: bytes) -> None:
    """One message; raises OSError where nobody listens any more."""
    to.sendall(_SIZE.pack(len(data)) + data)


def receive(source: socket.socket, wait: Callable[[], None] = lambda: None) -> bytes | None:
    """The next message, None at the end; calls `wait` before each time that it may have to wait."""
    head = _exactly(source, _SIZE.size, wait)
    if head is None:
        return None
    (size,) = _SIZE.unpack(head)
    return _exactly(source, size, wait) if size <= _LONGEST else None


def _exactly(source: socket.socket, size: int, wait: Callable[[], None]) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        wait()
        try:
            piece = source.recv(min(size - len(data), 1 << 20))
        except OSError:
            return None
        if not piece:
            return None
        data += piece
    return bytes(data)


def described(error: BaseException, folder: str, *, own_disk: bool) -> dict[str, Any]:
    """An error as plain values, without any text of a library: that may quote a cell.

    `own_disk`: whether it is our limit that a file which grows too large meets, and not one that we were given.
    """
    number = _system_number(error)
    if number in (errno.ENOSPC, errno.EDQUOT) or (number == errno.EFBIG and not own_disk):
        return {"error": "DiskFull", "facts": {"path": folder}}
    if number in _LIMITS:
        return {"limit": _LIMITS[number]}
    if isinstance(error, errors.DataSanitizerError):
        facts = {k: v if isinstance(v, str | int | float) or v is None else str(v) for k, v in error.facts.items()}
        return {"error": type(error).__name__, "facts": facts}
    if isinstance(error, PermissionError):
        return {"crash": "it asked for what a reader may not have: network, another process, another folder"}
    if type(error).__name__ == "PanicException":  # of the libraries written in Rust
        return {"crash": "a library gave up on it"}
    return {"bug": type(error).__name__, "place": _place(error)}


def _system_number(error: BaseException | None) -> int:
    """The system's number behind an error, which may have been wrapped; Polars gives it in its text alone."""
    while error is not None:
        said = re.search(r"\(os error (\d+)\)", str(error))
        number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None) or (int(said[1]) if said else 0)
        if number:
            return int(number)
        error = error.__cause__
    return 0


def _place(error: BaseException) -> str:
    trace, place = error.__traceback__, "unknown place"
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def rebuilt(told: dict[str, Any], name: str, most: Callable[[str], int]) -> errors.DataSanitizerError | None:
    """The error that an answer tells of, None where it tells of none."""
    if "limit" in told and told["limit"] in (MEMORY, DISK):
        return reached(name, told["limit"], most(told["limit"]))
    if "crash" in told:
        return errors.ReaderCrashed(path=name, why=str(told["crash"])[:200])
    if "bug" in told:
        return errors.ReaderFailed(path=name, kind=str(told["bug"])[:80], place=str(told.get("place"))[:80])
    if "error" in told:
        return _of_tree(told, name)
    return None


def reached(name: str, limit: str, most: int) -> errors.ReaderLimit:
    """The error for a limit that the reader reached."""
    what = {MEMORY: "memory", DISK: "space on disk"}.get(limit, "processor time")
    return errors.ReaderLimit(path=name, found=f"it needs more {what} than the limit {limit} allows", limit=limit, most=most)


def _of_tree(told: dict[str, Any], name: str) -> errors.DataSanitizerError:
    kind = getattr(errors, str(told["error"]), None)
    try:
        if isinstance(kind, type) and issubclass(kind, errors.DataSanitizerError):
            return kind(**told["facts"])
    except (KeyError, TypeError, IndexError, ValueError, AttributeError):
        kind = None
    return errors.ReaderFailed(path=name, kind=str(told["error"])[:80], place="an error that this version does not know")


def message(told: dict[str, Any]) -> bytes:
    """What the child says, as bytes."""
    return json.dumps(told).encode("ascii")


def parsed(data: bytes) -> dict[str, Any] | None:
    """What the child said, None where it is nothing that a child says."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
