"""Candidates: the pairs of rows worth comparing, found without comparing all."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.comparison import all_pairs
from data_sanitizer.duplicates.pairs import PairFiles, keys
from data_sanitizer.duplicates.records import Records
from data_sanitizer.duplicates.templates import Templates
from data_sanitizer.duplicates.views import views

FEW: Final = 2500  # rows of a table of which all pairs are compared
_BLOCK: Final = 1 << 16  # rows whose keys are made at a time
Pairs = Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]


def candidates(records: Records, templates: Templates | None, folder: Path, threads: int = 1) -> Pairs:
    """Rows a < b, every pair once, ascending, some pairs at a time; without templates all pairs. Files are written to `folder`."""
    if templates is None:
        return all_pairs(records.rows)
    files = PairFiles(folder, records.contents)
    write_keys(records, templates, files, threads)
    files.find()
    return files.merged()


def write_keys(records: Records, templates: Templates, files: PairFiles, threads: int = 1) -> None:
    """The keys of every template, and of rows that are equal in all columns, block by block."""
    blocks = [np.arange(k, min(k + _BLOCK, records.rows)) for k in range(0, records.rows, _BLOCK)]
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(blocks), threads):
            for found in pool.map(lambda rows: block_keys(records, templates, rows), blocks[first : first + threads]):
                for number, key in enumerate(found):
                    files.append(number, key)
            records.release()


def block_keys(records: Records, templates: Templates, rows: NDArray[np.int64]) -> list[NDArray[np.uint64]]:
    """The keys of some rows: those of their content first, then those of each template."""
    wanted: dict[int, set[str]] = {}
    for template in templates.chosen:
        for column, name in template:
            wanted.setdefault(column, set()).add(name)
    seen: dict[tuple[int, str], NDArray[np.uint64]] = {}
    for column, names in wanted.items():
        known = templates.frequencies.get(column)
        for name, view in views(records.gather(rows, column), records.prints[rows, column], names, known).items():
            seen[column, name] = view
    return [records.contents[rows], *(keys([seen[view] for view in template]) for template in templates.chosen)]
