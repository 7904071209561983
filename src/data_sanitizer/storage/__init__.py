"""Where jobs, hashes, provenance and audit are kept: one database a file, relational (`SCHEMES`, `connect`) or of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from data_sanitizer import extensions
from data_sanitizer.errors import PackageMissing, StorageUnknown

if TYPE_CHECKING:
    from data_sanitizer.ports import Database


def configured(url: str, **settings: Any) -> Any:
    """The configuration of the relational database that a URL names; raises StorageUnknown where none of them knows it."""
    schemes = {scheme: name for name in databases() for scheme in extensions.load("storage", name).SCHEMES}
    scheme = urlsplit(url).scheme
    if scheme not in schemes:
        raise StorageUnknown(url=f"{scheme or 'It'}:…", known="sqlite:///FILE or postgresql://user@host:port/database")
    return extensions.load("storage", schemes[scheme]).configure(url, **settings)


def connected(config: Any) -> Database:
    """The database of a configuration; its module is the one that defines the configuration."""
    name = type(config).__module__.rsplit(".", 1)[1]
    database: Database = extensions.load("storage", name).connect(config)
    return database


def dump(config: Any, path: Path) -> None:
    """Save the database of a configuration in a file."""
    extensions.load("storage", type(config).__module__.rsplit(".", 1)[1]).dump(config, path)


def load(config: Any, path: Path) -> None:
    """Put a saved database into the empty one of a configuration."""
    extensions.load("storage", type(config).__module__.rsplit(".", 1)[1]).load(config, path)


def databases() -> list[str]:
    """The names of the relational databases."""
    try:
        return [name for name in extensions.names("storage") if hasattr(extensions.load("storage", name), "SCHEMES")]
    except ModuleNotFoundError as error:
        raise PackageMissing(package=error.name, what="storage") from error
