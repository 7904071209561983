"""No broker: Postgres tells of new jobs by NOTIFY, and everywhere workers look from time to time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

SCHEMES: Final = ("",)
CHANNEL: Final = "data_sanitizer_jobs"
_LOOK: Final = 0.2  # seconds: a look into a file of this machine takes a millisecond


def connect(url: str, server: Mapping[str, Any] | None) -> Listening:
    """Listens to the Postgres server of these parameters; without one it only waits."""
    return Listening(server)


class Listening:
    """As `ports.Queue`."""

    def __init__(self, server: Mapping[str, Any] | None) -> None:
        self._server = server
        self._connection: psycopg.Connection[Any] | None = None

    def wake(self) -> None:
        """Nothing to do: the transaction that makes a job tells of it."""

    def wait(self, seconds: float) -> None:
        """Until a job is told of; behind a pool that passes on no notifications, and while the server is away, until the time is over."""
        if self._server is None:
            time.sleep(min(seconds, _LOOK))
            return
        import psycopg

        try:
            if self._connection is None:
                self._connection = psycopg.connect(**self._server, autocommit=True)
                self._connection.execute(f"listen {CHANNEL}")
                return  # a job may have come before
            for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                return
        except psycopg.Error:
            self.close()
            time.sleep(seconds)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
