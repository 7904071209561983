"""The folder of a run: written aside under another name and renamed when it is complete, so that a run is whole or absent.

A run in an object store is made in a folder of this machine and published from there; to be read it is brought into one.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from data_sanitizer import publication
from data_sanitizer.errors import DataSanitizerError, DiskFull, OutputExists, OutputNotWritable, RunUnreadable
from data_sanitizer.model import ReadLimits, ReadOptions
from data_sanitizer.stores import Location

MANIFEST = publication.MANIFEST
FORMATS = ("parquet", "csv", "jsonl")


@contextmanager
def written_aside(output: Path | Location, force: bool = False) -> Iterator[Path]:
    """A new folder that becomes `output` when the block ends without an error, and is removed when it does not.

    For a folder of this machine it lies beside it and takes its name; for a place in a store it is a temporary one, and is uploaded.
    """
    with _uploaded(output, force) if isinstance(output, Location) else _renamed(output, force) as folder:
        yield folder


@contextmanager
def at_hand(run: Path | Location, without: str | None = None) -> Iterator[Path]:
    """The folder of a run, brought here for the time of the block where it is in a store: the files that its manifest names, but those
    whose name begins with `without`. Errors name the place that was given."""
    if not isinstance(run, Location):
        yield run
        return
    with _temporary() as folder:
        try:
            with translated(folder):
                publication.fetch(run, folder, without)
            yield folder
        except DataSanitizerError as error:
            raise type(error)(**{k: _as_given(v, folder, run) for k, v in error.facts.items()}) from error


def _as_given(fact: object, folder: Path, run: Location) -> object:
    """A fact of an error that tells of the run as the user knows it."""
    return str(fact).replace(str(folder), str(run).rstrip("/")) if str(folder) in str(fact) else fact


@contextmanager
def _uploaded(output: Location, force: bool) -> Iterator[Path]:
    publication.check_free(output, force)
    with _temporary() as folder:
        with translated(folder):
            yield folder
        publication.publish(folder, output, force)


@contextmanager
def _temporary() -> Iterator[Path]:
    """A folder of this process where the system keeps such; those of processes that were killed are removed."""
    for left in Path(tempfile.gettempdir()).glob("data-sanitizer.*.*.partial"):
        if _is_abandoned(left.name.split(".")[1], own=False):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"data-sanitizer.{os.getpid()}.", suffix=".partial") as name:
        yield Path(name)


@contextmanager
def _renamed(output: Path, force: bool) -> Iterator[Path]:
    output = output.absolute()
    check_free(output, force)
    aside = output.with_name(f".{output.name}.{os.getpid()}.partial")
    with translated(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(output)
        aside.mkdir()
    try:
        with translated(output):
            yield aside
            _publish(aside, output)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove_leftovers(output: Path) -> None:
    """Remove what runs that were killed left beside the output: folders named after a process that is no more."""
    for left in output.parent.glob(f".{glob.escape(output.name)}.*.partial"):
        if _is_abandoned(left.name.split(".")[-2], own=True):
            shutil.rmtree(left, ignore_errors=True)


def _is_abandoned(owner: str, *, own: bool) -> bool:
    """Whether the process that made a folder is no more; `own` says what holds for this one, which may have its number from a dead one."""
    return owner.isdigit() and (own if int(owner) == os.getpid() else not psutil.pid_exists(int(owner)))


def check_free(output: Path, force: bool) -> None:
    """Raise OutputExists where something would be overwritten. An empty folder is free; --force replaces a folder, never a file."""
    if output.is_dir() and (force or not any(output.iterdir())):
        return
    if output.exists():
        raise OutputExists(path=output)


def _publish(aside: Path, output: Path) -> None:
    _to_disk(aside)
    if output.exists():
        old = output.with_name(f".{output.name}.{os.getpid()}.old")
        output.rename(old)
        aside.rename(output)
        shutil.rmtree(old)
    else:
        aside.rename(output)
    _sync(output.parent)


def _to_disk(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of writing into ours: those of the operating system, and what Polars makes of them."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        number = _number(error)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(path=path) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EEXIST):
            raise OutputNotWritable(path=path, why=os.strerror(number).lower()) from error
        raise


def _number(error: Exception) -> int:
    """The system's error number; Polars gives it only in its text, as "(os error 28)"."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    return getattr(error, "errno", None) or (int(found[1]) if found else 0)


def write_json(path: Path, content: Any) -> None:
    """Write plain values as UTF-8 JSON, two blanks of indentation, keys in the order given."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n", "utf-8")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(run: Path) -> dict[str, Any]:
    """The manifest of a finished run; raises RunUnreadable where there is none."""
    try:
        content = json.loads((run / MANIFEST).read_text("utf-8"))
    except FileNotFoundError as error:
        raise RunUnreadable(path=run, why="it has no manifest.json") from error
    except (OSError, ValueError) as error:
        raise RunUnreadable(path=run, why="its manifest.json cannot be read") from error
    if not isinstance(content, dict) or not str(content.get("schema", "")).startswith("data-sanitizer.manifest/"):
        raise RunUnreadable(path=run, why="its manifest.json is of another program or version")
    return content


def cleaned_file(run: Path) -> Path:
    """The cleaned table of a run."""
    for name in FORMATS:
        if (path := run / f"cleaned.{name}").exists():
            return path
    raise RunUnreadable(path=run, why="it has no cleaned table")


def reading_told(options: ReadOptions) -> dict[str, Any]:
    """How the inputs were read, for manifest.json: only what is not as usual."""
    usual = asdict(ReadOptions())
    told = {name: value for name, value in asdict(options).items() if value != usual[name]}
    if "limits" in told:
        told["limits"] = {name: value for name, value in told["limits"].items() if value != usual["limits"][name]}
    return told


def reading_from(told: Mapping[str, Any]) -> ReadOptions:
    """The options again from what manifest.json says of them."""
    mixed = tuple((key, policy) for key, policy in told.get("mixed", ()))
    return ReadOptions(**{**told, "mixed": mixed, "limits": ReadLimits(**told.get("limits", {}))})
