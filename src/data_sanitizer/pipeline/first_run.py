"""The first run of a version on a machine compiles all kernels, those of the search for duplicates in a process beside: two cores do it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ROWS = 3000  # more than are compared pair by pair, so that templates are compiled too
_NOTICE = "First run of this version on this machine: it compiles what it needs, which takes up to half a minute, once."


@contextmanager
def compiling(tell: Callable[[str], None]) -> Iterator[None]:
    """Say what takes so long, and compile beside the block; what is not finished at its end is waited for, unless it ends in an error."""
    tell(_NOTICE)
    silent: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    beside = subprocess.Popen([sys.executable, "-m", __name__], **silent)  # noqa: S603  our own module
    try:
        yield
        beside.wait()
    finally:
        beside.kill()
        beside.wait()


def compile_search() -> None:
    """Look for near-duplicates in a small table of many kinds of columns, and in one with a long text and little else."""
    import polars as pl

    from data_sanitizer import benchmark_generator
    from data_sanitizer.duplicates import near
    from data_sanitizer.duplicates.records import RecordFile

    with tempfile.TemporaryDirectory(prefix="data-sanitizer-") as work:
        source = benchmark_generator.generate(_ROWS, Path(work) / "table", ["csv"])["csv"]
        table = pl.read_csv(source, infer_schema=False)
        for number, frame in enumerate((table, table.select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True)))):
            folder = Path(work) / str(number)
            folder.mkdir()
            file = RecordFile(folder)
            file.append(frame)
            near.find(file.finish(), folder)


if __name__ == "__main__":
    compile_search()
