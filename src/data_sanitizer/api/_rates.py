"""How often somebody may ask: counted over a moving minute, in a place that all processes of the service share."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from data_sanitizer import logs
from data_sanitizer.errors import PackageMissing, SettingUnusable
from data_sanitizer.settings import variable
from data_sanitizer.storage_backend import StorageBackend

WINDOW: Final = 60  # seconds
ADDRESSES: Final = "(addresses)"  # the place of counters that belong to no tenant; no tenant can have this name


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one more is allowed: how many are left, and seconds to wait (0: it was allowed and counted)."""

    left: int
    wait: int


class Rates:
    """Counters of requests: in the database, in Redis, or in this process."""

    def __init__(self, store: str, storage: StorageBackend) -> None:
        self._storage = storage
        self._limiter = None if store == "database" else _limiter(store)

    def hit(self, tenant: str, subject: str, most: int) -> Verdict:
        """Count one event of a subject, unless there were `most` in the last minute."""
        if self._limiter is None:
            used, wait = self._storage.count_rate(tenant, subject, most, WINDOW)
            return Verdict(max(0, most - used - (not wait)), wait)
        return _asked(self._limiter, tenant, subject, most)


def _limiter(store: str) -> Any:
    try:
        from limits import storage as backends
        from limits.strategies import MovingWindowRateLimiter
    except ModuleNotFoundError as error:
        raise PackageMissing(package="limits", what="counting requests") from error

    if store != "memory" and not store.startswith(("redis://", "rediss://")):
        raise SettingUnusable(name=variable("rate_store"), why="it is neither `database`, `memory` nor a redis:// URL")
    backend: Any = backends.storage_from_string("memory://" if store == "memory" else store, **({"wrap_exceptions": True}))
    return MovingWindowRateLimiter(backend)


def _asked(limiter: Any, tenant: str, subject: str, most: int) -> Verdict:
    """Where the counter does not answer nobody is held up: keys are checked all the same, and the log of the server tells."""
    import time

    from limits import RateLimitItemPerMinute
    from limits.errors import StorageError

    item = RateLimitItemPerMinute(most)
    try:
        allowed = limiter.hit(item, tenant, subject)
        stats = limiter.get_window_stats(item, tenant, subject)
    except StorageError:
        logs.tell("rates.unavailable", logging.WARNING)
        return Verdict(most, 0)
    return Verdict(int(stats.remaining), 0 if allowed else max(1, int(stats.reset_time - time.time())))
