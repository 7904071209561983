"""Databases for the contract suites: one of each kind, empty or at the newest version of the schema."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_sanitizer import storage
from data_sanitizer.storage import migrations
from data_sanitizer.storage_backend import StorageBackend
from tests.contract import servers

DATABASES = tuple(sorted(storage.databases()))
KEY = b"a key that the database does not know"


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.PostgresServer]:
    server = servers.postgres_server()
    yield server
    server.remove()


class Place:
    """A database for one test: who migrates it, and who works with it."""

    def __init__(self, owner: str, user: str) -> None:
        self.owner, self.user = owner, user

    def backend(self, **options: Any) -> StorageBackend:
        return StorageBackend(storage.configured(self.user), audit_key=KEY, **options)


@pytest.fixture(params=DATABASES)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A database without a schema."""
    if request.param == "sqlite":
        return Place(*[f"sqlite:///{tmp_path / 'test.db'}"] * 2)
    server = request.getfixturevalue("postgres")
    return Place(*servers.new_database(server, f"empty_{os.getpid()}"))


@pytest.fixture(scope="module", params=DATABASES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A database at the newest version; tests share it and take a tenant each."""
    if request.param == "postgres":
        yield request.getfixturevalue("on_postgres")
        return
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        found = Place(*[f"sqlite:///{folder}/test.db"] * 2)
        migrated(found)
        yield found


@pytest.fixture(scope="module")
def on_postgres(postgres: servers.PostgresServer) -> Place:
    """As `place`, where only Postgres makes the promise: SQLite has no row-level security, its statements name the tenant."""
    found = Place(*servers.new_database(postgres, f"shared_{os.getpid()}"))
    migrated(found)
    return found


def migrated(place: Place, to: str = "head") -> None:
    owner = storage.connected(storage.configured(place.owner))
    migrations.upgrade(owner, to)
    if owner.dialect == "postgresql":
        migrations.grant(owner, servers.ROLES[1])
    owner.close()
