"""From templates to keys: the views that the templates ask for, made block by block, and mixed to one key a row and template."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.pairs import PairFiles, keys
from data_sanitizer.duplicates.records import Records
from data_sanitizer.duplicates.templates import Templates
from data_sanitizer.duplicates.views import views

FEW: Final = 2500  # rows of a table of which all pairs may be compared
_CELLS: Final = 20_000_000  # pairs of cells that this may take: about two seconds
_BLOCK: Final = 1 << 16  # rows whose keys are made at a time


def is_small(records: Records) -> bool:
    """Whether all pairs of rows can be compared."""
    cells = int(records.counts[:, 0].sum())  # empty ones cost nothing
    return bool(records.rows <= FEW and (records.rows - 1) * cells <= 2 * _CELLS)


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
