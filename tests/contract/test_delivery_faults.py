"""A delivery while its database fails: it is made once and whole, or not at all, and then the same call makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

import data_sanitizer as ds
from data_sanitizer import errors
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.storage._deliveries import commit
from data_sanitizer.storage_backend import StorageBackend
from tests.contract import servers
from tests.contract.conftest import Place
from tests.contract.test_storage_faults import meanwhile

ROWS = 400


def table(folder: Path, first: int) -> Path:
    path = folder / f"{first}.csv"
    rows = range(first, first + ROWS)
    pl.DataFrame({"id": [f"{k:06}" for k in rows], "name": [f"Name {k * 7919 % 1000:03} {k}" for k in rows]}).write_csv(path)
    return path


def deliver(backend: StorageBackend, tenant: str, path: Path, run: Path) -> None:
    sanitize([str(path)], run, load_recipe(None), RunOptions(dataset=backend.dataset(tenant, "d")))


def is_made_once(backend: StorageBackend, tenant: str, counts: list[int]) -> None:
    dataset = backend.known_dataset(tenant, "d")
    assert [d.counts["new"] for d in dataset.state().deliveries] == counts
    assert sum(len(part.keys) for part in dataset.parts()) == sum(counts)
    assert len({tuple(entity) for part in dataset.parts() for entity in part.entities.tolist()}) == sum(counts)


@pytest.mark.parametrize("fault", ["restarted", "cut"])
def test_deliveries_go_on_when_postgres_comes_back(
    fault: str, postgres: servers.PostgresServer, on_postgres: Place, tmp_path: Path
) -> None:
    def restart() -> None:
        postgres.stop("immediate")
        postgres.start()

    def cut() -> None:
        servers.rows(
            postgres.url("postgres", "postgres"),
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'data-sanitizer'",
        )

    try:
        with on_postgres.backend(retry_for=30).closing() as backend:
            with meanwhile(*((restart, 0.3, 3) if fault == "restarted" else (cut, 0.05, 40))):
                for k in range(3):
                    deliver(backend, fault, table(tmp_path, k * ROWS // 2), tmp_path / f"run-{k}")
            is_made_once(backend, fault, [ROWS, ROWS // 2, ROWS // 2])
    finally:
        servers.rows(on_postgres.user, "select 1")  # it runs again, for the tests that follow


def test_a_connection_that_is_lost_after_the_database_took_the_delivery(
    on_postgres: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: it is stored, and the answer does not arrive."""
    lost = list[bool]()

    def answer_is_lost(connection: sa.Connection, *told: Any) -> None:
        commit(connection, *told)
        if not lost:
            lost.append(True)
            connection.commit()
            raise errors.DatabaseUnreachable(why="the connection was lost")

    monkeypatch.setattr("data_sanitizer.storage._deliveries.commit", answer_is_lost)
    with on_postgres.backend(retry_for=30).closing() as backend:
        deliver(backend, "lost", table(tmp_path, 0), tmp_path / "run")
        is_made_once(backend, "lost", [ROWS])
    assert lost
    assert (tmp_path / "run" / "manifest.json").exists()


def test_a_full_database_gets_no_half_of_a_delivery(tmp_path: Path) -> None:
    with StorageBackend(ds_config(tmp_path), audit_key=b"k").closing() as backend:
        backend.migrate()
        deliver(backend, "full", table(tmp_path, 0), tmp_path / "run-0")
        engine, full = backend._database._engine, [True]  # type: ignore[attr-defined]

        @sa.event.listens_for(engine, "connect")
        def limit(connection: Any, _: object) -> None:
            if full:
                connection.execute(f"pragma max_page_count = {connection.execute('pragma page_count').fetchone()[0] + 1}")

        engine.dispose()
        with pytest.raises(errors.DatabaseFull):
            deliver(backend, "full", table(tmp_path, 5000), tmp_path / "run-1")
        is_made_once(backend, "full", [ROWS])
        assert not (tmp_path / "run-1").exists()
        full.clear()
        engine.dispose()
        deliver(backend, "full", table(tmp_path, 5000), tmp_path / "run-1")
        is_made_once(backend, "full", [ROWS, ROWS])
    assert ds.compare(tmp_path / "run-0", tmp_path / "run-1")["entities"]["new"] == ROWS


def ds_config(folder: Path) -> Any:
    from data_sanitizer import storage

    return storage.configured(f"sqlite:///{folder}/full.db")
