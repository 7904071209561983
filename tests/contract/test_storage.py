"""Both databases keep the same promises: the same answers, every tenant alone, and a call that is made again changes nothing."""

from __future__ import annotations

import datetime as dt
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from data_sanitizer import errors, ledger, storage
from data_sanitizer.storage import schema
from data_sanitizer.storage_backend import AuditHead, StorageBackend
from tests.contract import servers
from tests.contract.conftest import Place


@pytest.fixture
def backend(place: Place) -> Iterator[StorageBackend]:
    with place.backend().closing() as found:
        yield found


@pytest.fixture
def tenant(backend: StorageBackend) -> str:
    name = f"tenant-{uuid.uuid4().hex[:8]}"
    backend.create_tenant(name)
    return name


def keys(*numbers: int) -> np.ndarray[Any, Any]:
    return np.array([[n >> 64, n & (2**64 - 1)] for n in numbers], np.uint64).reshape(-1, 2)


def entries(n: int, **values: Any) -> pl.DataFrame:
    told = {"source": "a.csv", "column": "name", "action": "set", "old": "x", "new": "y", "rule": "trim_blanks", "rule_version": 1} | values
    return ledger.entries(pl.Series(range(n), dtype=pl.UInt64), **told)


def everything(parts: Iterator[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(list(parts))


def raw(backend: StorageBackend, tenant: str, statement: Any) -> Any:
    """A statement past the methods, as the user that the service has."""
    with backend._database.transaction(tenant) as connection:
        found = connection.execute(statement)
        return found.all() if found.returns_rows else found.rowcount


# Jobs


def test_a_job_is_stored_as_it_was_given(backend: StorageBackend, tenant: str) -> None:
    dataset = backend.create_dataset(tenant, "customers")
    job = backend.create_job(
        tenant, source={"name": "é\0.csv"}, options={"recipe": "careful"}, dataset_id=dataset, lane="large", priority=3
    )
    found = backend.get_job(tenant, job)
    assert (found.id, found.tenant_id, found.dataset_id, found.state, found.stage) == (job, tenant, dataset, "queued", "pass1")
    assert (found.source, found.options, found.lane, found.priority) == ({"name": "é\0.csv"}, {"recipe": "careful"}, "large", 3)
    assert abs(found.created_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert found.run_after <= found.updated_at + dt.timedelta(seconds=1)
    assert backend.create_dataset(tenant, "customers") == dataset


def test_an_idempotency_key_names_one_job(backend: StorageBackend, tenant: str) -> None:
    def create(key: str, fingerprint: str) -> uuid.UUID:
        return backend.create_job(tenant, source={}, idempotency_key=key, request_fingerprint=fingerprint)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: create("k", "f"), range(16)))) == 1
    assert create("other", "f") != create("k", "f")
    with pytest.raises(errors.IdempotencyKeyReused):
        create("k", "another request")


def test_a_job_at_its_end_stays_as_it_is(backend: StorageBackend, tenant: str) -> None:
    job = backend.create_job(tenant, source={})
    backend.update_job_status(tenant, job, "failed", error={"code": "empty-input"})
    ended = backend.get_job(tenant, job)
    assert (ended.state, ended.error) == ("failed", {"code": "empty-input"})
    assert ended.finished_at
    backend.update_job_status(tenant, job, "failed", error={"code": "another"})  # the same again is no error, and no change
    assert backend.get_job(tenant, job) == ended
    with pytest.raises(errors.LeaseLost):
        backend.update_job_status(tenant, job, "queued")


@pytest.mark.parametrize(("seconds", "holds"), [(30, True), (-1, False)])
def test_only_who_holds_the_lease_may_change_a_running_job(backend: StorageBackend, tenant: str, seconds: int, holds: bool) -> None:
    from data_sanitizer.storage._types import now

    job, token = backend.create_job(tenant, source={}), uuid.uuid4()
    raw(
        backend,
        tenant,
        sa.update(schema.jobs).where(schema.jobs.c.id == job).values(state="running", lease_token=token, lease_until=now(seconds)),
    )
    with pytest.raises(errors.LeaseLost):
        backend.update_job_status(tenant, job, "success", lease_token=uuid.uuid4())
    if holds:
        backend.update_job_status(tenant, job, "running", lease_token=token, progress={"rows": 5})
        backend.update_job_status(tenant, job, "success", lease_token=token, manifest_sha256="ab")
        backend.update_job_status(tenant, job, "success", lease_token=token, manifest_sha256="ab")  # the answer was lost: asked again
        assert (backend.get_job(tenant, job).progress, backend.get_job(tenant, job).manifest_sha256) == ({"rows": 5}, "ab")
    else:
        with pytest.raises(errors.LeaseLost):
            backend.update_job_status(tenant, job, "success", lease_token=token)
        assert backend.get_job(tenant, job).state == "running"


def test_a_running_job_without_a_lease_cannot_be(backend: StorageBackend, tenant: str) -> None:
    job = backend.create_job(tenant, source={})
    with pytest.raises(errors.DatabaseRefused):
        backend.update_job_status(tenant, job, "running")
    with pytest.raises(errors.DatabaseRefused):
        backend.update_job_status(tenant, job, "no such state")


# Tenants


def test_nothing_crosses_from_one_tenant_to_another(backend: StorageBackend, tenant: str) -> None:
    backend.create_tenant("other")
    dataset, job = backend.create_dataset(tenant, "d"), backend.create_job(tenant, source={})
    backend.batch_insert_row_hashes(tenant, dataset, 1, keys(1, 2), np.arange(2))
    backend.store_imputation_stats(tenant, job, {"a": 1})
    backend.batch_insert_provenance(tenant, job, 0, entries(3))
    for method in (lambda: backend.get_job("other", job), lambda: backend.update_job_status("other", job, "failed"),
                   lambda: backend.batch_insert_provenance("other", job, 0, entries(1)),
                   lambda: backend.batch_insert_row_hashes("other", dataset, 1, keys(3), np.arange(1))):  # fmt: skip
        with pytest.raises(errors.NotStored):
            method()
    assert not backend.check_existing_hashes("other", dataset, keys(1, 2)).any()
    assert backend.get_imputation_stats("other", job) == {}
    assert everything(backend.find_provenance("other", job)).is_empty()


def test_a_tenant_that_is_not_there_gets_no_job(backend: StorageBackend) -> None:
    with pytest.raises(errors.NotStored, match="nobody"):
        backend.create_job("nobody", source={})


@pytest.mark.parametrize("name", sorted(schema.metadata.tables))
def test_postgres_itself_shows_nothing_without_a_tenant(on_postgres: Place, name: str) -> None:
    with on_postgres.backend().closing() as backend:
        backend.create_tenant("full")
        dataset, job = backend.create_dataset("full", "d"), backend.create_job("full", source={})
        backend.batch_insert_row_hashes("full", dataset, 1, keys(1), np.arange(1))
        backend.batch_insert_provenance("full", job, 0, entries(1))
        backend.insert_audit_log("full", "me", "made", "it")
    statement = sa.select(schema.metadata.tables[name].c.tenant_id)
    for url in (on_postgres.user, on_postgres.owner):
        assert servers.rows(url, str(statement)) == []
    if name in {"row_hashes", "cell_provenance", "audit_logs", "datasets"}:
        with on_postgres.backend().closing() as backend:
            assert {row[0] for row in raw(backend, "full", statement)} == {"full"}
            if name not in schema.FOR_WORKERS:
                assert raw(backend, schema.EVERY_TENANT, statement) == []


def test_postgres_refuses_a_row_of_another_tenant(on_postgres: Place) -> None:
    with on_postgres.backend().closing() as backend:
        backend.create_tenant("one")
        values = {"tenant_id": "two", "id": uuid.uuid4(), "name": "d", "options": {}, "created_at": dt.datetime.now(dt.UTC)}
        with pytest.raises(errors.DatabaseRefused):
            raw(backend, "one", sa.insert(schema.datasets).values(values))


# Hashes


def test_hashes_are_known_after_they_were_stored(backend: StorageBackend, tenant: str) -> None:
    dataset = backend.create_dataset(tenant, "d")
    some = keys(0, 1, 2**64, 2**128 - 1, 7)
    assert backend.batch_insert_row_hashes(tenant, dataset, 1, some[:4], np.arange(4)) == 4
    assert backend.batch_insert_row_hashes(tenant, dataset, 1, some[:4], np.arange(4)) == 0
    assert backend.batch_insert_row_hashes(tenant, dataset, 2, some, np.arange(5)) == 1
    assert backend.check_existing_hashes(tenant, dataset, keys(9, 7, 2**128 - 1, 0, 7)).tolist() == [False, True, True, True, True]
    assert backend.check_existing_hashes(tenant, dataset, some, before=2).tolist() == [True] * 4 + [False]
    assert backend.check_existing_hashes(tenant, backend.create_dataset(tenant, "e"), some).sum() == 0
    assert backend.check_existing_hashes(tenant, dataset, keys()).tolist() == []


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_first_place_of_a_hash_does_not_depend_on_the_order_of_batches(
    backend: StorageBackend, tenant: str, data: st.DataObject
) -> None:
    occurrences = data.draw(
        st.lists(st.tuples(st.integers(1, 3), st.integers(0, 50), st.integers(0, 9)), min_size=1, unique_by=lambda o: o[:2])
    )
    batches = data.draw(st.permutations(occurrences))
    size, dataset = data.draw(st.integers(1, 5)), backend.create_dataset(tenant, uuid.uuid4().hex)
    for delivery in data.draw(st.permutations([1, 2, 3])):
        mine = [o for o in batches if o[0] == delivery]
        for start in range(0, len(mine), size):
            part = mine[start : start + size]
            backend.batch_insert_row_hashes(tenant, dataset, delivery, keys(*(o[2] for o in part)), np.array([o[1] for o in part]))
    t = schema.row_hashes.c
    found = raw(backend, tenant, sa.select(t.hash, t.first_delivery, t.first_row).where(t.dataset_id == dataset))
    first = {h: min(o[:2] for o in occurrences if o[2] == h) for h in {o[2] for o in occurrences}}
    assert {int.from_bytes(h): (delivery, row) for h, delivery, row in found} == first


def test_many_hashes_at_once_from_several_threads(backend: StorageBackend, tenant: str) -> None:
    dataset = backend.create_dataset(tenant, "d")
    some = np.random.default_rng(1).integers(0, 2**64, (20_000, 2), np.uint64)
    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(
            lambda i: backend.batch_insert_row_hashes(tenant, dataset, 1, some[: 5_000 * (i + 1)], np.arange(5_000 * (i + 1))), range(4)
        )
    assert sum(parts) == 20_000
    assert backend.check_existing_hashes(tenant, dataset, some).all()


# Statistics and provenance


def test_statistics_are_replaced_by_column(backend: StorageBackend, tenant: str) -> None:
    job = backend.create_job(tenant, source={})
    backend.store_imputation_stats(tenant, job, {"a\0": {"median": 1.5}, "b\\0": {"mode": "x\0"}})
    backend.store_imputation_stats(tenant, job, {"b\\0": {"mode": "y"}, "é": None})
    assert backend.get_imputation_stats(tenant, job) == {"a\0": {"median": 1.5}, "b\\0": {"mode": "y"}, "é": None}


texts = st.none() | st.text(st.sampled_from('a\0\\\n\r"é\t,😀0'), max_size=5)
lines = st.tuples(texts, st.none() | st.integers(0, 2**40), texts, st.sampled_from(ledger.ACTIONS), texts, texts, texts, st.booleans())


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines, max_size=12), st.integers(1, 7))
def test_provenance_comes_back_as_it_was(backend: StorageBackend, tenant: str, told: list[Any], limit: int) -> None:
    names = ["source", "row", "column", "action", "old", "new", "evidence", "sensitive"]
    frame = pl.DataFrame(told, schema=[(n, ledger.SCHEMA[n]) for n in names], orient="row")
    extra = [pl.lit("rule").alias("rule"), pl.lit(3, pl.UInt16).alias("rule_version"), pl.lit(0.25, pl.Float32).alias("confidence")]
    frame = frame.with_columns(extra).select(list(ledger.SCHEMA))
    job = backend.create_job(tenant, source={})
    half = len(told) // 2
    for chunk, part in ((1, frame[half:]), (0, frame[:half]), (1, frame[half:])):  # in any order, and twice
        backend.batch_insert_provenance(tenant, job, chunk, part)
    assert_frame_equal(everything(backend.find_provenance(tenant, job, limit=limit)), frame)
    for name in ("row", "column"):
        for value in frame[name].drop_nulls().unique().to_list():
            found = everything(backend.find_provenance(tenant, job, **{name: value}))
            assert_frame_equal(found, frame.filter(pl.col(name) == value))


def test_provenance_is_found_by_rule(backend: StorageBackend, tenant: str) -> None:
    job = backend.create_job(tenant, source={})
    assert backend.batch_insert_provenance(tenant, job, 0, entries(3)) == 3
    assert backend.batch_insert_provenance(tenant, job, 1, entries(2, rule="dates")) == 2
    assert backend.batch_insert_provenance(tenant, job, 1, entries(9)) == 0
    assert everything(backend.find_provenance(tenant, job, rule="dates")).height == 2


# Audit


def chain(backend: StorageBackend, tenant: str, n: int) -> list[AuditHead]:
    return [backend.insert_audit_log(tenant, "me", "changed", f"job {i}", {"i": i, "text": "é\0"}) for i in range(n)]


def test_an_audit_log_verifies(backend: StorageBackend, tenant: str) -> None:
    heads = chain(backend, tenant, 5)
    state = backend.verify_audit_log(tenant, heads[2])
    assert (state.entries, state.head, state.unsigned) == (5, heads[4], 0)
    event = uuid.uuid4()
    assert len({backend.insert_audit_log(tenant, "me", "x", "y", event_id=event) for _ in range(3)}) == 1
    assert backend.verify_audit_log(tenant).entries == 6
    assert backend.verify_audit_log("nobody").entries == 0


def test_a_chain_has_one_end_whoever_writes(backend: StorageBackend, tenant: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        heads = list(pool.map(lambda i: backend.insert_audit_log(tenant, "me", "x", str(i)), range(24)))
    assert sorted(h.seq for h in heads) == list(range(1, 25))
    assert backend.verify_audit_log(tenant).entries == 24


@pytest.mark.parametrize(
    "change", [sa.update(schema.audit_logs).values(actor="nobody"), sa.delete(schema.audit_logs)], ids=["update", "delete"]
)
def test_the_audit_log_is_append_only(backend: StorageBackend, tenant: str, change: Any) -> None:
    chain(backend, tenant, 2)
    with pytest.raises(errors.DatabaseRefused):
        raw(backend, tenant, change.where(schema.audit_logs.c.tenant_id == tenant))
    assert backend.verify_audit_log(tenant).entries == 2


TAMPERED: dict[str, tuple[Callable[[str], list[str]], int, str]] = {
    "changed": (lambda t: [f"update audit_logs set actor = 'x' where tenant_id = '{t}' and seq = 3"], 3, "changed"),
    "changed, last": (lambda t: [f"update audit_logs set detail = '{{}}' where tenant_id = '{t}' and seq = 6"], 6, "changed"),
    "removed": (lambda t: [f"delete from audit_logs where tenant_id = '{t}' and seq = 3"], 3, "removed"),
    "first removed": (lambda t: [f"delete from audit_logs where tenant_id = '{t}' and seq = 1"], 1, "removed"),
    "end cut off": (lambda t: [f"delete from audit_logs where tenant_id = '{t}' and seq > 4"], 5, "removed"),
    "inserted": (
        lambda t: [
            *(f"update audit_logs set seq = {n + 1} where tenant_id = '{t}' and seq = {n}" for n in (6, 5, 4)),
            "insert into audit_logs"
            " select tenant_id, 4, '00000000000000000000000000000001', at, actor, action, subject, detail, hash, hash, mac"
            f" from audit_logs where tenant_id = '{t}' and seq = 3",
        ],
        4,
        "inserted",
    ),
}


@pytest.mark.parametrize(("tamper", "entry", "what"), TAMPERED.values(), ids=TAMPERED)
def test_verification_names_the_first_entry_that_was_touched(
    place: Place, backend: StorageBackend, tenant: str, tamper: Callable[[str], list[str]], entry: int, what: str
) -> None:
    anchor = chain(backend, tenant, 6)[5]
    _past_the_guards(place, tamper(tenant))
    with pytest.raises(errors.AuditBroken) as found:
        backend.verify_audit_log(tenant, anchor)
    assert (found.value.facts["entry"], str(found.value.facts["what"]).split(",")[0]) == (entry, what)


def test_a_chain_written_anew_without_the_key_is_found(place: Place, backend: StorageBackend, tenant: str) -> None:
    with StorageBackend(storage.configured(place.user)).closing() as forger:
        forger.insert_audit_log(tenant, "forger", "made", "it")
        assert forger.verify_audit_log(tenant).unsigned == 1
    with pytest.raises(errors.AuditBroken):
        backend.verify_audit_log(tenant)


def _past_the_guards(place: Place, statements: list[str]) -> None:
    """As somebody with every right on the database's files would do it."""
    if place.owner.startswith("sqlite"):
        with sqlite3.connect(place.owner.removeprefix("sqlite:///")) as connection:
            guards = connection.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
            for statement in [*(f"drop trigger {name}" for name, _ in guards), *statements, *(made for _, made in guards)]:
                connection.execute(statement)
        connection.close()
        return
    superuser = place.owner.replace(servers.ROLES[0], "postgres")
    for statement in ["alter table audit_logs disable trigger user", *statements, "alter table audit_logs enable trigger user"]:
        servers.rows(superuser, statement)
