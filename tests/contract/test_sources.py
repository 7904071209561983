"""Wherever the bytes of an input are, the same table is read from them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_sanitizer import errors, extensions, formats
from data_sanitizer.formats._sources import LocalFile
from data_sanitizer.model import ReadOptions
from data_sanitizer.sandbox.reading import Sandbox


class Elsewhere:
    """Bytes that are in no file of this machine."""

    local = None

    def __init__(self, name: str, path: Path) -> None:
        self.name, self._path = name, path

    def open(self) -> io.RawIOBase:
        stream: Any = io.BytesIO(self._path.read_bytes())
        return stream  # type: ignore[no-any-return]

    def stamp(self) -> object:
        return hash(self._path.read_bytes())


KINDS = {"local": LocalFile, "elsewhere": Elsewhere}


def rows_of(reading: Any) -> list[tuple[Any, ...]]:
    return [row for block in reading.blocks() for row in block.frame.rows()]


def table_as(name: str, folder: Path, packed: bool) -> Path:
    frame, path = pl.DataFrame({"a": ["x", "y,", "z"], "b": ["1", "2", '"']}), folder / "table"
    if name == "excel":
        frame.write_excel(path.with_suffix(".xlsx"))
        path.with_suffix(".xlsx").rename(path)
    else:
        formats.write(frame.lazy(), path, name)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    (tmp_path / "scratch").mkdir()
    with Sandbox(tmp_path / "scratch") as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_process_reads_what_this_process_reads(kind: str, tmp_path: Path, sandbox: Sandbox) -> None:
    """Every format, packed or not, in one child; sources that are elsewhere are read for it by this process."""
    for number, (name, packed) in enumerate(product(extensions.names("formats"), (False, True))):
        folder = tmp_path / str(number)
        folder.mkdir()
        source = KINDS[kind](f"far://away/table.{name}", table_as(name, folder, packed))
        here, there = formats.open_source(source, ReadOptions(), folder), sandbox.open(source, ReadOptions())
        assert (there.name, there.format, there.decisions) == (here.name, here.format, here.decisions)
        assert rows_of(there) == rows_of(there) == rows_of(here) == [("x", "1"), ("y,", "2"), ("z", '"')]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_source_raises_arrives_through_the_child(kind: str, tmp_path: Path, sandbox: Sandbox) -> None:
    with pytest.raises(errors.InputNotFound, match="nothing there") as caught:
        sandbox.open(KINDS[kind]("nothing there", tmp_path / "none"), ReadOptions())
    assert caught.value.exit_code == 3
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    reading = sandbox.open(KINDS[kind]("a.csv", tmp_path / "a.csv"), ReadOptions())
    (tmp_path / "a.csv").write_text("a,b\n1,33\n")
    with pytest.raises(errors.InputChanged):
        rows_of(reading)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("name", extensions.names("formats"))
def test_a_source_gives_the_same_table_wherever_it_is(name: str, packed: bool, kind: str, tmp_path: Path) -> None:
    path = table_as(name, tmp_path, packed)
    reading = formats.open_source(KINDS[kind](f"far://away/table.{name}", path), ReadOptions(), tmp_path)
    assert (reading.name, reading.format) == (f"far://away/table.{name}", name)
    assert rows_of(reading) == rows_of(reading) == [("x", "1"), ("y,", "2"), ("z", '"')]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_is_seekable_and_has_a_position_of_its_own(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    source = KINDS[kind]("a", tmp_path / "a")
    with source.open() as one, source.open() as other:
        assert one.seek(7) == 7
        assert other.read(3) == b"012"
        assert one.read(5) == b"789"
        assert one.read(5) == b""
        assert one.seek(0, io.SEEK_END) == 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_changes_after_it_was_looked_at_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a,b\n1,2\n")
    reading = formats.open_source(KINDS[kind]("a.csv", path), ReadOptions(), tmp_path)
    path.write_text("a,b\n1,33\n")
    with pytest.raises(errors.InputChanged):
        rows_of(reading)
