"""Sources opened in a child process: `Sandbox` holds the child, and its readings are `ports.Reading` as any other."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import polars as pl

from data_sanitizer import errors, formats
from data_sanitizer.formats._sources import LocalFile
from data_sanitizer.model import Block, Decision, ReadOptions
from data_sanitizer.ports import Source
from data_sanitizer.sandbox import blocks, process
from data_sanitizer.sandbox.limits import NAMES

_AHEAD = 2  # blocks that the child may be ahead of us: one is written while one waits


class Sandbox:
    """Opens sources in a child process, one child for all of them; a context manager that ends it.

    `scratch` is an existing folder on a disk with room for a few blocks; the child's own folder in it goes with the sandbox. With `keep`,
    the files of blocks are the receiver's, to be moved or removed; otherwise they are gone when the block has been read.
    """

    def __init__(self, scratch: Path, *, keep: bool = False) -> None:
        self._scratch, self.keep = scratch, keep
        self._process: process.ReaderProcess | None = None
        self._folders: list[Path] = []
        self._numbers, self._sources, self._starting = count(), dict[int, Source](), Lock()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def open(self, place: str | Path | Source, options: ReadOptions, block: int | None = None) -> SandboxedReading:
        """Looks at a source and says how it will be read, as `formats.open_source` does; raises the InputErrors."""
        name = str(place) if isinstance(place, str | Path) else place.name
        found = formats.rereadable(place, name, self._scratch)
        source = LocalFile(name, found.absolute()) if isinstance(found, Path) else found
        number = next(self._numbers)
        self._sources[number] = source
        return SandboxedReading(self, number, source, options, block)

    def child(self, options: ReadOptions) -> process.ReaderProcess:
        """The child at work; a new one where there is none, or none any more."""
        with self._starting:
            if self._process is None or self._process.end is not None:
                self._end_child()
                folder = self._scratch.absolute() / f"reader-{len(self._folders)}"
                folder.mkdir(mode=0o700)
                self._folders.append(folder)
                self._process = process.take()
                self._process.begin(folder, {name: getattr(options.limits, name) for name in NAMES})
            return self._process

    @property
    def folder(self) -> Path:
        """The folder of the child at work."""
        return self._folders[-1]

    def number(self) -> int:
        """A number that was not given before."""
        return next(self._numbers)

    def far(self, child: process.ReaderProcess) -> None:
        """The child may ask for the bytes of sources that are not on this machine."""
        child.answer_for(self._sources)

    def close(self) -> None:
        """End the child and remove its folders; readings cannot be read any more."""
        self._end_child()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _end_child(self) -> None:
        if self._process is not None:
            self._process.close()


class SandboxedReading:
    """A source that a child process reads. `decisions` is complete once `blocks` has been read to its end."""

    format: str
    schema: Mapping[str, pl.DataType]
    decisions: tuple[Decision, ...]

    def __init__(self, sandbox: Sandbox, number: int, source: Source, options: ReadOptions, block: int | None) -> None:
        self.name = source.name
        self._sandbox, self._number, self._source, self._options, self._block = sandbox, number, source, options, block
        self._opened_in: process.ReaderProcess | None = None
        self._child()

    def blocks(self) -> Iterator[Block]:
        """Every record once, in order; raises the InputErrors, ReaderCrashed and ReaderLimit."""
        child = self._child()
        folder, stream = self._sandbox.folder, self._sandbox.number()
        child.ask(self.name, {"do": "start", "stream": stream, "reading": self._number}, answered=False)
        asked = deque(child.ask(self.name, {"do": "following", "stream": stream}) for _ in range(_AHEAD))
        try:
            while "end" not in (told := child.result(asked.popleft())):
                asked.append(child.ask(self.name, {"do": "following", "stream": stream}))
                yield self._received(told, folder)
            self.decisions = self._decided(told["end"])
        finally:
            child.ask(self.name, {"do": "stop", "stream": stream}, answered=False)

    def _child(self) -> process.ReaderProcess:
        """The child, in which this source has been opened."""
        child = self._sandbox.child(self._options)
        if child is not self._opened_in:
            told = self._open(child)
            self._opened_in = child
            schema = self._checked(lambda: pl.read_ipc_schema(self._sandbox.folder / Path(str(told.get("schema"))).name))
            self.format, self.schema = str(told.get("format")), pl.Schema(schema)
            self.decisions, self.header = self._decided(told.get("decisions")), _header(told.get("header"), len(schema))
        return child

    def _open(self, child: process.ReaderProcess) -> dict[str, Any]:
        local = self._source.local
        if local is None:
            self._sandbox.far(child)
        question = {"do": "open", "reading": self._number, "name": self.name, "path": str(local) if local else None, "far": self._number,
                    "options": self._options, "block": self._block}  # fmt: skip
        return child.result(child.ask(self.name, question))

    def _received(self, told: dict[str, Any], folder: Path) -> Block:
        """The block that the child tells of, if it is one of this table."""
        path = folder / Path(str(told.get("file"))).name
        block: Block = self._checked(lambda: blocks.read(_extent(told), path))
        if len(block.rows) != block.frame.height or dict(block.frame.schema) != dict(self.schema):
            raise self._nonsense()
        if not self._sandbox.keep:
            blocks.remove(path)
        return block

    def _decided(self, told: Any) -> tuple[Decision, ...]:
        return tuple(self._checked(lambda: [Decision(*map(str, one)) for one in told]))

    def _checked(self, read: Any) -> Any:
        """What a file of the child's holds; one that is not as we write them is no accident."""
        try:
            return read()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, KeyError, TypeError, FileNotFoundError) as error:
            raise self._nonsense() from error

    def _nonsense(self) -> errors.ReaderCrashed:
        return errors.ReaderCrashed(path=self.name, why="what its reader wrote made no sense")


def _header(told: object, width: int) -> tuple[str, ...] | None:
    """What stands above the columns where that is not their names, as `formats.write` takes it."""
    if told is None:
        return None
    labels = tuple(map(str, told)) if isinstance(told, list) else ()
    return labels if len(labels) == width else ()


def _extent(told: Mapping[str, Any]) -> blocks.Extent:
    return blocks.Extent(int(told["first"]), int(told["height"]), bool(told["gaps"]), bool(told["issues"]))
