"""A file format, as another package would bring it, whose files say what its reader shall do to us."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SOURCE = '''
"""Does what the file says."""
import ctypes, os, socket, subprocess, sys, threading, time
from pathlib import Path
import numpy as np
import polars as pl
from data_sanitizer import errors
from data_sanitizer.model import Block

SUFFIXES = ("hostile",)
kept = []


def read(path, name, options, scratch, block=1):
    words = path.read_text().split()
    reading = Table(name, words[2:])
    if words[1] == "open":
        do(words[0], scratch)
    else:
        reading.word, reading.scratch = words[0], scratch
    return reading


class Table:
    format, decisions, word = "hostile", (), ""
    schema = {"a": pl.String()}

    def __init__(self, name, more):
        self.name, self.more = name, more

    def blocks(self):
        yield Block(np.arange(1, dtype=np.uint64), pl.DataFrame({"a": ["x"]}))
        do(self.word, getattr(self, "scratch", None))
        yield Block(np.arange(1, 2, dtype=np.uint64), pl.DataFrame({"a": ["y"]}))


def do(word, scratch):
    if word == "segfault":
        ctypes.string_at(0)
    elif word == "abort":
        os.abort()
    elif word == "exit":
        os._exit(0)
    elif word == "polars-panic":
        raise type("PanicException", (BaseException,), {})("s3cr3t cell")
    elif word == "allocate":
        while True:
            kept.append(np.ones(1 << 22))
    elif word == "allocate-outside":
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        while True:
            if not (place := libc.malloc(1 << 25)):
                os.abort()
            ctypes.memset(place, 1, 1 << 25)
    elif word == "spin":
        while True:
            pass
    elif word == "write":
        with (scratch / "large").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
    elif word == "write-many":
        for i in range(1 << 20):
            (scratch / f"small-{i}").write_bytes(bytes(1 << 18))
    elif word == "print":
        while True:
            os.write(2, bytes(1 << 16))
    elif word == "socket":
        socket.create_connection(("127.0.0.1", 9), 1)
    elif word == "fork":
        os.fork()
    elif word == "spawn":
        subprocess.run(["/bin/true"])
    elif word == "kill":
        os.kill(os.getppid(), 9)
    elif word == "write-elsewhere":
        Path(__file__).with_name("was-here").write_text("x")
    elif word == "bug":
        raise RuntimeError("s3cr3t cell")
    elif word == "malformed":
        raise errors.MalformedInput(path="t", format="hostile", why="it says so")
    elif word == "environment":
        raise errors.MalformedInput(path="t", format="hostile", why=" ".join(sorted(os.environ)))
    elif word == "threads":
        threading.Thread(target=time.sleep, args=(0.01,)).start()
    elif word == "sleep":
        time.sleep(60)
'''


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the format known as an installed package would, to this process and its children."""
    home = folder / "site"
    (home / "hostile_format-1.0.dist-info").mkdir(parents=True)
    (home / "hostile_format_module.py").write_text(SOURCE)
    (home / "hostile_format-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-format\nVersion: 1.0\n")
    (home / "hostile_format-1.0.dist-info" / "entry_points.txt").write_text("[data_sanitizer.formats]\nhostile = hostile_format_module\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(home)])
