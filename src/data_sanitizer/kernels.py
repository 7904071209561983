"""Compiled kernels: numba with its cache in the user's cache folder, so that only the first run on a machine compiles."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from platformdirs import user_cache_path

F = TypeVar("F", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Where compiled kernels are kept: the user's cache folder, or a temporary one where that cannot be written."""
    folder = user_cache_path("data-sanitizer") / f"kernels-numba-{numba.__version__}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / "data-sanitizer-kernels"
        folder.mkdir(exist_ok=True)
    return folder


numba.config.CACHE_DIR = str(cache_folder())


def kernel(function: F) -> F:
    """Compile on first call, keep the result on disk, release the interpreter lock while running."""
    compiled: F = numba.njit(cache=True, nogil=True)(function)
    return compiled
