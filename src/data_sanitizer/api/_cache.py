"""Files of runs that lie in an object store, kept on this machine while they are looked at; those not used for longest go first."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from data_sanitizer.stores import Location

_PIECE: Final = 4 << 20


class FileCache:
    """A folder of copies, at most so many bytes large, but for what is in use."""

    def __init__(self, folder: Path | None, most: int) -> None:
        self._own = None if folder else tempfile.TemporaryDirectory(prefix="data-sanitizer-api-")
        self.folder = folder or Path(self._own.name)  # type: ignore[union-attr]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._most, self._lock, self._used = most, Lock(), dict[Path, int]()

    @contextmanager
    def file(self, place: Location, sha256: str) -> Iterator[Path]:
        """A file with the bytes of an object: the object itself where it is a file of this machine, else a copy."""
        if place.scheme == "file":
            yield Path("/") / place.key
            return
        path = self.folder / (hashlib.sha256(f"{place} {sha256}".encode()).hexdigest() + Path(place.key).suffix)  # which tells the format
        with self._lock:
            self._used[path] = self._used.get(path, 0) + 1
            if not path.exists():
                self._bring(place, path)
            path.touch()
            self._shrink()
        try:
            yield path
        finally:
            with self._lock:
                self._used[path] -= 1

    def _bring(self, place: Location, path: Path) -> None:
        found = place.store.find(place.key)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        with aside.open("wb") as file:
            for start in range(0, found.size, _PIECE):
                file.write(place.store.read(found, start, min(_PIECE, found.size - start)))
        aside.replace(path)

    def _shrink(self) -> None:
        files = sorted((p.stat().st_mtime, p.stat().st_size, p) for p in self.folder.iterdir() if p.is_file())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._most:
                return
            if not self._used.get(path):
                path.unlink(missing_ok=True)
                total -= size

    def close(self) -> None:
        """Remove the folder where it is a temporary one."""
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)
