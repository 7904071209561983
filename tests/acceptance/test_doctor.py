"""`doctor` looks at every part that the settings name, and for a part that is unfit says what helps."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from data_sanitizer import health
from data_sanitizer.errors import PackageMissing, PartUnfit
from data_sanitizer.settings import variable
from data_sanitizer.storage_backend import StorageBackend
from tests.acceptance.command import call


@pytest.fixture(autouse=True)
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Path:
    for name, value in {"database_url": f"sqlite:///{tmp_path}/service.db", "object_store": tmp_path / "objects",
                        "work_folder": tmp_path, "upload_bytes": 1000}.items():  # fmt: skip
        monkeypatch.setenv(variable(name), str(value))
    assert call(capfd, "migrate").code == 0
    return tmp_path


def test_all_is_well(service: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = call(capfd, "doctor")
    assert (done.code, done.out) == (0, "")
    assert [line.split(":")[0] for line in done.err.splitlines()] == ["database", "clock", "object store", "disk", "packages"]
    assert not (service / "objects").exists()  # looking makes nothing


@pytest.mark.parametrize(("setting", "value", "code", "cure"), [
    ("upload_bytes", str(10**18), 4, "Free some space"),
    ("broker_url", "redis://127.0.0.1:1/0", 4, "DATA_SANITIZER_BROKER_URL"),
    ("broker_url", "carrier://pigeon", 2, "redis://host"),
    ("pepper_file", "/nowhere/pepper", 78, "DATA_SANITIZER_PEPPER_FILE"),
], ids=["disk", "broker", "no-broker", "pepper"])  # fmt: skip
def test_an_unfit_part_is_named_with_what_helps_and_the_others_are_looked_at(
    setting: str, value: str, code: int, cure: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable(setting), value)
    done = call(capfd, "doctor")
    assert done.code == code
    assert cure in done.err
    assert "packages: data-sanitizer" in done.err
    assert "127.0.0.1" not in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(service: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (service / "objects").mkdir(mode=0o500)
    done = call(capfd, "doctor")
    assert done.code == 4
    assert "object store: " in done.err


def test_a_file_where_the_objects_should_be(service: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (service / "objects").write_text("")
    assert call(capfd, "doctor").code == 4


def test_a_bucket_is_written_to_and_left_as_it_was(
    service: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (service / "objects").mkdir()
    monkeypatch.setenv(variable("object_store"), f"file://{service}/objects")
    done = call(capfd, "doctor")
    assert done.code == 0
    assert "written, read and removed" in done.err
    assert [p for p in (service / "objects").rglob("*") if p.is_file()] == []


def test_clocks_that_differ_are_told(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(StorageBackend, "clock", lambda _: time.time() - 60)
    done = call(capfd, "doctor")
    assert done.code == 4
    assert "60 seconds apart" in done.err


def test_packages_that_are_missing_or_old_are_told() -> None:
    with pytest.raises(PackageMissing):
        health._check_package("no-such-package-anywhere", "1")
    with pytest.raises(PartUnfit, match=r"pip install"):
        health._check_package("polars", "9999.1")
