"""The inputs as they are given, paths, URLs, patterns, prefixes, and the places that they mean."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from data_sanitizer import errors, run_folder
from data_sanitizer.model import StoredObject
from data_sanitizer.stores import Location, Stores, is_url
from data_sanitizer.stores._stream import StoredSource

STANDARD_INPUT = "-"
Place: TypeAlias = str | StoredSource  # a path of this machine or `-`, or an object of a store

_MAGIC = re.compile(r"[*?\[]")
_PASSED_OVER = (".", "_")  # names of what other programs leave beside their tables, as _SUCCESS


def found(inputs: Sequence[str | StoredSource], stores: Stores) -> list[Place]:
    """The places that the inputs mean, in their order; a pattern or a prefix means its files, in the order of their names.

    `*`, `?` and `[…]` stand for signs other than `/`, `**` for any; a URL that ends with `/` means all objects below it. Where something
    bears the very name, it is that; a place is itself. Raises NothingMatches, InputNotFound, UsageError, and the errors of stores.
    """
    places = [place for given in inputs for place in (_places(given, stores) if isinstance(given, str) else [given])]
    if len(set(map(name, places))) < len(places):
        raise errors.UsageError(why="The same input is given twice. Name each input once.")
    return places


def name(place: Place) -> str:
    """The place as the user knows it: a path or a URL."""
    return place if isinstance(place, str) else place.name


def size(place: Place) -> int:
    """Bytes as they are stored; 0 for standard input."""
    if isinstance(place, StoredSource):
        return place.size
    return Path(place).stat().st_size if place != STANDARD_INPUT else 0


def stamp(place: Place) -> object:
    """What is another value once the bytes are others; None for standard input."""
    if isinstance(place, StoredSource):
        return place.stamp()
    if place == STANDARD_INPUT:
        return None
    facts = Path(place).stat()
    return facts.st_size, facts.st_mtime_ns


def first_stamp(place: Place) -> object:
    """The stamp that the place had when it was found: an object is read in that version, whatever becomes of it."""
    return (place.found.size, place.found.version) if isinstance(place, StoredSource) else stamp(place)


def is_here(place: Place) -> bool:
    """Whether the bytes are a file of this machine, whose SHA-256 is taken beside the reading; of others it is taken in reading."""
    return isinstance(place, str) or place.local is not None


def sha256(place: Place) -> str | None:
    """Of the bytes as they are stored; None for standard input and for what is no plain file. An object that was read costs nothing."""
    if isinstance(place, StoredSource):
        return place.sha256()
    return run_folder.sha256(Path(place)) if place != STANDARD_INPUT and Path(place).is_file() else None


def _places(given: str, stores: Stores) -> Iterator[Place]:
    if is_url(given):
        location = stores.location(given)
        yield from _stored(location) if location.scheme != "file" else _local(f"/{location.key}")
    else:
        yield from _local(given)


def _local(given: str) -> Iterator[str]:
    if given == STANDARD_INPUT or not _MAGIC.search(given) or Path(given).exists():
        yield given
        return
    paths = sorted(glob.glob(given, recursive=True))  # noqa: PTH207  a Path would change how the user wrote it
    matches = [path for path in paths if Path(path).is_file() and not Path(path).name.startswith(_PASSED_OVER)]
    if not matches:
        raise errors.NothingMatches(path=given)
    yield from matches


def _stored(location: Location) -> Iterator[StoredSource]:
    key = location.key
    whole = not key or key.endswith("/")
    try:
        if not whole:
            yield StoredSource(location, location.store.find(key))
            return
    except errors.InputNotFound:
        if not _MAGIC.search(key):
            raise
    magic = _MAGIC.search(key)
    pattern = re.compile(_expression(f"{key}**" if whole else key), re.DOTALL)
    start = key[: magic.start()] if magic else key
    matches = [f for f in location.store.listed(start) if pattern.fullmatch(f.key) and _is_table(f)]
    if not matches:
        raise errors.NothingMatches(path=str(location))
    for match in sorted(matches, key=lambda f: f.key):
        yield StoredSource(location.at(match.key), match)


def _is_table(stored: StoredObject) -> bool:
    """Not what stands for a folder, nor what other programs leave."""
    return not stored.key.endswith("/") and not stored.key.rpartition("/")[2].startswith(_PASSED_OVER)


def _expression(pattern: str) -> str:
    """A pattern of the shell as a regular expression.

    >>> _expression("in/*.csv"), _expression("in/**/[a-c]?.csv")
    ('in/[^/]*\\\\.csv', 'in/(?:.*/)?[a-c][^/]\\\\.csv')
    """
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^]/]+\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(_part(part, known) for part in parts)


def _part(part: str, known: dict[str, str]) -> str:
    if part in known:
        return known[part]
    if re.fullmatch(r"\[!?[^]/]+\]", part):
        inside = part[1:-1]
        negated, signs = inside.startswith("!"), inside.removeprefix("!").replace("\\", "\\\\").replace("^", "\\^").replace("[", "\\[")
        return f"[{'^/' if negated else ''}{signs}]"
    return re.escape(part)
