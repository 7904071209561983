"""The process that reads untrusted files, as a user of the command meets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.acceptance.command import call, left_over, start
from tests.unit import hostile_format


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("name,city\n" + "".join(f"name {i},city {i % 7}\n" for i in range(300)))
    return path


def test_a_file_that_kills_its_reader_is_refused_and_the_next_is_cleaned(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile_format.install(tmp_path, monkeypatch)
    bad, out = tmp_path / "bad.hostile", tmp_path / "out"
    bad.write_text("segfault later")
    done = call(capfd, "convert", bad, "-o", tmp_path / "bad.csv")
    assert (done.code, "SIGSEGV" in done.err, str(bad) in done.err) == (3, True, True)
    monkeypatch.undo()
    assert left_over(tmp_path) == ["bad.hostile", "site", "table.csv"]
    assert call(capfd, "convert", table, "-o", out.with_suffix(".csv")).code == 0
    assert out.with_suffix(".csv").read_text() == table.read_text()


def test_no_reader_outlives_a_program_that_is_killed(tmp_path: Path) -> None:
    """Killed while the reader is at work, and busy where it cannot look whether anybody waits for it."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom data_sanitizer.model import ReadOptions\n"
        "from data_sanitizer.sandbox.reading import Sandbox\n"
        "sys.path.append(sys.argv[2])\n"
        "sandbox = Sandbox(Path(sys.argv[1]))\n"
        "sandbox.open(Path(sys.argv[1]) / 'file.hostile', ReadOptions(format='hostile'))\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        hostile_format.install(tmp_path, patch)
    (tmp_path / "file.hostile").write_text("spin open")
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(tmp_path / "site")])
    readers: list[psutil.Process] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (readers and readers[0].cpu_times().user > 0.1 and (tmp_path / "reader-0").exists()):
        readers = psutil.Process(parent.pid).children()
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    gone, alive = psutil.wait_procs(readers, timeout=10)
    assert (len(gone), alive) == (1, [])


def test_a_call_that_fails_early_leaves_no_reader(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, "clean", tmp_path / "none.csv", "-o", tmp_path / "run", "--recipe", tmp_path / "none.yaml").code == 2
    assert call(capfd, "clean", tmp_path / "none.csv", "-o", tmp_path / "run").code == 3
    assert [p for p in psutil.Process(os.getpid()).children() if "sandbox" in " ".join(p.cmdline())] == []


def test_interrupted_from_the_terminal_the_reader_ends_with_the_program(table: Path, tmp_path: Path) -> None:
    """The terminal sends its signal to the whole group; the reader is in one of its own, and ends because the program does."""
    with table.open("a") as file:
        file.writelines(f"name {i},city\n" for i in range(200_000))
    process = start("clean", table, "-o", tmp_path / "run", start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.glob(".run.*.partial/scratch/reader-0")):
        time.sleep(0.01)
    readers = psutil.Process(process.pid).children()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Interrupted" in err) == (130, True)
    assert psutil.wait_procs(readers, timeout=10)[1] == []
    assert left_over(tmp_path) == ["table.csv"]
