"""Reads a table as well as we can and writes it plainly, without changing a cell.

CSV from CSV keeps the header as its author wrote it, empty and equal names too, and has none where there was none; all other formats need
names that are unique.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from data_sanitizer import formats, run_folder
from data_sanitizer.errors import OutputExists, UsageError
from data_sanitizer.model import ReadOptions

_BY_SUFFIX = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".arrow": "arrow", ".feather": "arrow"}


def convert(source: str, output: Path, options: ReadOptions, force: bool = False) -> list[str]:
    """Write the source to `output` in the format its ending names; returns what was decided and what was kept out, a line each."""
    name = _BY_SUFFIX.get(output.suffix.lower())
    if name is None:
        raise UsageError(why=f"The ending {output.suffix!r} names no format to write. Known endings: {', '.join(_BY_SUFFIX)}.")
    if output.exists() and not force:
        raise OutputExists(path=output)
    with tempfile.TemporaryDirectory(prefix="data-sanitizer-") as scratch:
        reading = formats.open_source(source, options, Path(scratch))
        aside = output.with_name(f".{output.name}.{os.getpid()}.partial")
        try:
            with run_folder.translated(output):
                formats.write(formats.lazy(reading), aside, name, getattr(reading, "header", ()))
                aside.replace(output)
        finally:
            aside.unlink(missing_ok=True)
    return [f"{d.subject}: {d.choice} ({d.evidence})" for d in reading.decisions]
