"""What the process that works on a job and the one that supervises it say to each other: lines of JSON, through two pipes."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Mapping
from typing import IO, Any, Final

from data_sanitizer.errors import WorkStopped

_OFTEN: Final = 0.2  # seconds between two messages about progress


class Channel:
    """The end of the process that works."""

    def __init__(self, orders: IO[bytes], answers: IO[bytes]) -> None:
        self._orders, self._answers = orders, answers
        self._told = 0.0
        self.stopping = False

    def task(self) -> dict[str, Any] | None:
        """The job to work on; None where the supervisor has gone."""
        line = self._orders.readline()
        task: dict[str, Any] | None = json.loads(line) if line else None
        return task

    def tell(self, kind: str, **facts: Any) -> None:
        """Tell the supervisor something."""
        self._answers.write(json.dumps({"kind": kind, **facts}).encode() + b"\n")
        self._answers.flush()

    def ask(self, kind: str, **facts: Any) -> None:
        """Tell the supervisor something and wait until it is done."""
        self.tell(kind, **facts)
        while (order := self._orders.readline()) != b"done\n":
            self._heed(order)

    def advance(self) -> None:
        """Have the job put into the next stage; ends the work here where the supervisor wants to stop."""
        self.ask("advance")
        self.must_go_on()

    def progress(self, stage: str, rows: int, total: int | None) -> None:
        """Tell how far the work is, not too often; ends it where the supervisor wants to stop."""
        if time.monotonic() - self._told >= _OFTEN or rows == 0:
            self.tell("progress", stage=stage, rows=rows, total=total)
            self._told = time.monotonic()

    def must_go_on(self) -> None:
        """Raise WorkStopped where the supervisor wants to stop."""
        while select.select([self._orders], [], [], 0)[0]:
            self._heed(self._orders.readline())
        if self.stopping:
            raise WorkStopped

    def _heed(self, order: bytes) -> None:
        if order in (b"stop\n", b""):
            self.stopping = True
        if order == b"":
            raise WorkStopped


def order(pipe: IO[bytes], what: Mapping[str, Any] | str) -> None:
    """Send an order to the process that works; nothing happens where it has gone."""
    try:
        pipe.write((what if isinstance(what, str) else json.dumps(what)).encode() + b"\n")
        pipe.flush()
    except (BrokenPipeError, ValueError):
        return
