"""Where the profile of an earlier delivery is found: in the folder of its run, in a file, or in the table itself."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from data_sanitizer import run_folder
from data_sanitizer.errors import InputNotFound, RunUnreadable
from data_sanitizer.pipeline.comparison import Before
from data_sanitizer.pipeline.sanitize import RunOptions, profiled
from data_sanitizer.stores import Location, is_url

_PROFILE: Final = "profile.json"
_SCHEMA: Final = b'"data-sanitizer.profile/'
_START: Final = 4096  # bytes in which a profile names its schema


def before(place: str, options: RunOptions) -> Before:
    """The delivery at a place, to compare another one with."""
    return Before(place, profile_of(place, options))


def profile_of(place: str, options: RunOptions) -> dict[str, Any]:
    """The profile of a run directory, of a file that holds one (profile.json, or what `data-sanitizer profile` prints), or of a table,
    which is read for it. Raises RunUnreadable for a run that did not finish, and the errors of reading.
    """
    where = options.stores.place(place) if is_url(place) else Path(place)
    found = _of_store(where) if isinstance(where, Location) else _of_run(where) if where.is_dir() else _told(where)
    return found or profiled([place], options)


def _of_store(place: Location) -> dict[str, Any] | None:
    with suppress(InputNotFound):
        place.store.find((place / run_folder.MANIFEST).key)
        return _of_run(place)
    return None


def _of_run(run: Path | Location) -> dict[str, Any]:
    with run_folder.at_hand(run, without="cleaned") as folder:
        run_folder.read_manifest(folder)
        if (found := _told(folder / _PROFILE)) is None:
            raise RunUnreadable(path=run, why="it has no profile.json")
    return found


def _told(path: Path) -> dict[str, Any] | None:
    """The profile that a file holds; None where it is something else, such as a table in JSON, of which only the start is read."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(_START)
    if not start.lstrip().startswith(b"{") or _SCHEMA not in start:
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise RunUnreadable(path=path, why="it is a profile that was cut off") from error
    return content if isinstance(content, dict) else None
