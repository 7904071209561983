"""What became of entities from one delivery to the next: new, back, gone, changed.

Every delivery keeps which rows of earlier ones it had too, a bit for each: these, and the rows that it was the first to bring, are all it
had.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import zstandard
from numpy.typing import NDArray

from data_sanitizer.duplicates.entities import distinct, hexadecimal
from data_sanitizer.model import Key
from data_sanitizer.pipeline.delivered_rows import Stored, load
from data_sanitizer.pipeline.spool import ROW_GROUP, ZSTD
from data_sanitizer.ports import Dataset

CHANGES: Final = "entity_changes.parquet"
KINDS: Final = ("new", "back", "gone", "changed")
_SAME: Final = "same"
Rows = NDArray[np.int64]
Present = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Changes:
    """Entities that differ between two deliveries, ascending by id, with their different rows in each; and how many are the same.

    new: was in no delivery before; back: was in an earlier one; gone: is not in this one; changed: some of its rows are others.
    """

    entities: Key
    kinds: NDArray[np.int8]  # places in KINDS
    before: Rows
    now: Rows
    same: int

    def counts(self) -> dict[str, int]:
        """How many entities became what."""
        found = np.bincount(self.kinds, minlength=len(KINDS)).tolist()
        return {**dict(zip(KINDS, found, strict=True)), _SAME: self.same}

    def write(self, folder: Path) -> None:
        """entity_changes.parquet: entity, change, and the different rows that it had before and has now."""
        kinds = pl.Series(KINDS, dtype=pl.String)[self.kinds]
        before, now = (pl.Series(rows, dtype=pl.UInt32) for rows in (self.before, self.now))
        ids = pl.Series(hexadecimal(self.entities), dtype=pl.String)
        table = pl.DataFrame({"entity": ids, "change": kinds, "rows_before": before, "rows_now": now})
        table.write_parquet(folder / CHANGES, compression="zstd", compression_level=ZSTD, row_group_size=ROW_GROUP)


def changes(numbers: Rows, entities: Key, before: Present, now: Present, ever: Present) -> Changes:
    """Compare two deliveries: for each row a number of its entity and its id, (rows, 2), whether either delivery had it, and whether any
    before this one."""
    size = int(numbers.max(initial=-1)) + 1
    old, new, known = (np.bincount(numbers[side], minlength=size) for side in (before, now, ever))
    other = np.bincount(numbers[before != now], minlength=size) > 0
    kinds = np.select([(new > 0) & (old == 0) & (known == 0), (new > 0) & (old == 0), (old > 0) & (new == 0), (old > 0) & other],
                      range(len(KINDS)), -1)  # fmt: skip
    told, some = np.flatnonzero(kinds >= 0), np.zeros(size, np.int64)
    some[numbers] = np.arange(len(numbers))  # a row of each entity
    ids = entities[some[told]]
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    told = told[order]
    return Changes(ids[order], kinds[told].astype(np.int8), old[told], new[told], int(np.count_nonzero((new > 0) & (kinds < 0))))


def packed(stored: Stored, present: Present) -> bytes:
    """Which of the stored rows a delivery had too."""
    parts = stored.laid(present)
    told = [[no, part, len(bits)] for (no, part), bits in parts]
    return zstandard.compress(json.dumps(told).encode() + b"\n" + b"".join(np.packbits(bits).tobytes() for _, bits in parts), 1)


def present(stored: Stored, dataset: Dataset, no: int) -> Present | None:
    """Which of the stored rows a delivery had; None where it did not keep that."""
    data = dataset.seen(no)
    if not data:
        return None
    line, _, content = zstandard.decompress(data).partition(b"\n")
    had, start = dict[tuple[int, int], Present](), 0
    for delivery, part, rows in json.loads(line):
        size = -(-rows // 8)
        had[delivery, part] = np.unpackbits(np.frombuffer(content, np.uint8, size, start), count=rows).astype(np.bool_)
        start += size
    nothing = np.zeros(0, np.bool_)
    laid = [np.full(rows, delivery == no) if delivery == no else had.get((delivery, part), np.zeros(rows, np.bool_))
            for delivery, part, rows in stored.parts]  # fmt: skip
    return np.asarray(np.concatenate([nothing, *laid])[stored.places])


def between(dataset: Dataset, old: int, new: int) -> Changes | None:
    """What became of entities from one delivery of a dataset to another, by the ids of today; None where they did not keep their rows."""
    state = dataset.state()
    stored = load(state.deliveries, dataset.parts(), state.apart)
    before, now = present(stored, dataset, old), present(stored, dataset, new)
    if before is None or now is None:
        return None
    earlier = [no < new for no, _, _ in stored.parts]
    laid = np.repeat(earlier, [rows for _, _, rows in stored.parts])
    return changes(distinct(stored.entities)[0], stored.entities, before, now, laid[stored.places])


def of_runs(old: Path, new: Path) -> dict[str, int] | None:
    """How many entities are in one run alone, and in both, where both delivered to one dataset; by the ids of their time."""
    found = [_of_run(folder) for folder in (old, new)]
    if found[0] is None or found[1] is None or found[0][0] != found[1][0]:
        return None
    before, now = found[0][1], found[1][1]
    both = before.join(now, on="entity", how="semi").height
    return {"new": now.height - both, "gone": before.height - both, "both": both}


def _of_run(folder: Path) -> tuple[Any, pl.DataFrame] | None:
    from data_sanitizer import run_folder

    told: Mapping[str, Any] | None = run_folder.read_manifest(folder).get("dataset")
    path = folder / "entities.parquet"
    if told is None or not path.exists():
        return None
    return (told["tenant"], told["name"]), pl.scan_parquet(path).select(pl.col("entity").drop_nulls().unique()).collect()
