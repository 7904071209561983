"""Saves all that the service knows in a folder, and puts it back: the database, and the files that it tells of.

The database is saved first. Files are only ever added, and before the database tells of them, so all that it tells of is among those saved
after it; what is newer is too much, and harms nobody. Signatures are not saved: the vector index is made anew from the database.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, Final, cast

from data_sanitizer import run_folder
from data_sanitizer.errors import BackupUnreadable, NotEmpty
from data_sanitizer.storage_backend import AuditHead, StorageBackend
from data_sanitizer.stores import Location
from data_sanitizer.stores._stream import StoredSource

MANIFEST: Final = "backup.json"
DATABASE: Final = "database"
_SCHEMA: Final = "data-sanitizer.backup/1"
_PIECE: Final = 1 << 20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
Place = Path | Location


def backup(backend: StorageBackend, folder: Path, files: Sequence[Place], *, force: bool = False) -> dict[str, Any]:
    """Save the database, and all that lies in the given folders or prefixes, in a new folder; gives what backup.json tells.

    Who works meanwhile is not kept from it. The heads of the audit logs are taken first, so that the saved chains must reach them.
    """
    with run_folder.written_aside(folder, force) as aside:
        heads = {tenant: asdict(backend.verify_audit_log(tenant).head) for tenant in backend.tenants()}
        version = backend.dump(aside / DATABASE)
        for number, place in enumerate(files):
            _save(place, aside / _archive(number))
        saved = {path.name: run_folder.sha256(path) for path in sorted(aside.iterdir())}
        told = {"schema": _SCHEMA, "database": {"dialect": backend.dialect, "schema": version}, "audit": heads,
                "files": [str(place) for place in files], "sha256": saved}  # fmt: skip
        run_folder.write_json(aside / MANIFEST, told)
    return told


def restore(backend: StorageBackend, folder: Path, files: Sequence[Place]) -> dict[str, Any]:
    """Put a backup into an empty database and empty folders or prefixes, as many as were saved; makes the vector index anew.

    Everything is checked before anything is written, and the audit logs after it. Raises BackupUnreadable, NotEmpty, AuditBroken.
    """
    told = _checked(folder, backend.dialect, len(files))
    for place in files:
        if any(True for _ in _listed(place)):
            raise NotEmpty(place=place)
    if not backend.is_empty():
        raise NotEmpty(place="The database")
    for number, place in enumerate(files):
        _put_back(folder / _archive(number), place)
    version = backend.load(folder / DATABASE)
    for tenant, head in told["audit"].items():
        backend.verify_audit_log(tenant, AuditHead(**head) if head["seq"] else None)
    return {**told, "schema_now": version, "signatures": backend.rebuild_vectors()}


def _checked(folder: Path, dialect: str, places: int) -> dict[str, Any]:
    """What backup.json tells, where all of it is there, as it was written, and fits."""
    try:
        told: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        known = told["schema"] == _SCHEMA
        saved, kind, count = dict(told["sha256"]), told["database"]["dialect"], len(told["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupUnreadable(path=folder, why=f"it has no {MANIFEST}, or one that cannot be read") from error
    if not known:
        raise BackupUnreadable(path=folder, why="another version wrote it")
    if kind != dialect:
        raise BackupUnreadable(path=folder, why=f"it is of {kind}, and the database to restore into is {dialect}")
    if count != places:
        raise BackupUnreadable(path=folder, why=f"it holds the files of {count} places; name as many with --files, in the same order")
    for name, digest in saved.items():
        path = folder / Path(name).name
        if not path.is_file() or run_folder.sha256(path) != digest:
            raise BackupUnreadable(path=folder, why=f"{path.name} is missing, or not as it was written")
    return told


def _archive(number: int) -> str:
    return f"files-{number}.zip"


def _save(place: Place, path: Path) -> None:
    """All files below a place in one archive, not compressed, under their names."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in _listed(place):
            with _opened(source) as stream, archive.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True) as target:
                shutil.copyfileobj(stream, target, _PIECE)


def _listed(place: Place) -> Iterator[tuple[str, Path | StoredSource]]:
    """The files below a place with their names, in the order of these; what is being written (`.….partial`) is left out."""
    if isinstance(place, Location):
        prefix = f"{place.key.rstrip('/')}/" if place.key else ""
        for found in place.store.listed(prefix):
            yield found.key.removeprefix(prefix), StoredSource(place.at(found.key), found)
        return
    for path in sorted(p for p in place.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(place)
        if not any(part.startswith(".") and part.endswith(".partial") for part in name.parts):
            yield name.as_posix(), path


@contextmanager
def _opened(source: Path | StoredSource) -> Iterator[BinaryIO]:
    with source.open("rb") if isinstance(source, Path) else source.open() as stream:
        yield cast("BinaryIO", stream)


def _put_back(path: Path, place: Place) -> None:
    """The files of an archive below a place."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as stream:
                _write(place, name, stream)


def _write(place: Place, name: str, stream: IO[bytes]) -> None:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise BackupUnreadable(path=place, why="a file in it has a name that leads elsewhere")
    if isinstance(place, Location):
        place.store.write((place / name).key, iter(lambda: stream.read(_PIECE), b""), new=True)
        return
    target = place.joinpath(*parts)
    with run_folder.translated(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(stream, file, _PIECE)


def described(told: Mapping[str, Any]) -> str:
    """A backup in a line."""
    files = f", files of {len(told['files'])} places" if told["files"] else ""
    return f"{told['database']['dialect']}, schema {told['database']['schema']}, {len(told['audit'])} tenants{files}"
