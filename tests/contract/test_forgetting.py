"""What is forgotten is gone from every table, and nothing else is; it may be stopped anywhere and asked for again."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from data_sanitizer import errors
from data_sanitizer.storage import _forgetting
from data_sanitizer.storage._statements import new_id
from data_sanitizer.storage.schema import metadata
from data_sanitizer.storage_backend import StorageBackend, Target
from tests.contract.conftest import Place

KEPT = {"audit_logs", "tenants"}
OLD = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


def row(table: sa.Table, known: dict[str, Any], number: int) -> dict[str, Any]:
    """A row that holds something in every column that must."""
    made: dict[str, Any] = {}
    for column in table.columns:
        kind = column.type
        if column.name in known:
            made[column.name] = known[column.name]
        elif "Key128" in repr(kind) or isinstance(kind, sa.LargeBinary):
            made[column.name] = (number * 16).to_bytes(16, "big") if column.name != "other" else b"\xff" * 16
        elif isinstance(kind, sa.Uuid):
            made[column.name] = uuid.uuid4()
        elif isinstance(kind, sa.Boolean):
            made[column.name] = False
        elif isinstance(kind, sa.Integer | sa.Float):
            made[column.name] = number
        elif isinstance(kind, sa.JSON):
            made[column.name] = {}
        elif isinstance(kind, sa.String):
            made[column.name] = f"x{number}"
        elif not column.nullable:
            made[column.name] = OLD
    return made


def fill(backend: StorageBackend, tenant: str) -> dict[str, uuid.UUID]:
    """Something in every table: two datasets of two deliveries, a job of each dataset and one of none."""
    backend.create_tenant(tenant)
    names = {name: backend.create_dataset(tenant, name) for name in ("one", "two")}
    jobs = {name: backend.create_job(tenant, source={}, dataset_id=dataset) for name, dataset in [*names.items(), ("none", None)]}
    backend.insert_audit_log(tenant, "me", "made", "it")
    for job in jobs.values():
        backend.update_job_status(tenant, job, "success")

    def work(connection: sa.Connection) -> None:
        for table in metadata.sorted_tables:
            if table.name in (*KEPT, "datasets", "jobs"):
                continue
            if "dataset_id" in table.c:
                for k, dataset in enumerate(names.values()):
                    for no in (1, 2):
                        number = {"no": no, "delivery_no": no, "first_delivery": no, "dataset_id": dataset, "kind": "merged"}
                        connection.execute(sa.insert(table).values(row(table, {"tenant_id": tenant, **number}, 10 * k + no)))
            elif "job_id" in table.c:
                for job in jobs.values():
                    connection.execute(sa.insert(table).values(row(table, {"tenant_id": tenant, "job_id": job}, 1)))
            else:
                connection.execute(
                    sa.insert(table).values(row(table, {"tenant_id": tenant, "id": "k" if table.name == "api_keys" else new_id()}, 1))
                )

    backend._run(tenant, work)
    return {**names, **{f"job {name}": job for name, job in jobs.items()}}


def held(backend: StorageBackend, tenant: str) -> dict[str, int]:
    def work(connection: sa.Connection) -> dict[str, int]:
        asked = {t.name: sa.select(sa.func.count()).select_from(t).where(t.c.tenant_id == tenant) for t in metadata.sorted_tables}
        return {name: connection.execute(count).scalar_one() for name, count in asked.items()}

    return backend._run(tenant, work, read_only=True)


@contextmanager
def backend_of(place: Place) -> Iterator[StorageBackend]:
    with place.backend().closing() as backend:
        yield backend


def test_a_tenant_is_gone_from_every_table_and_another_is_whole(place: Place) -> None:
    with backend_of(place) as backend:
        names = [f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("gone", "stays")]
        for name in names:
            fill(backend, name)
        full = held(backend, names[1])
        assert min(full.values()) > 0, "a table that is not filled proves nothing"
        told = backend.would_forget(Target(names[0]))
        assert held(backend, names[0]) == full
        assert backend.forget(Target(names[0]), "me") == told
        assert {name for name, n in held(backend, names[0]).items() if n} == KEPT
        assert held(backend, names[1]) == full
        for refused in (lambda: backend.create_dataset(names[0], "new"), lambda: backend.create_job(names[0], source={})):
            with pytest.raises(errors.NotStored):
                refused()
        assert backend.verify_audit_log(names[0]).entries == 3


def test_a_dataset_is_gone_with_its_jobs_and_what_else_there_is_stays(place: Place) -> None:
    with backend_of(place) as backend:
        tenant = f"sets-{uuid.uuid4().hex[:8]}"
        ids, before = fill(backend, tenant), held(backend, tenant)
        counts = backend.forget(Target(tenant, dataset=ids["one"]), "me")
        after = held(backend, tenant)
        assert counts == {t: before[t] - after[t] for t in before if before[t] > after[t]}
        assert (after["datasets"], after["deliveries"], after["jobs"], after["cell_provenance"]) == (1, 2, 2, 2)
        assert [name for name, _ in backend.datasets(tenant)] == ["two"]
        with pytest.raises(errors.NotStored):
            backend.forget(Target(tenant, dataset=ids["one"]), "me")


def test_a_delivery_is_gone_with_the_decisions_about_its_rows(place: Place) -> None:
    with backend_of(place) as backend:
        tenant = f"one-{uuid.uuid4().hex[:8]}"
        ids = fill(backend, tenant)
        target = Target(tenant, dataset=ids["one"], delivery=1)
        told = backend.would_forget(target)
        counts = backend.forget(target, "me")
        assert told == counts
        assert (
            counts["must_not_link"] == counts["deliveries"] == counts["delivery_rows"] == counts["row_hashes"] == counts["lsh_samples"] == 1
        )
        assert [d.no for d in backend.deliveries(tenant, ids["one"])] == [2]
        assert [d.no for d in backend.deliveries(tenant, ids["two"])] == [1, 2]
        assert held(backend, tenant)["must_not_link"] == 3
        assert held(backend, tenant)["jobs"] == 3


def test_a_job_is_gone_with_its_provenance(place: Place) -> None:
    with backend_of(place) as backend:
        tenant = f"job-{uuid.uuid4().hex[:8]}"
        ids = fill(backend, tenant)
        counts = backend.forget(Target(tenant, job=ids["job one"]), "me")
        assert counts == {"cell_provenance": 1, "cluster_decisions": 1, "imputation_stats": 1, "job_chunks": 1, "jobs": 1, "profiles": 1}
        with pytest.raises(errors.NotStored):
            backend.get_job(tenant, ids["job one"])


class Stopped(Exception):
    """As a kill between two transactions."""


@pytest.mark.parametrize("calls", [1, 2, 3, 5, 8])
def test_what_was_stopped_half_way_goes_on_and_is_told_once(place: Place, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with backend_of(place) as backend:
        tenant = f"half-{uuid.uuid4().hex[:8]}"
        fill(backend, tenant)
        run, count = backend._run, 0

        def stopping(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count > calls:
                raise Stopped
            return run(*args, **options)

        monkeypatch.setattr(backend, "_run", stopping)
        with pytest.raises(Stopped):
            backend.forget(Target(tenant), "me")
        monkeypatch.setattr(backend, "_run", run)
        for _ in range(2):  # and once more, when it is done
            backend.forget(Target(tenant), "me")
        assert {name for name, n in held(backend, tenant).items() if n} == KEPT
        assert backend.verify_audit_log(tenant).entries == 3  # made, forgetting, forgotten


def test_pieces_take_all_and_nothing_else(place: Place) -> None:
    with backend_of(place) as backend:
        tenant, table = f"many-{uuid.uuid4().hex[:8]}", metadata.tables["cell_provenance"]
        backend.create_tenant(tenant)
        job = backend.create_job(tenant, source={})
        rows = [row(table, {"tenant_id": tenant, "job_id": job, "chunk": n // 10, "no": n % 10}, n) for n in range(25)]
        backend._run(tenant, lambda c: c.execute(sa.insert(table), rows))
        where = [table.c.tenant_id == tenant, table.c.chunk < 2]
        sizes = [backend._run(tenant, lambda c: _forgetting.piece(c, table, where, 8)) for _ in range(4)]
        assert sizes == [8, 8, 4, 0]
        assert held(backend, tenant)["cell_provenance"] == 5


def test_age_is_told_by_the_clock_of_the_database(place: Place) -> None:
    with backend_of(place) as backend:
        tenant = f"aged-{uuid.uuid4().hex[:8]}"
        ids = fill(backend, tenant)
        assert [(t.kind, t.delivery) for t in backend.expired(tenant, 3600, ids["one"])] == [("delivery", 1), ("delivery", 2)]
        assert len(backend.expired(tenant, 3600)) == 4  # jobs that ended just now are young
        assert len(backend.expired(tenant, -60)) == 7


def test_another_tenant_can_forget_nothing_of_this_one(place: Place) -> None:
    with backend_of(place) as backend:
        mine, theirs = (f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("mine", "theirs"))
        ids, _ = fill(backend, mine), backend.create_tenant(theirs)
        full = held(backend, mine)
        for target in (
            Target(theirs, dataset=ids["one"]),
            Target(theirs, dataset=ids["one"], delivery=1),
            Target(theirs, job=ids["job one"]),
        ):
            with pytest.raises(errors.NotStored):
                backend.forget(target, "me")
        backend.forget(Target(theirs), "me")
        assert held(backend, mine) == full
