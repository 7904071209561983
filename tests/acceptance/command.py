"""Runs the command as a user does: in this process where that is enough, in one of its own where signals and limits matter."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_sanitizer import cli


@dataclass(frozen=True, slots=True)
class Done:
    """What a call left behind."""

    code: int
    out: str
    err: str


def call(capfd: pytest.CaptureFixture[str], *args: object) -> Done:
    """`data-sanitizer ARGS` in this process."""
    old, sys.argv = sys.argv, ["data-sanitizer", *map(str, args)]
    try:
        with pytest.raises(SystemExit) as stop:
            cli.main()
    finally:
        sys.argv = old
    out, err = capfd.readouterr()
    return Done(int(stop.value.code or 0), out, err)


def start(*args: object, **options: object) -> subprocess.Popen[str]:
    """`data-sanitizer ARGS` in a process of its own."""
    command = [sys.executable, "-m", "data_sanitizer.cli", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload, no-any-return]


def left_over(folder: Path) -> list[str]:
    """Everything in a folder, also what is hidden."""
    return sorted(p.name for p in folder.iterdir())
