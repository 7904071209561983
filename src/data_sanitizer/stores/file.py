"""Files of this machine: file:///folder/name is the path /folder/name."""

from __future__ import annotations

import errno
import glob
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from data_sanitizer import errors
from data_sanitizer.model import StoredObject


@dataclass(frozen=True, slots=True)
class Settings:
    """Files need no settings."""


def bucket(name: str, settings: Settings) -> Files:
    """All files of this machine; a file URL has no bucket."""
    return Files()


class Files:
    """The file system from its root; a key is an absolute path without its first slash."""

    def find(self, key: str) -> StoredObject:
        """Size and version of a file; the version is its size, time of change and number."""
        path = self._path(key)
        with _reading(path):
            facts = path.stat()
        if not path.is_file():
            raise errors.InputIsDirectory(path=path)
        return StoredObject(key, facts.st_size, f"{facts.st_size}-{facts.st_mtime_ns}-{facts.st_ino}")

    def listed(self, prefix: str) -> Iterator[StoredObject]:
        """Every file whose path begins so, in folders below as well."""
        start = self._path(prefix)
        folder = start if prefix.endswith("/") or not prefix else start.parent
        keys = (str(path).lstrip("/") for path in folder.rglob("*") if path.is_file())
        for key in sorted(key for key in keys if key.startswith(prefix)):
            with suppress(errors.InputNotFound):  # deleted meanwhile
                yield self.find(key)

    def read(self, found: StoredObject, start: int, size: int) -> bytes:
        """A range of the file, as long as it is the same file."""
        path = self._path(found.key)
        try:
            with _reading(path), path.open("rb") as file:
                file.seek(start)
                data = file.read(size)
            same = self.find(found.key).version == found.version and len(data) == size
        except errors.InputNotFound as error:
            raise errors.InputChanged(path=path) from error
        if not same:
            raise errors.InputChanged(path=path)
        return data

    def write(self, key: str, pieces: Iterable[bytes], *, new: bool = False) -> StoredObject:
        """Written aside in the same folder, then given its name in one step."""
        path = self._path(key)
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
            try:
                with aside.open("xb") as file:
                    file.writelines(pieces)
                    file.flush()
                    os.fsync(file.fileno())
                _named(aside, path, new)
            finally:
                aside.unlink(missing_ok=True)
        return self.find(key)

    def delete(self, key: str) -> None:
        """Remove the file."""
        path = self._path(key)
        with _writing(path):
            path.unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Remove what was written aside and never got its name."""
        path = self._path(key)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            with _writing(left):
                left.unlink(missing_ok=True)

    @staticmethod
    def _path(key: str) -> Path:
        return Path("/") / key


def _named(aside: Path, path: Path, new: bool) -> None:
    if not new:
        aside.replace(path)
        return
    try:
        os.link(aside, path)  # unlike a rename it fails where the name is taken
    except FileExistsError as error:
        raise errors.OutputExists(path=path) from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise errors.InputNotFound(path=path) from error
    except IsADirectoryError as error:
        raise errors.InputIsDirectory(path=path) from error
    except OSError as error:
        raise errors.InputUnreadable(path=path, why=os.strerror(error.errno or errno.EIO)) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.DiskFull(path=path) from error
        raise errors.OutputNotWritable(path=path, why=os.strerror(error.errno or errno.EIO)) from error
