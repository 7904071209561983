"""Where the bytes of an input are: a file of this machine, or anything else that `ports.Source` describes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from data_sanitizer.ports import Source


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine."""

    name: str
    local: Path

    def open(self) -> io.RawIOBase:
        """The file from its start, unbuffered; raises OSError as the system does."""
        return cast("io.RawIOBase", self.local.open("rb", buffering=0))

    def stamp(self) -> tuple[int, int, int]:
        """Size, time of change and number of the file: one of them changes when it is written to or replaced."""
        facts = self.local.stat()
        return facts.st_size, facts.st_mtime_ns, facts.st_ino


def as_source(place: Path | Source, name: str) -> Source:
    """A path as the source it is; a source as it is."""
    return LocalFile(name, place) if isinstance(place, Path) else place


def local_or_source(source: Source) -> Path | Source:
    """The path of a source that is a plain file here, and otherwise the source."""
    return source.local or source
