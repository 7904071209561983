"""The process that works on a job, seen from its supervisor: started ahead, given one job, killed with all that it has started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import psutil

from data_sanitizer import settings
from data_sanitizer.workers import channel

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from data_sanitizer.workers import child; child.main(*map(int, sys.argv[2:]))"
)


class WorkProcess:
    """A process in a group of its own. It loads its libraries at once and waits for a job."""

    def __init__(self) -> None:
        read, write = os.pipe()
        silent = subprocess.DEVNULL
        self._process = subprocess.Popen(  # noqa: S603  our own module
            [sys.executable, "-c", _START, json.dumps(sys.path), str(os.getpid()), str(write)], stdin=subprocess.PIPE, stdout=silent,
            stderr=silent, pass_fds=(write,), env=settings.without_secrets(), start_new_session=True, bufsize=0,
        )  # fmt: skip
        os.close(write)
        self.answers = os.fdopen(read, "rb", buffering=0)
        self._rest = b""

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def order(self, what: Mapping[str, Any] | str) -> None:
        """Send a job, or a word."""
        if self._process.stdin is not None:
            channel.order(self._process.stdin, what)

    def messages(self) -> Iterator[dict[str, Any] | None]:
        """What has come; None at the end of all."""
        data = self.answers.read(1 << 16)
        *lines, self._rest = (self._rest + (data or b"")).split(b"\n")
        yield from map(json.loads, lines)
        if not data:
            yield None

    def wait(self) -> int:
        """The code with which the process ended; negative where a signal ended it."""
        return self._process.wait()

    def kill(self) -> None:
        """End the process and everything that it has started, at once; nothing happens where it has ended."""
        if self.answers.closed:
            return
        with suppress(psutil.Error):
            others = psutil.Process(self.pid).children(recursive=True)  # readers have sessions of their own
            self._kill_group()
            for other in others:
                with suppress(psutil.Error):
                    other.kill()
        self._kill_group()
        self._process.wait()
        self.answers.close()
        if self._process.stdin:
            self._process.stdin.close()

    def _kill_group(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
