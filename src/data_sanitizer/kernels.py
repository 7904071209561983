"""Compiled kernels: numba with its cache in the user's cache folder, so that only the first run on a machine compiles."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from platformdirs import user_cache_path

F = TypeVar("F", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Where compiled kernels are kept: the user's cache folder, or a new temporary one where that cannot be written.

    One folder a version: numba does not notice that a kernel in another file, which this one calls, has changed.
    The temporary one is private to this process: numba runs what it finds in its cache, so it must not be a place that others can fill.
    """
    folder = user_cache_path("data-sanitizer") / f"kernels-{version('data-sanitizer')}-numba-{numba.__version__}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK):
            return folder
    except OSError as error:
        logging.getLogger(__name__).info("kernels are compiled anew: the cache folder cannot be made (%s)", error.strerror)
    private = tempfile.mkdtemp(prefix="data-sanitizer-kernels-")
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    return Path(private)


setattr(numba.config, "CACHE_DIR", str(cache_folder()))  # noqa: B010  numba makes the attribute when it starts


def kernel(function: F) -> F:
    """Compile on first call, keep the result on disk, release the interpreter lock while running."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))
