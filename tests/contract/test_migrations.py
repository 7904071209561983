"""The schema goes up and down, and an older version of the program works on while a newer schema is put in."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata

from data_sanitizer import errors, storage
from data_sanitizer.storage import migrations, schema
from tests.contract.conftest import Place, migrated


def test_migrations_go_up_down_and_up_again(empty: Place) -> None:
    database = storage.connected(storage.configured(empty.owner))
    with database.transaction(schema.EVERY_TENANT):
        pass  # a file is made by writing
    assert migrations.current(database) is None
    for _ in range(2):
        assert migrations.upgrade(database) == migrations.newest()
        assert migrations.upgrade(database) == migrations.newest()  # nothing left to do
        with database.transaction(schema.EVERY_TENANT) as connection:
            assert compare_metadata(migrations._context(connection), schema.metadata) == []
        assert migrations.downgrade(database, "base") == "base"
        with database.transaction(schema.EVERY_TENANT) as connection:
            assert set(sa.inspect(connection).get_table_names()) <= {migrations.TABLE}
    database.close()


def test_a_database_without_a_migration_is_refused(empty: Place) -> None:
    with empty.backend().closing() as backend, pytest.raises(errors.SchemaOutdated):
        backend.check()
    migrated(empty, "0001")
    with empty.backend().closing() as backend:
        with pytest.raises(errors.SchemaOutdated, match="0001"):
            backend.check()
        migrated(empty)
        backend.check()


def test_the_older_schema_serves_while_the_newer_is_put_in(empty: Place) -> None:
    """A worker of the first version writes the columns that it knows, before and after; the newest finds its jobs and works on them."""
    migrated(empty, "0001")
    jobs = [uuid.uuid4(), uuid.uuid4()]
    store_as_the_first_version(empty, "tenants", {"tenant_id": "acme", "created_at": dt.datetime.now(dt.UTC)})
    store_as_the_first_version(empty, "jobs", job_of_the_first_version(jobs[0], "a.csv"))
    migrated(empty)
    store_as_the_first_version(empty, "jobs", job_of_the_first_version(jobs[1], "b.csv"))
    with empty.backend().closing() as backend:
        found = [backend.get_job("acme", job) for job in jobs]
        assert [(job.source["name"], job.state) for job in found] == [("a.csv", "queued"), ("b.csv", "queued")]
        claimed = [backend.claim_job(["small"], lease_seconds=9, tenant_jobs=9) for _ in jobs]
        assert {job.id for job in claimed if job} == set(jobs)


def job_of_the_first_version(job: uuid.UUID, name: str) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC)
    return {
        "tenant_id": "acme", "id": job, "state": "queued", "stage": "pass1", "lane": "small", "priority": 0, "attempt": 0,
        "max_attempts": 5, "crash_count": 0, "run_after": now, "cancel_requested": False, "source": {"name": name},
        "options": {}, "progress": {},
        "degraded": [], "created_at": now, "updated_at": now,
    }  # fmt: skip


def store_as_the_first_version(place: Place, table: str, values: dict[str, Any]) -> None:
    known = schema.metadata.tables[table].columns
    columns = [sa.column(name, known[name].type) for name in values]
    database = storage.connected(storage.configured(place.user))
    with database.transaction("acme") as connection:
        connection.execute(sa.insert(sa.table(table, *columns)).values(values))
    database.close()


def test_every_table_has_the_tenant_in_its_key() -> None:
    assert [t.name for t in schema.metadata.sorted_tables if "tenant_id" not in t.primary_key.columns] == []
    keys_of = [k for t in schema.metadata.sorted_tables for k in t.foreign_key_constraints]
    assert [k.name for k in keys_of if "tenant_id" not in k.column_keys] == []
