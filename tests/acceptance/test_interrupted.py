"""Interrupted anywhere, killed, or out of space: never a run directory that looks finished, never half a file under the final name."""

from __future__ import annotations

import json
import resource
import signal
import time
from pathlib import Path

import pytest

from data_sanitizer.benchmark_generator import generate
from data_sanitizer.pipeline.sanitize import sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.verification import verify
from tests.acceptance.command import call, left_over, start


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cleaned once, so that the kernels are compiled before a test waits for a stage."""
    folder = tmp_path_factory.mktemp("table")
    path = generate(20_000, folder)["csv"]
    sanitize([str(path)], folder / "run", load_recipe("careful"))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("stage", ["manifest.json", "scratch", "cleaned.parquet"])
def test_a_signal_at_any_stage_leaves_no_run(number: signal.Signals, stage: str, table: Path, tmp_path: Path) -> None:
    """Stopped when the named file appears in the folder that is written aside: early, in the middle, at the very end."""
    out = tmp_path / "out"
    out.mkdir()
    process = start("clean", table, "-o", out / "run", "--threads", 1)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and not any((p / stage).exists() for p in out.iterdir()):
        time.sleep(0.001)
    process.send_signal(number)
    code = process.wait(60)
    process.communicate()
    assert code in ((0, -9) if number is signal.SIGKILL else (0, 130))
    if (out / "run").exists():  # it was published before the signal came: then the run is whole
        assert json.loads((out / "run" / "manifest.json").read_text())["rows"]["in"] == 20_000
        assert verify(out / "run", [str(table)]).rows == 20_000
        return
    assert code != 0
    if number is not signal.SIGKILL:
        assert left_over(out) == []


def test_after_a_kill_the_same_command_succeeds_and_cleans_up(table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    process = start("clean", table, "-o", tmp_path / "run")
    while process.poll() is None and not left_over(tmp_path):
        time.sleep(0.001)
    process.kill()
    process.wait()
    process.communicate()
    assert call(capfd, "clean", table, "-o", tmp_path / "run", "--quiet").code == 0
    assert left_over(tmp_path) == ["run"]


@pytest.mark.parametrize("size", [20_000, 300_000, 1_500_000])
@pytest.mark.parametrize("output_format", ["parquet", "csv"])
def test_a_full_disk_says_so_and_leaves_nothing(size: int, output_format: str, table: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: the system answers a write beyond it with an error as well."""
    out = tmp_path / "out"
    out.mkdir()

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    process = start("clean", table, "-o", out / "run", "--format", output_format, preexec_fn=limited)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert "space" in err
    assert left_over(out) == []
