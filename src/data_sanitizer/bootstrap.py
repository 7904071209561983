"""The composition root: puts together from settings what the service runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from data_sanitizer import settings as environment
from data_sanitizer.errors import PackageMissing

if TYPE_CHECKING:
    from data_sanitizer.ports import Queue
    from data_sanitizer.settings import ServiceSettings, StorageSettings
    from data_sanitizer.storage_backend import StorageBackend
    from data_sanitizer.stores import Location

_POOL = ("pool_max", "pool_timeout", "connect_timeout", "statement_timeout", "idle_timeout", "keepalives_idle", "keepalives_interval",
         "keepalives_count", "tcp_user_timeout", "busy_timeout")  # fmt: skip


def storage_backend(settings: StorageSettings) -> StorageBackend:
    """The storage that the settings name; nothing is connected yet. Raises PackageMissing where the extra `service` is not installed."""
    try:
        from data_sanitizer import storage
        from data_sanitizer.storage_backend import MilvusConfig, StorageBackend
    except ModuleNotFoundError as error:
        raise PackageMissing(package=error.name, what="the service") from error

    database = storage.configured(settings.database_url, **{name: getattr(settings, name) for name in _POOL})
    milvus = MilvusConfig(settings.milvus_uri, settings.milvus_token, settings.milvus_timeout) if settings.milvus_uri else None
    return StorageBackend(database, milvus, audit_key=settings.audit_key(), retry_for=settings.retry_for)


@contextmanager
def opened_storage(database: str | None = None) -> Iterator[StorageBackend]:
    """The storage that the environment names, or the database at a URL, ready for use; an embedded one is made where there is none."""
    from data_sanitizer.settings import StorageSettings

    with storage_backend(StorageSettings.from_environment(database_url=database)).closing() as found:
        found.prepare()
        yield found


def object_store(settings: ServiceSettings) -> Location:
    """The root of the objects of the service: everything of a tenant lies below its name there."""
    from data_sanitizer.stores import is_url

    place = settings.object_store.rstrip("/")
    return environment.stores().location(place if is_url(place) else f"file://{Path(place).absolute()}")


def look_at_broker(settings: ServiceSettings) -> str:
    """Connect to the broker and tell its kind; raises StorageUnknown for another scheme, and PartUnfit where it does not answer."""
    told: str = _queue_module(settings).look(settings.broker_url)
    return told


def queue(settings: ServiceSettings, stored: StorageSettings) -> Queue:
    """What wakes the workers: the broker that the settings name, else the database itself. Raises StorageUnknown for another scheme."""
    from data_sanitizer import storage

    module = _queue_module(settings)
    database = storage.configured(stored.database_url)
    server = database.for_driver() if hasattr(database, "for_driver") else None
    found: Queue = module.connect(settings.broker_url, server)
    return found


def _queue_module(settings: ServiceSettings) -> ModuleType:
    from data_sanitizer import extensions
    from data_sanitizer.errors import StorageUnknown

    known = {scheme: name for name in extensions.names("queues") for scheme in extensions.load("queues", name).SCHEMES}
    scheme = settings.broker_url.partition(":")[0]
    if scheme not in known:
        raise StorageUnknown(url=f"{scheme}:…", known="amqp://user:password@host or redis://host")
    return extensions.load("queues", known[scheme])
