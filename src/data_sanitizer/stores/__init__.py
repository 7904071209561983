"""Where bytes live, by URL scheme: objects are found, read by ranges, written whole or not at all, deleted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from data_sanitizer import extensions
from data_sanitizer.errors import UsageError
from data_sanitizer.ports import Store, WritableStore

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)/?(.*)", re.DOTALL)


class Bucket(Store, WritableStore, Protocol):
    """One bucket: read and written."""


def is_url(text: str) -> bool:
    """Whether a place is given as a URL, and not as a path.

    >>> is_url("s3://bucket/table.csv"), is_url("/data/table.csv")
    (True, False)
    """
    return _URL.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a store: an object, or the common beginning of the keys of several, as a folder is."""

    scheme: str
    bucket: str
    key: str
    settings: Any = field(repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> Location:
        return self.at(f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    def at(self, key: str) -> Location:
        """The place of another key in the same bucket."""
        return replace(self, key=key)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def store(self) -> Bucket:
        """The bucket; one client serves all that ask for the same."""
        return _opened(self.scheme, self.bucket, self.settings)


@cache
def _opened(scheme: str, bucket: str, settings: Any) -> Bucket:
    opened: Bucket = extensions.load("stores", scheme).bucket(bucket, settings)
    return opened


@dataclass(frozen=True, slots=True)
class Stores:
    """All stores with their settings: `settings` has them by scheme; where it has none, a store's own defaults hold."""

    settings: Mapping[str, Any] = field(default_factory=dict)

    def location(self, url: str) -> Location:
        """The place that a URL names; raises UsageError for a scheme that no store has, and for a URL that is more than a place.

        >>> location = Stores().location("s3://bucket/run/")
        >>> location.bucket, location.key, str(location / "manifest.json")
        ('bucket', 'run/', 's3://bucket/run/manifest.json')
        """
        parts = _URL.fullmatch(url)
        scheme = parts[1].lower() if parts else ""
        if parts is None or scheme not in extensions.names("stores"):
            known = ", ".join(f"{name}://" for name in extensions.names("stores"))
            raise UsageError(why=f"There is no store for {scheme}://. Known: {known}.")
        _must_be_a_place(scheme, parts[2], parts[3])
        settings = self.settings.get(scheme)
        return Location(scheme, parts[2], parts[3], extensions.load("stores", scheme).Settings() if settings is None else settings)

    def place(self, text: str) -> Path | Location:
        """A path, also where it is written as file:///…, or a place in a store; raises UsageError as `location` does."""
        if not is_url(text):
            return Path(text)
        location = self.location(text.rstrip("/"))
        return Path("/") / location.key if location.scheme == "file" else location


def _must_be_a_place(scheme: str, bucket: str, key: str) -> None:
    """No credentials and ports in place of a bucket, no way upwards: such a URL asks for something else than it says."""
    if "@" in bucket or ":" in bucket:
        raise UsageError(why=f"A {scheme}:// URL names a bucket and a key, no account and no server. Those come from the environment.")
    if (scheme == "file") == bool(bucket):
        raise UsageError(why=f"Write {'file:///folder/name' if scheme == 'file' else f'{scheme}://bucket/key'}.")
    if not {".", ".."}.isdisjoint(key.split("/")) or any(ord(c) < 32 for c in key):
        raise UsageError(why=f"A key in a {scheme}:// URL has no part that is . or .., and no control characters.")
