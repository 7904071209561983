"""The database goes away, is too busy or full: nothing is stored twice or by half, what comes back is one of our errors, and it goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
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
from data_sanitizer.storage.postgres import be_patient
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


class Proxy:
    """Stands before the server on a port of its own; `silent` keeps every connection open, takes what is said, and passes nothing on."""

    def __init__(self, port: int) -> None:
        self._to, self.silent, self._listening = port, threading.Event(), socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._pass_on, args=(one, other)))
                    self._threads[-1].start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                if not self.silent.is_set():
                    other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in (self._listening, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def proxy(postgres: servers.PostgresServer) -> Iterator[Proxy]:
    found = Proxy(postgres.port)
    yield found
    found.close()


LIMITS: dict[str, Any] = {"statement_timeout": 1.0, "tcp_user_timeout": 0.5, "connect_timeout": 2, "pool_timeout": 1.0}


def through(proxy: Proxy, place: Place) -> Any:
    port = str(storage.configured(place.user).port)
    return storage.configured(place.user.replace(f":{port}/", f":{proxy.port}/"), **LIMITS)


def test_a_line_that_is_open_and_silent_is_given_up(on_postgres: Place, proxy: Proxy) -> None:
    with StorageBackend(through(proxy, on_postgres), audit_key=KEY, retry_for=0).closing() as backend:
        backend.create_tenant("silent")
        proxy.silent.set()
        start = time.monotonic()
        with pytest.raises(errors.DatabaseUnreachable):
            backend.create_tenant("silent")
        assert time.monotonic() - start < 6
        proxy.silent.clear()
        backend.create_tenant("silent")  # by a new connection


def test_a_line_that_falls_silent_in_the_middle_of_a_transaction_is_given_up(on_postgres: Place, proxy: Proxy) -> None:
    with StorageBackend(through(proxy, on_postgres), audit_key=KEY, retry_for=0).closing() as backend:
        backend.create_tenant("middle")
        start = time.monotonic()
        with pytest.raises(errors.DatabaseUnreachable):
            backend._run("middle", lambda c: (c.execute(sa.text("select 1")), proxy.silent.set(), c.execute(sa.text("select 2"))))
        assert time.monotonic() - start < 4
        proxy.silent.clear()
        dataset = backend.create_dataset("middle", "d")
        rows = np.arange(20_000)
        proxy.silent.set()
        with pytest.raises(errors.DatabaseUnreachable):
            backend.batch_insert_row_hashes("middle", dataset, 1, np.column_stack([rows, rows]).astype(np.uint64), rows)
        proxy.silent.clear()
        stored = backend.batch_insert_row_hashes("middle", dataset, 1, np.column_stack([rows, rows]).astype(np.uint64), rows)
        assert stored == len(rows)


def test_work_goes_on_when_a_silent_line_is_followed_by_a_good_one(on_postgres: Place, proxy: Proxy) -> None:
    with StorageBackend(through(proxy, on_postgres), audit_key=KEY, retry_for=30).closing() as backend:
        stored = work(backend, "goes-on", 2)
        proxy.silent.set()
        threading.Timer(2.5, proxy.silent.clear).start()
        job = backend.create_job("goes-on", source={})
        assert backend.get_job("goes-on", job).state == "queued"
        is_all_there(backend, "goes-on", *stored, 2)


def test_a_long_migration_is_not_given_up(empty: Place) -> None:
    """What the server works on for long without a word is let go on where no limit was set."""
    if empty.owner.startswith("sqlite"):
        pytest.skip("SQLite is in the process: there is no line that could be silent")
    database = storage.connected(storage.configured(empty.owner, statement_timeout=0.3, tcp_user_timeout=0.2))
    with database.transaction("t") as connection:
        be_patient(connection, None)
        connection.execute(sa.text("select set_config('statement_timeout', '0', true)"))
        connection.execute(sa.text("select pg_sleep(1.2)"))
    database.close()


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
