"""Reads a table as well as we can and writes it plainly, without changing a cell.

CSV from CSV keeps the header as its author wrote it, empty and equal names too, and has none where there was none; all other formats need
names that are unique.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_sanitizer import formats, inputs, run_folder
from data_sanitizer.errors import OutputExists, UsageError
from data_sanitizer.model import ReadOptions
from data_sanitizer.sandbox.reading import Sandbox
from data_sanitizer.stores import Location, Stores
from data_sanitizer.stores._parts import of_file

_BY_SUFFIX = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".arrow": "arrow", ".feather": "arrow"}


def convert(source: str, output: Path | Location, options: ReadOptions, force: bool = False, stores: Stores | None = None) -> list[str]:
    """Write the source to `output` in the format its ending names; returns what was decided and what was kept out, a line each."""
    suffix = Path(output.name).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise UsageError(why=f"The ending {suffix!r} names no format to write. Known endings: {', '.join(_BY_SUFFIX)}.")
    places = inputs.found([source], stores or Stores())
    if len(places) > 1:
        raise UsageError(why=f"{source} means {len(places)} files. Convert one at a time, or clean them together.")
    with (
        tempfile.TemporaryDirectory(prefix="data-sanitizer-") as name,
        _aside(output, force, Path(name)) as aside,
        Sandbox(Path(name)) as reader,
    ):
        reading = reader.open(places[0], options)
        with run_folder.translated(aside):
            formats.write(formats.lazy(reading), aside, _BY_SUFFIX[suffix], getattr(reading, "header", ()))
    return [f"{d.subject}: {d.choice} ({d.evidence})" for d in reading.decisions]


@contextmanager
def _aside(output: Path | Location, force: bool, scratch: Path) -> Iterator[Path]:
    """A file that takes the place of `output`, or is uploaded there, when the block ends without an error."""
    if isinstance(output, Location):
        aside = scratch / f"converted-{output.name}"
        yield aside
        output.store.forget(output.key)
        output.store.write(output.key, of_file(aside), new=not force)
        return
    if output.exists() and not force:
        raise OutputExists(path=output)
    aside = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        with run_folder.translated(output):
            yield aside
            aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)
