"""Importing does nothing, and the command answers at once."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT, fresh_environment, module_names, python

HEAVY = [
    "polars",
    "numpy",
    "numba",
    "pandas",
    "pyarrow",
    "jinja2",
    "yaml",
    "ftfy",
    "clevercsv",
    "phonenumbers",
    "python_calamine",
    "psutil",
    "sqlalchemy",
    "alembic",
    "psycopg",
    "pymilvus",
]
TIME_FOR_HELP = 0.3 * (4 if os.environ.get("CI") else 1)  # seconds; shared machines of a CI are slow and busy

# A file opened for writing, a process, a connection or a thread during an import is work that nobody asked for. Caches of
# compiled code are the exception (Python's and numba's), and so is what the libraries do before our own code runs.
WATCH = """
import sys, tempfile, threading
tempfile.gettempdir()
for library in sys.argv[1].split(","):
    __import__(library)
did, module = set(), None
def watch(event, args):
    if event == "open" and set(str(args[1])) & set("wax+") and "cache" not in str(args[0]):
        did.add(f"{module} opens {args[0]}")
    if event.startswith(("socket.connect", "subprocess.", "os.system", "os.fork", "os.rename", "shutil.")):
        did.add(f"{module}: {event} {args}")
sys.addaudithook(watch)
for module in sys.argv[2].split(","):
    threads = threading.active_count()
    __import__(module)
    if threading.active_count() > threads:
        did.add(f"{module} starts a thread")
print(*sorted(did), sep="\\n", end="")
"""


def test_importing_does_nothing() -> None:
    result = python(WATCH, "polars,numpy,numba,click,psutil", ",".join(module_names()))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("module", ["data_sanitizer", "data_sanitizer.cli"])
def test_the_surface_imports_nothing_heavy(module: str) -> None:
    result = python(f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))")
    assert (result.stdout.strip(), result.stderr) == ("", "")


def test_help_is_quick() -> None:
    command = str(Path(sys.executable).with_name("data-sanitizer"))
    assert min(_seconds([command, "--help"]) for _ in range(5)) <= TIME_FOR_HELP


def _seconds(command: list[str]) -> float:
    """Processor time of a command: the clock would also count what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, env=fresh_environment(), cwd=ROOT, timeout=60, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
