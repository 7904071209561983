"""A run in an object store: uploaded file by file, and made whole by its manifest, which comes last and is never written over another.

A prefix has no rename, so three things stand in for it. Every object is created only where there is none, so that nobody's file takes the
place of somebody else's. A claim, `_unfinished.json`, says which attempt is at work and names its files, so that the next attempt knows
what a killed one left. And both sides look twice: who takes the claim over looks for a manifest afterwards, and who has put a manifest
looks whether the claim is still his; one of two attempts at the same time therefore sees the other, and gives up.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from data_sanitizer import errors
from data_sanitizer.model import StoredObject
from data_sanitizer.stores import Location
from data_sanitizer.stores._parts import of_file
from data_sanitizer.stores._stream import StoredSource

MANIFEST = "manifest.json"
CLAIM = "_unfinished.json"
_BESIDE = ("report.json", "report.html")  # files of a run that its manifest does not name: they tell times
_PIECE = 1 << 20


def publish(folder: Path, output: Location, force: bool = False) -> None:
    """Upload a finished run folder; when this returns all of it is there, and when it raises nothing looks finished.

    Raises OutputExists where there is a run already (unless `force`), or where another one is being published; StoreRefused and
    StoreUnavailable. With `force` the manifest of the old run goes first, so that at no time its name stands for a mixture.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    left = check_free(output, force)
    attempt = _Attempt(output, names)
    try:
        attempt.claim(left)
        attempt.clear(left | set(names if force else ()), force)
        for name in names:
            if name != MANIFEST:
                attempt.upload(folder / name)
        attempt.must_hold()
        attempt.seal(folder / MANIFEST)
        attempt.must_be_whole()
    except BaseException:
        with suppress(errors.DataSanitizerError):  # the first error is the one to tell
            attempt.withdraw()
        raise
    attempt.end()


def check_free(output: Location, force: bool) -> set[str]:
    """The files there that may go: those of an attempt that never ended and, with `force`, of the old run; raises OutputExists."""
    manifest, claim = _content(output / MANIFEST), _content(output / CLAIM)
    left = _names(claim.get("files", ()) if claim else ())
    if manifest is not None:
        if not force:
            raise errors.OutputExists(path=output)
        left |= {*_files(manifest), *_BESIDE}
    known = left | {MANIFEST, CLAIM}
    if not force and any(_name(found, output) not in known for found in output.store.listed(_prefix(output))):
        raise errors.OutputExists(path=output)
    return left


def fetch(run: Location, folder: Path, without: str | None = None) -> None:
    """Bring the files that the manifest of a run names into `folder`, but those whose name begins with `without`; raises RunUnreadable."""
    manifest = _content(run / MANIFEST)
    if manifest is None:
        raise errors.RunUnreadable(path=run, why="it has no manifest.json")
    for name in (MANIFEST, *_files(manifest), *_BESIDE):
        if without is None or not name.startswith(without):
            _fetch(run / name, folder / name)


def _fetch(place: Location, target: Path) -> None:
    with suppress(errors.InputNotFound):  # a file that is missing is missed by whoever needs it, with the right words
        source = StoredSource(place, place.store.find(place.key))
        with source.open() as stream, target.open("wb") as file:
            shutil.copyfileobj(cast("BinaryIO", stream), file, _PIECE)


def manifest_bytes(run: Location) -> bytes | None:
    """The manifest of a run as it stands there; None where there is none."""
    return _bytes(run / MANIFEST)


def names_of(run: Path) -> list[str]:
    """The files of a run in a folder of this machine: those that its manifest names, the report, the manifest."""
    manifest = json.loads((run / MANIFEST).read_text("utf-8"))
    return [*sorted(_files(manifest)), *_BESIDE, MANIFEST]


def remove(run: Location) -> None:
    """Delete a run, its manifest last, so that one that was deleted by half is known again."""
    manifest = _content(run / MANIFEST)
    for name in (*sorted(_files(manifest or {})), *_BESIDE, MANIFEST):
        run.store.delete((run / name).key)


class _Attempt:
    """One attempt to publish: what it has written, and whether the place is still its own."""

    def __init__(self, output: Location, names: list[str]) -> None:
        self._output, self._names, self._id = output, names, secrets.token_hex(8)
        self._written: dict[str, StoredObject] = {}
        self._manifest: bytes | None = None  # set when it may be there

    def claim(self, left: Collection[str]) -> None:
        """Say that this attempt is at work, and name every file that it, or one before it, may leave."""
        files = sorted({*self._names, *left} - {MANIFEST})
        told = {"schema": "data-sanitizer.unfinished/1", "attempt": self._id, "files": files}
        self._store.write((self._output / CLAIM).key, [json.dumps(told, indent=2).encode()])

    def clear(self, left: Iterable[str], force: bool) -> None:
        """Remove what was left, the manifest first; raises OutputExists where somebody has published meanwhile."""
        if not force and _content(self._output / MANIFEST) is not None:
            raise errors.OutputExists(path=self._output)
        if force:
            self._store.delete((self._output / MANIFEST).key)
        for name in sorted(set(left) - {MANIFEST}):
            self._store.forget((self._output / name).key)
            self._store.delete((self._output / name).key)

    def upload(self, path: Path) -> None:
        """One file, where there is none of its name."""
        try:
            self._written[path.name] = self._store.write((self._output / path.name).key, of_file(path), new=True)
        except errors.OutputExists as error:
            raise errors.OutputExists(path=self._output) from error

    def seal(self, manifest: Path) -> None:
        """Make the run one, where nobody else has."""
        self._manifest = manifest.read_bytes()
        self.upload(manifest)

    def must_hold(self) -> None:
        """Raises OutputExists where another attempt has begun since."""
        if not self._is_mine():
            raise errors.OutputExists(path=self._output)

    def must_be_whole(self) -> None:
        """After the manifest: the claim is still mine, and every object is the one that was written."""
        self.must_hold()
        there = {_name(found, self._output): found for found in self._store.listed(_prefix(self._output))}
        if any(there.get(name) != wrote for name, wrote in self._written.items()):
            raise errors.OutputExists(path=self._output)

    def withdraw(self) -> None:
        """Take back what was written, the manifest first; it may be there though its upload failed. Where another attempt is at work the
        rest is left to it, which knows of it."""
        if self._manifest is not None and _bytes(self._output / MANIFEST) == self._manifest:
            self._store.delete((self._output / MANIFEST).key)
        if not self._is_mine():
            return
        for name in self._written:
            if name != MANIFEST:
                self._store.delete((self._output / name).key)
        there = {_name(found, self._output) for found in self._store.listed(_prefix(self._output))}
        if there.isdisjoint(_names((_content(self._output / CLAIM) or {}).get("files", ()))):
            self.end()

    def end(self) -> None:
        """Nothing is unfinished any more."""
        self._store.delete((self._output / CLAIM).key)

    @property
    def _store(self) -> Any:
        return self._output.store

    def _is_mine(self) -> bool:
        return (_content(self._output / CLAIM) or {}).get("attempt") == self._id


def _content(place: Location) -> dict[str, Any] | None:
    """A small JSON object, None where there is none; raises RunUnreadable where it is something else."""
    data = _bytes(place)
    if data is None:
        return None
    try:
        content = json.loads(data)
    except ValueError as error:
        raise errors.RunUnreadable(path=place, why=f"its {place.name} cannot be read") from error
    if not isinstance(content, dict):
        raise errors.RunUnreadable(path=place, why=f"its {place.name} is of another program")
    return content


def _bytes(place: Location) -> bytes | None:
    """A small object, None where there is none, or where it goes while it is read."""
    with suppress(errors.InputNotFound, errors.InputChanged):
        found = place.store.find(place.key)
        return place.store.read(found, 0, found.size)
    return None


def _files(manifest: dict[str, Any]) -> set[str]:
    outputs = manifest.get("outputs")
    return _names(outputs if isinstance(outputs, dict) else ())


def _names(told: Iterable[Any]) -> set[str]:
    """Those that are plain names: what a file tells must not lead out of its folder."""
    return {name for name in told if isinstance(name, str) and name and "/" not in name and name not in (".", "..")}


def _prefix(output: Location) -> str:
    return (output / "").key


def _name(found: StoredObject, output: Location) -> str:
    return found.key.removeprefix(_prefix(output))
