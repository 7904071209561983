"""A connection of psycopg that does not wait for ever for a server, or for what stands between, that keeps the line open and says nothing.

Keep-alives and tcp_user_timeout end a connection whose packets nobody confirms, and statement_timeout a statement that the server works on.
Where a proxy confirms and does not pass on, neither holds: only who waits can tell that it waits for too long.
"""

from __future__ import annotations

import time
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen

from data_sanitizer.errors import DatabaseUnreachable

T = TypeVar("T")
_LOOK: Final = 0.1  # seconds between two looks at the clock


class PatientConnection(psycopg.Connection[Any]):
    """Waits for an answer as long as its `patience`; then it is closed, and DatabaseUnreachable raised."""

    patience: float | None = 30.0  # seconds without a sign of the server; None: for ever

    def wait(self, gen: PQGen[T], interval: float = _LOOK, timeout: float | None = None) -> T:
        """As psycopg does, with a look at the clock."""
        more = {} if timeout is None else {"timeout": timeout}  # which older versions do not know
        return super().wait(gen if self.patience is None else self._watched(gen, self.patience), interval, **more)

    def _watched(self, gen: PQGen[T], patience: float) -> PQGen[T]:
        """The same exchange, until nothing was heard for too long."""
        heard = time.monotonic()
        ready: Any = None
        while True:
            try:
                asked = gen.send(ready)
            except StopIteration as end:
                result: T = end.value
                return result
            ready = yield asked
            if ready:
                heard = time.monotonic()
            elif time.monotonic() - heard > patience:
                self.pgconn.finish()  # nothing said on it could be understood any more
                raise DatabaseUnreachable(why=f"it has not answered for {patience:g} s")
