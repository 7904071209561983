"""Limits come from the call, then from the environment, then from the defaults; a run remembers those that were not as usual."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_sanitizer import errors, run_folder, settings
from data_sanitizer.model import ReadLimits, ReadOptions
from tests.acceptance.command import call


def test_the_call_comes_before_the_environment_and_that_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.read_limits() == ReadLimits()
    monkeypatch.setenv("DATA_SANITIZER_LIMIT_DEPTH", "10")
    monkeypatch.setenv("DATA_SANITIZER_LIMIT_COLUMNS", "20")
    assert settings.read_limits(["columns = 30"]) == ReadLimits(depth=10, columns=30)


@pytest.mark.parametrize("given", ["nope=1", "depth", "depth=", "depth=many", "depth=-1", "=5"])
def test_a_limit_that_is_none_is_a_usage_error(given: str) -> None:
    with pytest.raises(errors.UsageError):
        settings.read_limits([given])


def test_a_wrong_limit_in_the_environment_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_SANITIZER_LIMIT_DEPTH", "deep")
    with pytest.raises(errors.UsageError, match="depth"):
        settings.read_limits()


def test_what_a_run_remembers_gives_the_same_options() -> None:
    options = ReadOptions(sheet="S", mixed=(("a", "freeze"), ("", "quarantine")), limits=ReadLimits(depth=99))
    told = run_folder.reading_told(options)
    assert told == {"sheet": "S", "mixed": (("a", "freeze"), ("", "quarantine")), "limits": {"depth": 99}}
    assert run_folder.reading_from(json.loads(json.dumps(told))) == options
    assert run_folder.reading_told(ReadOptions()) == {}
    assert run_folder.reading_from({}) == ReadOptions()


def test_a_run_with_raised_limits_and_a_policy_can_be_verified(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    deep = '{"a":' * 70 + "1" + "}" * 70
    (tmp_path / "t.jsonl").write_text(f'{deep}\n{{"b":1}}\n{{"b":"x"}}\n{{"b":2}}\n')
    run = tmp_path / "run"
    done = call(capfd, "clean", tmp_path / "t.jsonl", "-o", run, "--limit", "depth=80", "--mixed", "b=quarantine", "--keep-duplicates")
    assert done.code == 0, done.err
    rows = json.loads((run / "manifest.json").read_text())["rows"]
    assert (rows["in"], rows["kept"], rows["quarantined"]) == (4, 3, 1)
    assert call(capfd, "verify", run, tmp_path / "t.jsonl").code == 0
