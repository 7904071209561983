"""Whatever a reader does, the program goes on: a misdeed is an error about the file, and the next file is read as if nothing had been."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest

from data_sanitizer import errors
from data_sanitizer.formats import open_source
from data_sanitizer.model import ReadLimits, ReadOptions
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.sandbox import process
from data_sanitizer.sandbox.reading import Sandbox
from tests.unit import hostile_format

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the walls are of Linux")
SMALL = ReadLimits(reader_memory=200 << 20, reader_seconds=1, reader_disk=8 << 20)
IN_TIME = 20  # seconds, on a busy machine


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    hostile_format.install(tmp_path, monkeypatch)
    process.discard()  # one that an earlier test prepared does not know the hostile format
    (tmp_path / "good.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "scratch").mkdir()
    with Sandbox(tmp_path / "scratch") as opened:
        yield opened
    assert list((tmp_path / "scratch").iterdir()) == []


def rows_of(reading: Any) -> list[tuple[Any, ...]]:
    return [row for block in reading.blocks() for row in block.frame.rows()]


def hostile(sandbox: Sandbox, tmp_path: Path, word: str, when: str, limits: ReadLimits = SMALL) -> list[tuple[Any, ...]]:
    path = tmp_path / "file.hostile"
    path.write_text(f"{word} {when}")
    return rows_of(sandbox.open(path, ReadOptions(format="hostile", limits=limits)))


def good(sandbox: Sandbox, tmp_path: Path) -> list[tuple[Any, ...]]:
    return rows_of(sandbox.open(tmp_path / "good.csv", ReadOptions()))


MISDEEDS = {
    "segfault": (errors.ReaderCrashed, "SIGSEGV"),
    "abort": (errors.ReaderCrashed, "SIGABRT"),
    "exit": (errors.ReaderCrashed, "code 0"),
    "polars-panic": (errors.ReaderCrashed, "gave up"),
    "allocate": (errors.ReaderLimit, "reader_memory"),
    "spin": (errors.ReaderLimit, "reader_seconds"),
    "write": (errors.ReaderLimit, "reader_disk"),
    "write-many": (errors.ReaderLimit, "reader_disk"),
    "bug": (errors.ReaderFailed, "RuntimeError at hostile_format_module.py"),
    "malformed": (errors.MalformedInput, "it says so"),
}
REFUSED = {"socket": "network", "fork": "processes", "spawn": "processes", "kill": "processes", "write-elsewhere": "folders"}


@pytest.mark.parametrize("when", ["open", "later"])
@pytest.mark.parametrize("word", MISDEEDS)
def test_a_misdeed_is_an_error_about_the_file(word: str, when: str, sandbox: Sandbox, tmp_path: Path) -> None:
    kind, said = MISDEEDS[word]
    start = time.monotonic()
    with pytest.raises(errors.DataSanitizerError) as caught:
        hostile(sandbox, tmp_path, word, when)
    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert word == "malformed" or str(tmp_path / "file.hostile") in str(caught.value)
    assert time.monotonic() - start < IN_TIME
    assert good(sandbox, tmp_path) == [("1", "2"), ("3", "4")]


@LINUX
@pytest.mark.parametrize("word", REFUSED)
def test_what_a_reader_may_not_do_fails(word: str, sandbox: Sandbox, tmp_path: Path) -> None:
    good(sandbox, tmp_path)
    if REFUSED[word] not in (sandbox.child(ReadOptions())._hello.answer or {})["held"]:
        pytest.skip(f"this system lets no program wall itself off: {REFUSED[word]}")
    with pytest.raises(errors.ReaderCrashed, match="may not have"):
        hostile(sandbox, tmp_path, word, "open")
    assert not (tmp_path / "site" / "was-here").exists()
    assert good(sandbox, tmp_path) == [("1", "2"), ("3", "4")]


def test_memory_beside_the_interpreter_counts_too(sandbox: Sandbox, tmp_path: Path) -> None:
    """The limit on address space has an allowance; the memory really taken is watched by the parent."""
    with pytest.raises(errors.ReaderLimit, match="reader_memory"):
        hostile(sandbox, tmp_path, "allocate-outside", "open", replace(SMALL, reader_seconds=60))


def test_what_a_reader_prints_counts_as_disk(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(errors.DataSanitizerError, match=r"reader_disk|reader_seconds"):
        hostile(sandbox, tmp_path, "print", "open")


@pytest.mark.parametrize("word", ["threads", "nothing"])
def test_threads_and_plain_reading_are_allowed(word: str, sandbox: Sandbox, tmp_path: Path) -> None:
    assert hostile(sandbox, tmp_path, word, "later") == [("x",), ("y",)]


def test_no_credential_reaches_the_reader(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(errors.MalformedInput) as caught:
        hostile(sandbox, tmp_path, "environment", "open")
    told = str(caught.value.facts["why"]).split()
    assert "HOME" in told
    assert "AWS_SECRET_ACCESS_KEY" not in told


def test_a_reader_that_is_killed_in_the_middle_is_said_and_replaced(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("a,b\n" + "1,2\n" * 5000)
    reading = sandbox.open(tmp_path / "long.csv", ReadOptions(), block=100)
    blocks = reading.blocks()
    next(blocks)
    child = sandbox.child(ReadOptions()).process
    child.send_signal(signal.SIGKILL)
    with pytest.raises(errors.ReaderCrashed, match="SIGKILL"):
        list(blocks)
    assert len(rows_of(reading)) == 5000
    assert sandbox.child(ReadOptions()).process.pid != child.pid


def test_readings_are_independent(sandbox: Sandbox, tmp_path: Path) -> None:
    """Two at once, one of them twice, one given up: the answers do not get mixed up."""
    (tmp_path / "one.csv").write_text("a,b\n" + "".join(f"{i},x\n" for i in range(300)))
    (tmp_path / "two.csv").write_text("c,d\n" + "".join(f"{i},y\n" for i in range(300)))
    one, two = (sandbox.open(tmp_path / f"{n}.csv", ReadOptions(), block=64) for n in ("one", "two"))
    rest = one.blocks()
    next(rest)
    pairs = list(zip(one.blocks(), two.blocks(), one.blocks(), strict=True))
    assert [r for a, _, _ in pairs for r in a.frame.rows()] == [r for _, _, b in pairs for r in b.frame.rows()]
    assert [r for _, b, _ in pairs for r in b.frame.rows()] == [(str(i), "y") for i in range(300)]
    rest.close()  # type: ignore[attr-defined]
    assert rows_of(one) == [(str(i), "x") for i in range(300)]


def test_threads_of_one_program_can_read_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    readings = []
    for number in range(4):
        (tmp_path / f"{number}.csv").write_text("a,b\n" + f"{number},x\n" * 400)
        readings.append(sandbox.open(tmp_path / f"{number}.csv", ReadOptions(), block=64))
    found: dict[int, set[str]] = {}
    threads = [threading.Thread(target=lambda n=n, r=r: found.update({n: {a for a, _ in rows_of(r)}})) for n, r in enumerate(readings)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: {str(n)} for n in range(4)}


def test_few_blocks_wait_and_none_is_left(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("a,b\n" + "1,2\n" * 3000)
    most = 0
    for _ in sandbox.open(tmp_path / "long.csv", ReadOptions(), block=100).blocks():
        time.sleep(0.001)
        most = max(most, len(list(sandbox.folder.glob("*-*.arrow"))))
    assert most <= 4  # two ahead, the schema, and one that is being written
    assert len(list(sandbox.folder.glob("*-*.arrow"))) == 1


@pytest.mark.parametrize("keep", [True, False])
def test_a_block_names_the_file_that_its_receiver_may_move(keep: bool, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.keep = keep
    found = [block.file for block in sandbox.open(tmp_path / "good.csv", ReadOptions()).blocks()]
    assert [bool(file and file.exists()) for file in found] == [keep]
    assert [file is None for file in found] == [not keep]


def test_a_forged_block_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    reading = sandbox.open(tmp_path / "good.csv", ReadOptions())
    told = {"file": "../../good.csv", "first": 0, "height": 2, "gaps": False, "issues": False}
    for wrong in (told, {}, {**told, "first": None}):
        with pytest.raises(errors.ReaderCrashed, match="no sense"):
            reading._received(wrong, sandbox.folder)
    pl.DataFrame({"z": [1]}).write_ipc(sandbox.folder / "forged.arrow")
    with pytest.raises(errors.ReaderCrashed, match="no sense"):
        reading._received({**told, "file": "forged.arrow"}, sandbox.folder)


def test_a_reader_that_does_nothing_is_stuck(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_STILL", 1)
    with pytest.raises(errors.ReaderCrashed, match="did nothing"):
        hostile(sandbox, tmp_path, "sleep", "later")


def test_a_reader_that_cannot_start_is_no_fault_of_the_file(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("/nowhere/python", "/bin/false"):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", program)
            with pytest.raises(errors.EnvironmentFailed, match="could not start"):
                good(sandbox, tmp_path)
    assert good(sandbox, tmp_path) == [("1", "2"), ("3", "4")]


def test_a_run_is_the_same_bytes_whoever_reads(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of which one has odd records, so that blocks have gaps and issues, and columns that must be aligned."""
    (tmp_path / "one.csv").write_text("a,b\n" + "".join(f"{i}, x{i % 9}\n" if i % 50 else f"{i},y,z\n" for i in range(400)))
    (tmp_path / "two.csv").write_text("a,c\n" + "".join(f"{i},z \n" for i in range(400)))
    inputs, options = [str(tmp_path / "one.csv"), str(tmp_path / "two.csv")], RunOptions(block=700)
    sanitize(inputs, tmp_path / "child", load_recipe("careful"), options)
    monkeypatch.setattr(Sandbox, "open", lambda self, place, options, block=None: open_source(place, options, self._scratch, block))
    sanitize(inputs, tmp_path / "here", load_recipe("careful"), options)
    assert json.loads((tmp_path / "child" / "manifest.json").read_text())["rows"]["quarantined"] == 8
    manifests = [(tmp_path / run / "manifest.json").read_bytes() for run in ("child", "here")]  # with the digest of every file
    assert manifests[0] == manifests[1]


def test_a_prepared_child_is_used_or_ended(tmp_path: Path, sandbox: Sandbox) -> None:
    process.prepare()
    spare = process._spare[0].process.pid
    assert good(sandbox, tmp_path) == [("1", "2"), ("3", "4")]
    assert sandbox.child(ReadOptions()).process.pid == spare
    process.prepare()
    spare = process._spare[0].process.pid
    process.discard()
    assert not psutil.pid_exists(spare)


def test_a_debug_log_says_which_walls_hold(sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="data_sanitizer"):  # whose level and handlers a service of other tests may have set
        good(sandbox, tmp_path)
    assert any("walls that hold" in r.getMessage() for r in caplog.records)
