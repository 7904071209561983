"""Finds steps, detectors, formats and other plug-ins by file name in this package, or by the entry points of another package."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType


@cache
def names(folder: str) -> tuple[str, ...]:
    """The names of all plug-ins of a folder ("steps", "pii", …), sorted; other packages add theirs as `data_sanitizer.<folder>`."""
    package = import_module(f"data_sanitizer.{folder}")
    own = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}
    return tuple(sorted(own | {e.name for e in entry_points(group=f"data_sanitizer.{folder}")}))


@cache
def load(folder: str, name: str) -> ModuleType:
    """The module of one plug-in; raises KeyError with the known names where there is none."""
    if name not in names(folder):
        raise KeyError(f"{folder} has no {name}; known: {', '.join(names(folder))}")
    for entry in entry_points(group=f"data_sanitizer.{folder}", name=name):
        module: ModuleType = entry.load()
        return module
    return import_module(f"data_sanitizer.{folder}.{name}")


def summary(folder: str, name: str) -> str:
    """The first sentence of a plug-in's docstring: its help text."""
    return (load(folder, name).__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
