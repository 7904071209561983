"""The database goes away, is too busy or full: nothing is stored twice or by half, what comes back is one of our errors, and it goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa

from data_sanitizer import errors, storage
from data_sanitizer.storage import schema
from data_sanitizer.storage_backend import StorageBackend
from tests.contract import servers
from tests.contract.conftest import KEY, Place, migrated

CHUNK = 2000


@contextmanager
def meanwhile(fault: Callable[[], None], pause: float, times: int) -> Iterator[None]:
    """Repeats a fault while the work goes on: not for ever, since on a slow machine no work would ever fit between two of them."""
    done = threading.Event()

    def repeat() -> None:
        for _ in range(times):
            if not done.wait(pause):
                fault()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def work(backend: StorageBackend, tenant: str, chunks: int) -> tuple[uuid.UUID, uuid.UUID]:
    """What a worker stores, call after call."""
    backend.create_tenant(tenant)
    dataset = backend.create_dataset(tenant, "d")
    job = backend.create_job(tenant, source={}, dataset_id=dataset, idempotency_key="k", request_fingerprint="f")
    for chunk in range(chunks):
        rows = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
        backend.batch_insert_row_hashes(tenant, dataset, 1, np.column_stack([rows * 7919, rows]).astype(np.uint64), rows)
        backend.insert_audit_log(tenant, "worker", "stored", f"chunk {chunk}")
        backend.update_job_status(tenant, job, "queued", progress={"chunks": chunk + 1})
        time.sleep(0.02)
    return dataset, job


def is_all_there(backend: StorageBackend, tenant: str, dataset: uuid.UUID, job: uuid.UUID, chunks: int) -> None:
    t = schema.row_hashes.c
    with backend._database.transaction(tenant) as connection:
        stored = connection.execute(sa.select(t.first_row).where(t.dataset_id == dataset).order_by(t.first_row)).scalars().all()
    assert stored == list(range(chunks * CHUNK))
    assert backend.verify_audit_log(tenant).entries == chunks
    assert backend.get_job(tenant, job).progress == {"chunks": chunks}


def test_postgres_is_restarted_in_the_middle(postgres: servers.PostgresServer, on_postgres: Place) -> None:
    def restart() -> None:
        postgres.stop("immediate")
        postgres.start()

    try:
        with on_postgres.backend(retry_for=30).closing() as backend:
            with meanwhile(restart, 0.4, 3):
                stored = work(backend, "restarted", 12)
            is_all_there(backend, "restarted", *stored, 12)
    finally:
        servers.rows(on_postgres.user, "select 1")  # it runs again, for the tests that follow


def test_connections_are_cut(postgres: servers.PostgresServer, on_postgres: Place) -> None:
    def cut() -> None:
        servers.rows(
            postgres.url("postgres", "postgres"),
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'data-sanitizer'",
        )

    with on_postgres.backend(retry_for=30).closing() as backend:
        with meanwhile(cut, 0.1, 8):
            stored = work(backend, "cut", 12)
        is_all_there(backend, "cut", *stored, 12)


def test_a_server_that_is_away_is_said_to_be_away(on_postgres: Place) -> None:
    config = storage.configured(f"postgresql://somebody@127.0.0.1:{servers.free_port()}/none", pool_timeout=0.3)
    with StorageBackend(config, retry_for=0).closing() as backend, pytest.raises(errors.DatabaseUnreachable):
        backend.create_tenant("t")


def test_a_pool_in_use_is_said_to_be_busy_and_is_free_again(on_postgres: Place) -> None:
    config = storage.configured(on_postgres.user, pool_max=2, pool_timeout=0.3)
    with StorageBackend(config, audit_key=KEY).closing() as backend:
        with ExitStack() as held:
            for _ in range(2):
                held.enter_context(backend._database.transaction("busy"))
            start = time.monotonic()
            with pytest.raises(errors.DatabaseBusy, match="all 2 connections"):
                backend.create_tenant("busy")
            assert time.monotonic() - start < 3
        backend.create_tenant("busy")


def test_a_statement_that_takes_too_long_is_ended(on_postgres: Place) -> None:
    config = storage.configured(on_postgres.user, statement_timeout=0.2)
    with StorageBackend(config).closing() as backend:
        with pytest.raises(errors.DatabaseBusy, match="statement_timeout"), backend._database.transaction("t") as connection:
            connection.execute(sa.select(sa.func.pg_sleep(5)))
        backend.create_tenant("t")


def test_settings_of_a_transaction_do_not_leak_to_the_next(on_postgres: Place) -> None:
    config = storage.configured(on_postgres.user, pool_max=1)
    with StorageBackend(config).closing() as backend:
        backend.create_tenant("leak")
        with psycopg.connect(on_postgres.user) as fresh:
            assert fresh.execute("select current_setting('app.tenant_id', true)").fetchone() in [(None,), ("",)]
        connection = backend._database._pool.getconn()  # type: ignore[attr-defined]
        assert connection.execute("select current_setting('app.tenant_id', true), current_setting('statement_timeout')").fetchone()[0] == ""
        assert connection.execute("select count(*) from tenants").fetchone() == (0,)
        connection.rollback()
        connection.close()


@pytest.fixture
def small_disk(postgres: servers.PostgresServer) -> Iterator[Path]:
    """A file system of 1 MB that the server may write to."""
    folder = postgres.folder / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("no small disk: this user may not mount one")
    shutil.chown(folder, postgres.folder.owner())
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stores_nothing_and_says_so(small_disk: Path, postgres: servers.PostgresServer) -> None:
    place = Place(*servers.new_database(postgres, f"small_{os.getpid()}"))
    migrated(place)
    superuser = place.owner.replace(servers.ROLES[0], "postgres")

    def administer(*statements: Any) -> None:
        with psycopg.connect(superuser, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    with place.backend().closing() as backend:
        stored = work(backend, "full", 1)
        administer(
            psycopg.sql.SQL("create tablespace small location {}").format(str(small_disk)), "alter table row_hashes set tablespace small"
        )
        try:
            rows = np.arange(50_000)
            with pytest.raises(errors.DatabaseFull):
                backend.batch_insert_row_hashes("full", stored[0], 1, np.column_stack([rows, rows + 1]).astype(np.uint64), rows)
            is_all_there(backend, "full", *stored, 1)
        finally:
            administer("alter table row_hashes set tablespace pg_default", "drop tablespace small")
        backend.batch_insert_row_hashes("full", stored[0], 1, np.column_stack([rows, rows + 1]).astype(np.uint64), rows)


def test_a_full_sqlite_stores_nothing_and_says_so(tmp_path: Path) -> None:
    with StorageBackend(storage.configured(f"sqlite:///{tmp_path}/small.db"), audit_key=KEY).closing() as backend:
        backend.migrate()
        stored = work(backend, "full", 1)

        @sa.event.listens_for(backend._database._engine, "connect")  # type: ignore[attr-defined]
        def limit(connection: Any, _: object) -> None:
            connection.execute(f"pragma max_page_count = {connection.execute('pragma page_count').fetchone()[0] + 10}")

        rows = np.arange(100_000)
        with pytest.raises(errors.DatabaseFull):
            backend.batch_insert_row_hashes("full", stored[0], 1, np.column_stack([rows, rows + 1]).astype(np.uint64), rows)
        is_all_there(backend, "full", *stored, 1)


def test_a_sqlite_that_another_process_writes_is_said_to_be_busy(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/busy.db"
    with StorageBackend(storage.configured(url, busy_timeout=0.1)).closing() as backend:
        backend.migrate()
        with backend._database.transaction("t"):
            with pytest.raises(errors.DatabaseBusy):
                backend.create_tenant("t")
            assert backend.get_imputation_stats("t", uuid.uuid4()) == {}  # reading waits for nobody
        backend.create_tenant("t")


@pytest.mark.parametrize("url", ["mysql://x/y", "customers.csv", "sqlite://", "sqlite:///:memory:", "postgres"])
def test_a_storage_that_nobody_knows_is_refused(url: str) -> None:
    with pytest.raises(errors.StorageUnknown):
        storage.configured(url)


def test_a_password_is_never_shown() -> None:
    config = storage.configured("postgresql://me:se%40cret@db:6543/name?sslmode=require", pool_max=3)
    assert (config.password, config.port, config.options, config.pool_max) == ("se@cret", 6543, (("sslmode", "require"),), 3)
    assert "se@cret" not in repr(config)
