"""What the service needs, part by part, for `doctor`: a part is a function that tells its state, or raises what is wrong and what helps."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from data_sanitizer import bootstrap
from data_sanitizer.errors import OutputNotWritable, PackageMissing, PartUnfit
from data_sanitizer.stores import is_url

if TYPE_CHECKING:
    from data_sanitizer.settings import ApiSettings, ServiceSettings
    from data_sanitizer.storage_backend import StorageBackend

_DRIFT: Final = 5.0  # seconds between our clock and the database's; webhooks and keys are checked by the one, leases by the other
_NEED: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[.*\])?\s*>=\s*([0-9.]+)\s*;\s*extra\s*==\s*.service.")


def parts(found: StorageBackend, service: ServiceSettings, api: ApiSettings) -> dict[str, Callable[[], str]]:
    """All parts that the settings name, by name: the storage's own, clock, object store, broker, disk, packages, pepper."""
    told = {**found.parts(), "clock": lambda: _clock(found), "object store": lambda: _objects(service)}
    if service.broker_url:
        told["broker"] = lambda: bootstrap.look_at_broker(service)
    told |= {"disk": lambda: _disk(service, api), "packages": _packages}
    if api.pepper_file:
        told["pepper"] = lambda: f"{len(api.pepper())} bytes"
    return told


def _clock(found: StorageBackend) -> str:
    before = time.time()
    theirs = found.clock()
    between = (before + time.time()) / 2
    if abs(theirs - between) > _DRIFT:
        raise PartUnfit(why=f"The clock of this machine and that of the database are {abs(theirs - between):.0f} seconds apart",
                        cure="Let a time service, such as chrony, set both")  # fmt: skip
    return "agrees with that of the database"


def _objects(service: ServiceSettings) -> str:
    """A folder must be one that can be written to; in a bucket an object is written, read and removed."""
    if not is_url(service.object_store):
        _writable(Path(service.object_store))
        return "a folder that can be written to"
    place, content = bootstrap.object_store(service) / f"doctor-{uuid.uuid4()}", b"data-sanitizer"
    store = place.store
    try:
        kept = store.write(place.key, [content])
        same = store.read(kept, 0, len(content)) == content
    finally:
        store.delete(place.key)
    if not same:
        raise PartUnfit(why="The object store gave back other bytes than it was given", cure="See to the store before it is used")
    return f"{place.scheme}, an object was written, read and removed"


def _writable(folder: Path) -> None:
    near = _there(folder)
    if not near.is_dir() or not os.access(near, os.W_OK | os.X_OK):
        raise OutputNotWritable(path=folder, why="it is no folder, or you may not write to it")


def _there(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())


def _disk(service: ServiceSettings, api: ApiSettings) -> str:
    """The largest upload must fit where jobs work, and where objects lie if that is here."""
    folders = [Path(service.work_folder or tempfile.gettempdir())]
    folders += [] if is_url(service.object_store) else [Path(service.object_store)]
    least, folder = min((shutil.disk_usage(_there(f)).free, str(f)) for f in folders)
    if least < api.upload_bytes:
        raise PartUnfit(why=f"{folder} has {least / 1e9:.1f} GB free, and the largest upload has {api.upload_bytes / 1e9:.1f} GB",
                        cure="Free some space, or lower DATA_SANITIZER_UPLOAD_BYTES")  # fmt: skip
    return f"{least / 1e9:.1f} GB free"


def _packages() -> str:
    needs = [found for text in metadata.requires("data-sanitizer") or [] if (found := _NEED.match(text))]
    for need in needs:
        _check_package(need[1], need[2])
    return f"data-sanitizer {metadata.version('data-sanitizer')}, {len(needs)} packages as it needs them"


def _check_package(name: str, least: str) -> None:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError as error:
        raise PackageMissing(package=name, what="the service") from error
    if _numbers(found) < _numbers(least):
        raise PartUnfit(why=f"The package {name} is {found}, and {least} is needed", cure="Run `pip install -U 'data-sanitizer[service]'`")


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]
