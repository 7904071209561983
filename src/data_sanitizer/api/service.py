"""What every route works with: storage, objects, settings, counters; made once when the process starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from fastapi import Request

from data_sanitizer import outbound
from data_sanitizer.api._cache import FileCache
from data_sanitizer.api._rates import Rates
from data_sanitizer.ports import Queue
from data_sanitizer.settings import ApiSettings
from data_sanitizer.storage_backend import StorageBackend
from data_sanitizer.stores import Location


@dataclass(slots=True)
class Service:
    """The parts of the service that one process holds."""

    storage: StorageBackend
    root: Location
    settings: ApiSettings
    pepper: bytes
    rates: Rates
    queue: Queue | None
    cache: FileCache
    post: Callable[[outbound.Target, bytes, Mapping[str, str]], int] = outbound.post
    known_keys: dict[Any, Any] = field(default_factory=dict)  # keys that were checked moments ago: see `access`
    heavy: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(2))  # conversions and undoings at a time

    @classmethod
    def started(cls, storage: StorageBackend, root: Location, settings: ApiSettings, queue: Queue | None = None) -> Service:
        """Look whether all that is needed is there; raises SettingUnusable and SchemaOutdated."""
        pepper = settings.pepper()
        storage.check()
        cache = FileCache(Path(settings.cache_folder) if settings.cache_folder else None, settings.cache_bytes)
        return cls(storage, root, settings, pepper, Rates(settings.rate_store, storage), queue, cache)

    def wake(self) -> None:
        """Tell the workers that there is something to do; one that does not hear it looks by itself a moment later."""
        if self.queue:
            self.queue.wake()

    def close(self) -> None:
        """Give everything back."""
        self.cache.close()
        self.storage.close()


def service(request: Request) -> Service:
    """The service of this process."""
    found: Service = request.app.state.service
    return found
