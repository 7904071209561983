"""Runs a command in a process of its own and watches time and memory of it and of all that it starts."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOK_SECONDS = 0.05  # between two looks at the memory, and never less than ten times what a look takes


@dataclass(frozen=True, slots=True)
class Limits:
    """After so many seconds, or with more than so many bytes resident, a peer is stopped."""

    seconds: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one run: when it started by the monotonic clock, wall and processor seconds, most bytes resident, why it did not finish."""

    start: float
    seconds: float
    cpu_seconds: float
    peak: int
    failure: str | None


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], limits: Limits) -> Measured:
    """Run the command in the folder until it ends or reaches a limit; what it prints goes to files there."""
    with (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as err:
        start, used = time.monotonic(), _cpu_seconds()
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True)
        try:
            peak, failure = _watched(child, start, limits)
        finally:
            seconds = time.monotonic() - start
            if child.poll() is None:
                _stop(child)
    if failure is None and child.returncode:
        failure = f"failed: {_last_words(folder / 'stderr.txt')}"
    return Measured(start, seconds, _cpu_seconds() - used, peak, failure)


def warm(path: Path) -> None:
    """Read the file once, so that it is in the page cache for everybody."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def _cpu_seconds() -> float:
    """What the processes that have ended so far, and those they waited for, have used of the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watched(child: subprocess.Popen[bytes], start: float, limits: Limits) -> tuple[int, str | None]:
    peak = 0
    while True:
        look = time.monotonic()
        peak = max(peak, _resident(child.pid))
        if look - start > limits.seconds or peak > limits.bytes:
            _stop(child)
            late = look - start > limits.seconds
            return peak, f"did not finish in {limits.seconds:.0f} s" if late else f"stopped at {limits.bytes / 1e9:.0f} GB"
        try:
            child.wait(max(LOOK_SECONDS, 10 * (time.monotonic() - look)))
        except subprocess.TimeoutExpired:
            continue
        return peak, None


def _resident(pid: int) -> int:
    """Bytes resident of a process and its descendants; pages that several of them share count once, where the system can tell."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
        if len(tree) == 1:
            return int(root.memory_info().rss)
        return sum(int(getattr(memory := process.memory_full_info(), "pss", memory.rss)) for process in tree)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0  # a process ended between being listed and being asked: this look does not count


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the process and its descendants: the group that was made for it, and those that left the group."""
    descendants = psutil.Process(child.pid).children(recursive=True) if child.poll() is None else []
    os.killpg(child.pid, signal.SIGKILL)
    for process in descendants:
        if process.is_running():
            process.kill()
    child.wait()


def _last_words(path: Path) -> str:
    """The begin of the last line of an error message, without the module of the error."""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return re.sub(r"^(\w+\.)+(?=\w+:)", "", lines[-1])[:80] if lines else "no message"
