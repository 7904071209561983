"""A backup made while others write is whole: put back into an empty place, the chains hold, and what was acknowledged before is there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from data_sanitizer import errors, safekeeping, storage
from data_sanitizer.model import Samples
from data_sanitizer.storage_backend import StorageBackend
from tests.contract import servers
from tests.contract.conftest import KEY, Place, migrated
from tests.contract.test_forgetting import fill, held
from tests.contract.test_storage_faults import is_all_there, work

CHUNKS = 6


def backend(url: str) -> StorageBackend:
    return StorageBackend(storage.configured(url), audit_key=KEY)


@pytest.fixture
def saved(empty: Place) -> Place:
    """A database to save: `owner` is who may read all of it."""
    migrated(empty)
    return Place(empty.owner.replace(servers.ROLES[0], "postgres"), empty.user)


@pytest.fixture
def target(saved: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the same kind."""
    if saved.user.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'restored.db'}"
    else:
        if shutil.which("pg_dump") is None:
            pytest.skip("no pg_dump on the PATH")
        yield servers.new_database(request.getfixturevalue("postgres"), f"restored_{os.getpid()}")[0]


@contextlib.contextmanager
def writing(place: Place, tenant: str) -> Iterator[None]:
    """Somebody who stores jobs, hashes and audit entries until the block ends."""
    done = threading.Event()

    def write() -> None:
        with place.backend().closing() as mine:
            mine.create_tenant(tenant)
            while not done.is_set():
                job = mine.create_job(tenant, source={"n": 1})
                mine.insert_audit_log(tenant, "worker", "stored", str(job))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_backup_made_while_jobs_are_written_is_whole(saved: Place, target: str, tmp_path: Path) -> None:
    files, back = tmp_path / "files", tmp_path / "files-back"
    (files / "in").mkdir(parents=True)
    (files / "in" / "a.csv").write_bytes(b"a,b\n1,2\n")
    (files / "in" / ".b.csv.partial").write_bytes(b"half")
    with saved.backend().closing() as mine:
        fill(mine, "acme")
        stored, full = work(mine, "before", CHUNKS), held(mine, "acme")
        samples = Samples(str(stored[0]), 7, 0, np.arange(8, dtype=np.uint64).reshape(4, 2), np.ones((4, 128), np.uint32))
        mine.batch_insert_lsh_samples("before", samples)
    with writing(saved, "busy"), backend(saved.owner).closing() as all_seeing:
        told = safekeeping.backup(all_seeing, tmp_path / "backup", [files])
    assert set(told["audit"]) >= {"acme", "before"}
    with backend(target).closing() as other:
        safekeeping.restore(other, tmp_path / "backup", [back])
        is_all_there(other, "before", *stored, CHUNKS)
        assert held(other, "acme") == full
        for look in other.parts().values():
            look()
        if "busy" in other.tenants():
            jobs = held(other, "busy")["jobs"]
            assert other.verify_audit_log("busy").entries in (jobs, jobs - 1)  # at one moment: an entry follows its job
        found = other.query_lsh_candidates("before", stored[0], np.ones((1, 128), np.uint32), limit=4)
        assert (len(found.hashes), found.degraded) == (4, False)
        other.insert_audit_log("acme", "me", "went", "on")
        with pytest.raises(errors.NotEmpty):
            safekeeping.restore(other, tmp_path / "backup", [tmp_path / "elsewhere"])
    assert [p.relative_to(back).as_posix() for p in sorted(back.rglob("*")) if p.is_file()] == ["in/a.csv"]
    assert (back / "in" / "a.csv").read_bytes() == b"a,b\n1,2\n"


def test_rows_are_kept_apart_in_what_was_put_back(on_postgres: Place, postgres: servers.PostgresServer, tmp_path: Path) -> None:
    if shutil.which("pg_dump") is None:
        pytest.skip("no pg_dump on the PATH")
    tenants = [f"{kind}-{uuid.uuid4().hex[:6]}" for kind in ("mine", "theirs")]
    with on_postgres.backend().closing() as mine:
        ids = [fill(mine, tenant) for tenant in tenants]
    with backend(on_postgres.owner.replace(servers.ROLES[0], "postgres")).closing() as all_seeing:
        safekeeping.backup(all_seeing, tmp_path / "backup", [])
    restored = Place(*servers.new_database(postgres, f"apart_{os.getpid()}"))
    with backend(restored.owner).closing() as owner:
        safekeeping.restore(owner, tmp_path / "backup", [])
        owner.grant(servers.ROLES[1])
    with restored.backend().closing() as service:
        assert service.get_job(tenants[0], ids[0]["job one"]).state == "success"
        with pytest.raises(errors.NotStored):
            service.get_job(tenants[1], ids[0]["job one"])
        assert service.verify_audit_log(tenants[1]).unsigned == 0
    assert servers.rows(restored.user, "select count(*) from jobs") == [(0,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        servers.rows(restored.owner, "truncate audit_logs")


def test_a_role_that_row_level_security_holds_saves_nothing_and_is_told(on_postgres: Place, tmp_path: Path) -> None:
    if shutil.which("pg_dump") is None:
        pytest.skip("no pg_dump on the PATH")
    with on_postgres.backend().closing() as mine, pytest.raises(errors.DatabaseRefused, match=r"BYPASSRLS|lacks a right"):
        safekeeping.backup(mine, tmp_path / "backup", [])
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_was_touched_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    url, kept = f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "backup"
    with backend(url).closing() as mine:
        mine.migrate()
        fill(mine, "acme")
        safekeeping.backup(mine, kept, [])
    with backend(f"sqlite:///{tmp_path / 'b.db'}").closing() as other:
        with pytest.raises(errors.BackupUnreadable, match="as many with --files"):
            safekeeping.restore(other, kept, [tmp_path / "files"])
        with (kept / safekeeping.DATABASE).open("r+b") as file:
            file.seek(5000)
            file.write(b"spoiled")
        with pytest.raises(errors.BackupUnreadable, match="not as it was written"):
            safekeeping.restore(other, kept, [])
        (kept / safekeeping.MANIFEST).write_text(json.dumps({"schema": "other"}))
        with pytest.raises(errors.BackupUnreadable):
            safekeeping.restore(other, kept, [])
    assert not (tmp_path / "b.db").exists()


def test_a_chain_that_is_shorter_than_when_it_was_saved_is_found(tmp_path: Path) -> None:
    import sqlite3

    from data_sanitizer import run_folder

    kept = tmp_path / "backup"
    with backend(f"sqlite:///{tmp_path / 'a.db'}").closing() as mine:
        mine.migrate()
        work(mine, "acme", 3)
        safekeeping.backup(mine, kept, [])
    with contextlib.closing(sqlite3.connect(kept / safekeeping.DATABASE)) as connection:
        connection.executescript("drop trigger audit_logs_delete; delete from audit_logs where seq = 3;")
    told = json.loads((kept / safekeeping.MANIFEST).read_text())
    told["sha256"][safekeeping.DATABASE] = run_folder.sha256(kept / safekeeping.DATABASE)
    (kept / safekeeping.MANIFEST).write_text(json.dumps(told))
    with backend(f"sqlite:///{tmp_path / 'b.db'}").closing() as other, pytest.raises(errors.AuditBroken):
        safekeeping.restore(other, kept, [])
