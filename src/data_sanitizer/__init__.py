"""Data Sanitizer cleans dirty tables without doing harm, and proves it: every change is recorded and can be taken back.

import data_sanitizer as ds
result = ds.clean("customers.csv")
result.data, result.ledger, result.report
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from data_sanitizer import errors

if TYPE_CHECKING:
    from data_sanitizer.client import Client
    from data_sanitizer.library import Dataset, Result, clean, compare, profile
    from data_sanitizer.recipe import Recipe, load_recipe

__all__ = ["Client", "Dataset", "Recipe", "Result", "clean", "compare", "errors", "load_recipe", "profile"]

_HOMES = {"Client": "client", "Recipe": "recipe", "load_recipe": "recipe"}  # all else: library


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"data_sanitizer.{_HOMES.get(name, 'library')}"), name)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        if name not in __all__:  # `profile` stays the function: importing the folder of that name would put the folder in its place
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
