"""An operator makes a database, has its audit log verified and its parts looked at, through the command."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data_sanitizer.errors import SettingUnusable
from data_sanitizer.settings import StorageSettings, variable
from data_sanitizer.storage import migrations
from data_sanitizer.storage_backend import SqliteConfig, StorageBackend

KEY = "0123456789abcdef"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("DATA_SANITIZER_")}


def run(*arguments: str, program: str = "cli", **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"data_sanitizer.{program}", *arguments]
    told = {variable(name): value for name, value in settings.items()}
    return subprocess.run(command, capture_output=True, text=True, env=CLEAN | told, timeout=60, check=False)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "audit.key").write_text(KEY)
    return {"database_url": f"sqlite:///{tmp_path}/service.db", "audit_key_file": str(tmp_path / "audit.key")}


def filled(settings: dict[str, str], n: int) -> None:
    config = SqliteConfig(Path(settings["database_url"].removeprefix("sqlite:///")))
    with StorageBackend(config, audit_key=KEY.encode()).closing() as backend:
        backend.create_tenant("acme")
        for i in range(n):
            backend.insert_audit_log("acme", "me", "made", str(i))


@pytest.mark.parametrize(("program", "arguments"), [("cli", ["migrate"]), ("storage_backend", [])], ids=["command", "module"])
def test_a_database_is_made_and_made_again(settings: dict[str, str], program: str, arguments: list[str]) -> None:
    for _ in range(2):
        result = run(*arguments, program=program, **settings)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", f"The database has schema {migrations.newest()}.\n")
    assert run("doctor", **settings).stderr.startswith(f"database: sqlite, schema {migrations.newest()}\nclock: agrees")


def test_verification_names_what_was_changed_and_exits_with_1(settings: dict[str, str], tmp_path: Path) -> None:
    run("migrate", **settings)
    filled(settings, 5)
    good = run("audit", "verify", "acme", **settings)
    assert (good.returncode, good.stderr) == (0, "5 entries verified, all signed.\n")
    head = run("audit", "head", "acme", **settings).stdout
    assert json.loads(head)["seq"] == 5
    (tmp_path / "anchor.json").write_text(head)
    with sqlite3.connect(tmp_path / "service.db") as connection:
        connection.executescript("drop trigger audit_logs_delete; delete from audit_logs where seq = 5;")
    connection.close()
    assert run("audit", "verify", "acme", **settings).returncode == 0  # nobody can see it without the anchor
    cut = run("audit", "verify", "acme", "--anchor", str(tmp_path / "anchor.json"), **settings)
    assert cut.returncode == 1
    assert "entry 5 was removed" in cut.stderr


def test_what_is_not_there_or_not_migrated_is_said_and_not_made(tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path}/missing.db"
    for command in (["doctor"], ["audit", "verify", "acme"]):
        result = run(*command, "--database", missing)
        assert result.returncode == 4
        assert "data-sanitizer migrate" in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert run("migrate", "--database", "mysql://x/y").returncode == 2
    assert run("migrate", "--database", missing, "--grant-to", "somebody").returncode == 2


@pytest.mark.parametrize(("name", "value"), [("pool_max", "many"), ("statement_timeout", "soon")])
def test_a_setting_of_the_wrong_kind_is_named_and_its_value_is_not_shown(name: str, value: str) -> None:
    result = run("doctor", **{name: value})
    assert result.returncode == 78
    assert variable(name) in result.stderr
    assert value not in result.stderr


def test_settings_come_from_the_environment_unless_they_are_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values: dict[str, Any] = {"database_url": "sqlite:///a.db", "pool_max": 3, "statement_timeout": 1.5}
    for name, value in values.items():
        monkeypatch.setenv(variable(name), str(value))
    read = StorageSettings.from_environment(pool_max=7)
    assert (read.database_url, read.pool_max, read.statement_timeout, read.busy_timeout) == ("sqlite:///a.db", 7, 1.5, 30.0)
    assert "a.db" not in repr(read)
    (tmp_path / "key").write_text("short")
    for file in ("key", "nothing"):
        with pytest.raises(SettingUnusable, match="AUDIT_KEY_FILE"):
            StorageSettings(audit_key_file=str(tmp_path / file)).audit_key()
