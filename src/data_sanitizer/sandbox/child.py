"""What runs in the child: it finds out what a source is, parses it, and writes each block to the folder that it was given."""

from __future__ import annotations

import os
import pickle
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_sanitizer.errors import DataSanitizerError
from data_sanitizer.sandbox import walls, wire
from data_sanitizer.sandbox.limits import Limiter

if TYPE_CHECKING:
    from data_sanitizer.model import Block, Decision
    from data_sanitizer.ports import Reading, Source


def main(control: int, lifeline: int, far: int) -> None:
    """The whole life of the child; the three descriptors are those that the parent passed on."""
    walls.tie_to(lifeline)
    held = walls.close_in()
    ends = socket.socket(fileno=control), socket.socket(fileno=far)
    from data_sanitizer.formats import _records  # noqa: F401  the libraries of nearly every file, while the parent loads its own
    from data_sanitizer.sandbox import blocks  # noqa: F401

    hello = wire.receive(ends[0])
    if hello is not None:
        setting: dict[str, Any] = pickle.loads(hello)  # noqa: S301  from the parent
        tempfile.tempdir = setting["folder"]
        held += walls.write_only_to([setting["folder"], setting["cache"]])
        wire.send(ends[0], wire.message({"held": held}))
        _Serving(ends[0], ends[1], Path(setting["folder"]), Limiter(setting["limits"])).serve()


class _Serving:
    """The sources that were opened, and how far each was read."""

    def __init__(self, control: socket.socket, far: socket.socket, folder: Path, limiter: Limiter) -> None:
        from data_sanitizer.sandbox.far import Line

        self._control, self._line, self._folder, self._limiter = control, Line(far), folder, limiter
        self._readings: dict[int, Reading] = {}
        self._streams: dict[int, tuple[Reading, Iterator[Block]]] = {}
        self._written = 0

    def serve(self) -> None:
        """One answer for each question, until the parent closes its end. What was not foreseen ends the child."""
        while (data := wire.receive(self._control)) is not None:
            self._limiter.until_next_answer()
            message: dict[str, Any] = pickle.loads(data)  # noqa: S301  from the parent
            try:
                answer = getattr(self, message.pop("do"))(**message)
            except DataSanitizerError as error:
                answer = self._described(error)
            except BaseException as error:  # noqa: BLE001  told by its name and place, and the end
                wire.send(self._control, wire.message(self._described(error)))
                raise SystemExit(70) from None
            if answer is not None:
                wire.send(self._control, wire.message(answer))

    def _described(self, error: BaseException) -> dict[str, Any]:
        return wire.described(error, str(self._folder), own_disk=self._limiter.own_disk)

    def open(self, reading: int, name: str, path: str | None, far: int, options: Any, block: int | None) -> dict[str, Any]:
        """Look at a source; its schema is given as a file without rows."""
        import polars as pl

        from data_sanitizer import formats

        opened = formats.open_source(self._source(name, path, far), options, self._folder, block)
        self._readings[reading] = opened
        schema = f"schema-{reading}.arrow"
        pl.DataFrame(schema=dict(opened.schema)).write_ipc(self._folder / schema)
        header = getattr(opened, "header", ())
        return {"schema": schema, "format": opened.format, "decisions": _told(opened.decisions),
                "header": None if header is None else list(header)}  # fmt: skip

    def _source(self, name: str, path: str | None, far: int) -> Source:
        from data_sanitizer.formats._sources import LocalFile
        from data_sanitizer.sandbox.far import FarSource

        if path is None:
            return FarSource(name, far, self._line)
        if os.path.isfile(path):  # noqa: PTH113  without an error where it is none
            self._limiter.more_space(os.path.getsize(path))  # noqa: PTH202
        return LocalFile(name, Path(path))

    def start(self, stream: int, reading: int) -> None:
        """Read a source from its start."""
        self._streams[stream] = self._readings[reading], self._readings[reading].blocks()

    def stop(self, stream: int) -> None:
        """The rest is not wanted."""
        self._streams.pop(stream, None)

    def following(self, stream: int) -> dict[str, Any]:
        """The next block as files; at the end, everything that was decided."""
        from data_sanitizer.sandbox import blocks

        if stream not in self._streams:
            return {"end": []}
        reading, rest = self._streams[stream]
        block = next(rest, None)
        if block is None:
            self.stop(stream)
            return {"end": _told(reading.decisions)}
        name = f"{stream}-{self._written}.arrow"
        self._written += 1
        what = blocks.write(block, block.frame, self._folder / name)
        return {"file": name, "first": what.first, "height": what.height, "gaps": what.gaps, "issues": what.issues}


def _told(decisions: tuple[Decision, ...]) -> list[list[str]]:
    return [[d.subject, d.choice, d.evidence] for d in decisions]
