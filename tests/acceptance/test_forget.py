"""Deliveries to a dataset are held against the one before; what was delivered can be forgotten, with the folders of its runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_sanitizer.errors import ContractBroken
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.settings import StorageSettings, variable
from data_sanitizer.storage_backend import SqliteConfig, StorageBackend
from tests.acceptance.command import call
from tests.acceptance.test_compare import ROWS, table


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageBackend]:
    monkeypatch.setenv(variable("database_url"), f"sqlite:///{tmp_path}/service.db")
    assert StorageSettings.from_environment().database_url.endswith("service.db")
    with StorageBackend(SqliteConfig(tmp_path / "service.db")).closing() as found:
        found.migrate()
        yield found


def deliver(backend: StorageBackend, source: Path, run: Path, **options: Any) -> dict[str, Any]:
    return sanitize([str(source)], run, load_recipe("careful"), RunOptions(dataset=backend.dataset("acme", "customers"), **options))


def test_a_delivery_that_surprises_changes_nothing_until_it_is_accepted(backend: StorageBackend, tmp_path: Path) -> None:
    first, second, third = (table(tmp_path / f"{n}.csv", n, scale) for n, scale in ((1, 1), (2, 1000), (3, 1000)))
    assert deliver(backend, first, tmp_path / "run-1")["comparison"] is None
    with pytest.raises(ContractBroken, match=r"delivery 1 of customers.*'weight' unit"):
        deliver(backend, second, tmp_path / "run-2")
    assert not (tmp_path / "run-2").exists()
    dataset = backend.find_dataset("acme", "customers")
    assert [d.no for d in backend.deliveries("acme", dataset)] == [1]
    told = deliver(backend, second, tmp_path / "run-2", accept_changes=True)["comparison"]
    assert (told["before"], told["accepted"], told["stopping"]) == ("delivery 1 of customers", True, 1)
    assert deliver(backend, third, tmp_path / "run-3")["comparison"]["differences"] == []
    again = deliver(backend, third, tmp_path / "run-3-again")
    assert again["comparison"]["before"] == "delivery 2 of customers"
    for name in ("cleaned.parquet", "ledger.parquet", "entities.parquet"):
        assert (tmp_path / "run-3" / name).read_bytes() == (tmp_path / "run-3-again" / name).read_bytes()


def test_a_delivery_is_forgotten_with_its_run_and_its_rows_are_new_again(
    backend: StorageBackend, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = table(tmp_path / "1.csv", 1), table(tmp_path / "2.csv", 2)
    for n, source in enumerate((first, second), 1):
        deliver(backend, source, tmp_path / f"run-{n}")
    (tmp_path / "run-1" / "notes.txt").write_text("mine")
    asked = ("forget", "--tenant", "acme", "--dataset", "customers", "--delivery", "1")
    dry = call(capfd, *asked, "--dry-run")
    assert (dry.code, "would be deleted" in dry.err, "1 of deliveries" in dry.err) == (0, True, True)
    assert (tmp_path / "run-1" / "manifest.json").exists()
    done = call(capfd, *asked)
    assert (done.code, "1 of deliveries" in done.err, "1 run directories" in done.err) == (0, True, True)
    assert [p.name for p in (tmp_path / "run-1").iterdir()] == ["notes.txt"]
    assert (tmp_path / "run-2" / "manifest.json").exists()
    assert call(capfd, *asked).code == 2
    told = deliver(backend, first, tmp_path / "run-3")["dataset"]
    assert told["rows"] == {"seen": 0, "new": ROWS}
    entries = call(capfd, "audit", "verify", "acme")
    assert (entries.code, "2 entries verified" in entries.err) == (0, True)


def test_what_is_old_is_forgotten_for_all_tenants_and_a_run_that_was_replaced_is_left_alone(
    backend: StorageBackend, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deliver(backend, table(tmp_path / "1.csv", 1), tmp_path / "run")
    assert call(capfd, "forget", "--older-than", "1d").err == ""
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    (tmp_path / "run" / "manifest.json").write_text(json.dumps({**manifest, "seed": 5}))
    done = call(capfd, "forget", "--older-than", "0h")
    assert (done.code, "not at" in done.err) == (0, True)
    assert (tmp_path / "run" / "cleaned.parquet").exists()
    assert backend.deliveries("acme", backend.find_dataset("acme", "customers")) == []
    assert call(capfd, "forget", "--tenant", "acme", "--everything").code == 0
    assert backend.datasets("acme") == []


@pytest.mark.parametrize(
    "arguments",
    [(), ("--everything",), ("--tenant", "a"), ("--tenant", "a", "--delivery", "1"), ("--tenant", "a", "--everything", "--dataset", "d"),
     ("--older-than", "soon"), ("--tenant", "a", "--dataset", "none"), ("--tenant", "nobody", "--everything")],
    ids=lambda a: " ".join(a) or "nothing",
)  # fmt: skip
def test_what_is_not_said_plainly_is_refused(
    backend: StorageBackend, arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert call(capfd, "forget", *arguments).code == 2


def test_all_state_is_saved_and_put_back_by_commands(backend: StorageBackend, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    deliver(backend, table(tmp_path / "1.csv", 1), tmp_path / "runs" / "1")
    saved, files = tmp_path / "backup", ("--files", tmp_path / "runs")
    done = call(capfd, "backup", saved, *files)
    assert (done.code, "1 tenants, files of 1 places" in done.err) == (0, True)
    assert call(capfd, "backup", saved, *files).code == 2
    other = ("--database", f"sqlite:///{tmp_path}/other.db")
    assert call(capfd, "restore", saved, *files, *other).code == 2  # the files are there
    assert call(capfd, "restore", saved, "--files", tmp_path / "back", *other).code == 0
    assert call(capfd, "doctor", *other).code == 0
    assert call(capfd, "audit", "verify", "acme", *other).code == 0
    assert call(capfd, "verify", tmp_path / "back" / "1", tmp_path / "1.csv").code == 0
