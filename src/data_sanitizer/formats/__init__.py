"""Tables in files: finds out what a file is by its content, opens it for reading, and writes tables."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from data_sanitizer import errors, extensions
from data_sanitizer.model import Decision, ReadLimits, ReadOptions

if TYPE_CHECKING:
    import polars as pl

    from data_sanitizer.ports import Format, Reading, Source

_PACKING_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz", ".zip")
_NEEDS_PLAIN_FILE = ("parquet", "arrow", "excel")
_STREAMS = ("csv",)  # read from any source as it comes; the others go back and forth, so what is not on this machine is copied once


def open_source(place: str | Path | Source, options: ReadOptions, scratch: Path, block: int | None = None) -> Reading:
    """Looks at a source (`-` is standard input) and says how it will be read; raises the InputErrors.

    `scratch` is an existing folder for unpacked or frozen copies; it must live as long as the reading. `block` is how much is read at a
    time (bytes of text, rows of typed tables) where it shall not be the usual; it changes no row.
    """
    name = str(place) if isinstance(place, str | Path) else place.name
    found_at = rereadable(place, name, scratch)
    suffix = _by_suffix(Path(name) if not isinstance(found_at, Path) else found_at)
    found, packed = _look(found_at, name, suffix, options)
    if (packed and found in _NEEDS_PLAIN_FILE) or (found not in _STREAMS and not isinstance(found_at, Path)):
        found_at = _plain_file(found_at, name, scratch, options.limits)
    reading = format_named(found).read(found_at, name, options, scratch, **({"block": block} if block else {}))
    if found != suffix and suffix and not options.format:
        told = Decision("format", found, f"the name says {suffix}, the content says {found}")
        reading.decisions = (told, *reading.decisions)
    return reading


def write(table: pl.LazyFrame, path: Path, format: str, header: Sequence[str] | None = ()) -> None:  # noqa: A002 - the word that users know
    """Writes all rows in order; raises UsageError for a format that is only read, DiskFull and OutputNotWritable.

    `header` is what stands above the columns of a CSV where that is not their names: any texts, or None for nothing.
    """
    import polars as pl

    try:
        if format == "csv" and header != ():
            extensions.load("formats", format).write_under(table, path, header)
        else:
            format_named(format).write(table, path)
    except NotImplementedError as error:
        raise errors.UsageError(why=f"{format} files are read but not written; choose parquet, csv or jsonl") from error
    except OSError as error:
        raise _output_error(path, error) from error
    except pl.exceptions.ComputeError as error:
        raise _output_error(path, error) from error


def lazy(reading: Reading) -> pl.LazyFrame:
    """The readable rows of a source as a Polars frame that is read block by block when it is needed."""
    from polars.io.plugins import register_io_source

    def frames(columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _size: int | None) -> Iterator[pl.DataFrame]:
        for block in reading.blocks():
            frame = block.frame if columns is None else block.frame.select(columns)
            frame = frame if predicate is None else frame.filter(predicate)
            yield frame if rows is None else frame.head(rows)
            rows = None if rows is None else rows - frame.height
            if rows is not None and rows <= 0:
                return

    return register_io_source(frames, schema=dict(reading.schema))


def format_named(name: str) -> Format:
    """The module of a format; raises UsageError with the known names where there is none."""
    try:
        return cast("Format", extensions.load("formats", name))
    except KeyError as error:
        known = ", ".join(extensions.names("formats"))
        raise errors.UsageError(why=f"There is no format {name}. Known formats: {known}.") from error


def _by_suffix(path: Path) -> str:
    """The format that a file name promises, empty where it promises none we know."""
    suffixes = [s for s in path.suffixes if s.lower() not in _PACKING_SUFFIXES]
    last = suffixes[-1].lower().lstrip(".") if suffixes else ""
    return next((n for n in extensions.names("formats") if last in format_named(n).SUFFIXES), "")


def _look(path: Path | Source, name: str, suffix: str, options: ReadOptions) -> tuple[str, bool]:
    """Format and whether the file is compressed."""
    from data_sanitizer.formats import _bytes, _compression, _content

    if isinstance(path, Path) and path.is_dir():
        raise errors.InputIsDirectory(path=name)
    with _bytes.open_file(path, name) as file:
        packed = _compression.packing(file, name, options.limits)
        if packed:
            _compression.refuse_bomb(file, packed, name, options.limits)
    with _bytes.open_bytes(path, name, limits=options.limits) as stream:
        head = _bytes.read_up_to(stream, _bytes.SAMPLE)
    if not head.strip():
        raise errors.EmptyInput(path=name)
    if packed and _compression.kind(head) and not _content.is_document(head):
        raise errors.UnsupportedContent(path=name, found="compressed data inside compressed data")
    if options.format:
        return options.format, bool(packed)
    return _content.find(head, len(head) < _bytes.SAMPLE, path, name, suffix, options.limits), bool(packed)


def _plain_file(path: Path | Source, name: str, scratch: Path, limits: ReadLimits) -> Path:
    """A copy in `scratch`, unpacked; raises InputChanged where the source changes meanwhile."""
    from data_sanitizer.formats import _bytes

    before = _bytes.stamp(path)
    with _bytes.open_bytes(path, name, limits=limits) as stream:
        copy = _bytes.spool(stream, _free(scratch, "unpacked"))
    _bytes.must_be_unchanged(path, name, before)
    return copy


def rereadable(place: str | Path | Source, name: str, scratch: Path) -> Path | Source:
    """A place that can be read more than once: standard input and pipes are copied to `scratch`."""
    from data_sanitizer.formats import _bytes, _sources

    if not isinstance(place, str | Path):
        return _sources.local_or_source(place)
    path = Path(place)
    if name == "-":
        return _bytes.spool(sys.stdin.buffer, _free(scratch, "stdin"))
    if path.is_fifo():
        with _bytes.open_file(path, name) as pipe:
            return _bytes.spool(pipe, _free(scratch, "pipe"))
    return path


def _free(scratch: Path, stem: str) -> Path:
    """A name in `scratch` that no other source uses."""
    number = 0
    while (scratch / f"{stem}-{number}").exists():
        number += 1
    return scratch / f"{stem}-{number}"


def _output_error(path: Path, error: Exception) -> errors.EnvironmentFailed:
    """What an error of writing means; Polars gives the system's error number in its text only, and may quote cells beside it."""
    said = re.search(r"\(os error (\d+)\)", str(error))
    code = getattr(error, "errno", None) or (int(said[1]) if said else None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return errors.DiskFull(path=str(path))
    why = os.strerror(code) if code else "the table cannot be written in this format"
    return errors.OutputNotWritable(path=str(path), why=why)
