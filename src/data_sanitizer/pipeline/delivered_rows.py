"""The rows of a dataset, packed: what is kept of those that a delivery was the first to bring, and how all of them are read again.

Every delivery keeps its rows ascending by key, cut into parts. So all rows of a dataset can be read in the order of their keys, whichever
delivery brought them: what is found in them cannot depend on the order of arrival.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.model import Delivery, Key, RowPart
from data_sanitizer.pipeline.pass1 import in_order
from data_sanitizer.pipeline.pass2 import CleanBlock
from data_sanitizer.ports import Dataset

Rows = NDArray[np.int64]
_PART: Final = 8_192  # rows of a part: of many deliveries one part each is in memory at a time
_AT_ONCE: Final = 32_768  # rows that are sorted at a time, about


@dataclass(frozen=True, slots=True)
class Stored:
    """All rows of some deliveries in the order in which they were delivered: by delivery, source and row."""

    labels: tuple[str, ...]  # the sources, as a run that comes later calls them
    source: NDArray[np.int32]  # (n,) number of the label
    row: NDArray[np.uint64]
    keys: Key  # (n, 2) of the row as it was read
    said: Key  # and as it was cleaned
    entities: Key
    kept: Rows  # the row that is kept for it: its own number, if it is kept itself
    places: Rows  # where it stands among all rows of all parts
    parts: tuple[tuple[int, int, int], ...]  # delivery, part, rows

    def __len__(self) -> int:
        return len(self.row)

    def in_parts(self, entities: Key, which: NDArray[np.bool_]) -> dict[tuple[int, int], Key]:
        """The entities of all rows of those parts of which some rows are chosen."""
        touched = np.zeros(len(self), np.bool_)
        touched[self.places] = which
        return {place: laid for (place, laid), (a, b) in zip(self.laid(entities), self._bounds(), strict=True) if touched[a:b].any()}

    def laid(self, values: NDArray[Any]) -> list[tuple[tuple[int, int], NDArray[Any]]]:
        """Values of all rows, by (delivery, part), in the order of the keys."""
        laid = np.empty_like(values)
        laid[self.places] = values
        return [((no, part), laid[a:b]) for (no, part, _), (a, b) in zip(self.parts, self._bounds(), strict=True)]

    def _bounds(self) -> list[tuple[int, int]]:
        ends = np.cumsum([0, *(size for _, _, size in self.parts)]).tolist()
        return list(pairwise(ends))


def label(delivery: int, inputs: Sequence[str], number: int) -> str:
    """How a later run calls a source of an earlier delivery."""
    same = [k for k, name in enumerate(inputs) if name == inputs[number]]
    again = f" ({same.index(number) + 1})" if len(same) > 1 else ""
    return f"{inputs[number]}{again} of delivery {delivery}"


def labels(deliveries: Sequence[Delivery]) -> tuple[str, ...]:
    """The sources of some deliveries, in order."""
    named = [(d.no, [str(i["name"]) for i in d.inputs]) for d in deliveries]
    return tuple(label(no, names, k) for no, names in named for k in range(len(names)))


def load(deliveries: Sequence[Delivery], parts: Iterator[RowPart], apart: Key) -> Stored:
    """What is stored of some deliveries; the parts of others are passed over. A row that a person set apart from another stands alone."""
    firsts = dict(zip([d.no for d in deliveries], np.cumsum([0, *(len(d.inputs) for d in deliveries)]).tolist(), strict=False))
    taken = [(part, pl.read_ipc(io.BytesIO(part.told))) for part in parts if part.delivery in firsts]
    told = [frame.with_columns(source=pl.col("source").cast(pl.Int32) + firsts[part.delivery]) for part, frame in taken]
    table = pl.concat([_told_nothing().with_columns(pl.col("source").cast(pl.Int32)), *told])
    source, row = table["source"].to_numpy(), table["row"].to_numpy()
    order = np.lexsort((row, source))
    keys, entities = (_stacked([getattr(p, name) for p, _ in taken])[order] for name in ("keys", "entities"))
    said, kept = _given(table, "said", order, keys), _given(table, "kept", order, keys)
    facts = tuple((p.delivery, p.part, len(p.keys)) for p, _ in taken)
    places = _alone(_among(keys, kept), keys, apart)
    return Stored(labels(deliveries), source[order], row[order], keys, said, entities, places, order, facts)


def _stacked(parts: Sequence[Key]) -> Key:
    return np.concatenate([np.zeros((0, 2), np.uint64), *parts])


def _given(table: pl.DataFrame, name: str, order: Rows, keys: Key) -> Key:
    """A key that is the row's own where nothing else is told."""
    own = table[f"{name}_0"].is_null().to_numpy()[order]
    told = np.column_stack([table[f"{name}_{k}"].fill_null(0).to_numpy()[order] for k in (0, 1)])
    return np.where(own[:, None], keys, told)


def _among(keys: Key, wanted: Key) -> Rows:
    """Where wanted keys stand; a row whose key is not there any more stands for itself."""
    found = np.arange(len(keys))
    other = np.flatnonzero((keys != wanted).any(axis=1))
    if len(other):
        there = first_equal(np.concatenate([keys, wanted[other]]))[len(keys) :]
        found[other] = np.where(there < len(keys), there, other)
    return found


def _alone(kept: Rows, keys: Key, apart: Key) -> Rows:
    """The rows kept, but for rows that are set apart from them."""
    one, other = places_of(keys, apart).T
    for row, from_row in ((one, other), (other, one)):
        kept[row[kept[row] == from_row]] = row[kept[row] == from_row]
    return kept


def places_of(keys: Key, pairs: Key) -> Rows:
    """Where both keys of each pair (m, 2, 2) stand, of those pairs of which both do: (pairs, 2)."""
    if not len(pairs):
        return np.zeros((0, 2), np.int64)
    found = first_equal(np.concatenate([keys, pairs.reshape(-1, 2)]))[len(keys) :].reshape(-1, 2)
    return found[(found < len(keys)).all(axis=1)]


def first_equal(keys: Key) -> Rows:
    """For each key the first equal one."""
    order = np.argsort(keys[:, 0], kind="stable")
    ordered = keys[order]
    if ((ordered[1:, 0] == ordered[:-1, 0]) & (ordered[1:, 1] != ordered[:-1, 1])).any():  # one in 2^64 pairs
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        ordered = keys[order]
    starts = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)]) if len(order) else np.zeros(0, np.bool_)
    first = np.empty(len(keys), np.int64)
    first[order] = order[np.flatnonzero(starts)][np.cumsum(starts) - 1] if len(order) else order
    return first


def _told_nothing() -> pl.DataFrame:
    keys = {f"{name}_{k}": pl.UInt64 for name in ("said", "kept") for k in (0, 1)}
    return pl.DataFrame(schema={"source": pl.UInt16, "row": pl.UInt64, **keys})


def packed_told(source: Rows, row: NDArray[np.uint64], keys: Key, said: Key, kept: Key) -> bytes:
    """Where rows stand, their keys after cleaning, and the rows kept for them."""
    columns = {"source": pl.Series(source, dtype=pl.UInt16), "row": pl.Series(row, dtype=pl.UInt64)}
    for name, other in (("said", said), ("kept", kept)):
        differs = pl.Series((other != keys).any(axis=1))
        for k in (0, 1):
            values = pl.DataFrame({"it": pl.Series(np.ascontiguousarray(other[:, k])), "differs": differs})
            columns[f"{name}_{k}"] = values.select(pl.when("differs").then("it"))[:, 0]
    return packed(pl.DataFrame(columns))


def packed(frame: pl.DataFrame) -> bytes:
    """A frame as an Arrow IPC file."""
    file = io.BytesIO()
    frame.write_ipc(file, compression="zstd")
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class NewRows:
    """The rows that this delivery is the first to bring, ascending by key, and the files with their cells, a part each."""

    ordinals: Rows
    keys: Key
    files: tuple[Path, ...]

    def bounds(self) -> list[tuple[int, int]]:
        """Where each part begins and ends."""
        return [(k, min(k + _PART, len(self.ordinals))) for k in range(0, len(self.ordinals), _PART)]


def sort_new(blocks: Sequence[CleanBlock], rows: Rows, keys: Key, columns: Sequence[str], scratch: Path, threads: int) -> NewRows:
    """Put the cells of some rows, ascending, with their keys (rows, 2), into files in the order of the keys: as text, as they were read."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    folder = scratch / "new-rows"
    folder.mkdir()
    dealt = [piece for _, piece in in_order(iter(blocks), lambda b: _dealt(b, rows, rank, columns, folder), threads)]

    def write(group: int) -> list[Path]:
        """The parts of one group."""
        found = [piece for pieces in dealt if (piece := pieces.get(group)) is not None]
        places = np.concatenate([p.places for p in found])
        table = pl.concat([p.frame() for p in found])[np.argsort(places)]
        return [_part(table[k : k + _PART], folder / f"part-{group * _AT_ONCE + k}.ipc") for k in range(0, table.height, _PART)]

    files = [path for _, paths in in_order(iter(range(-(-len(rows) // _AT_ONCE))), write, threads) for path in paths]
    return NewRows(rows[order], keys[order], tuple(files))


def _part(table: pl.DataFrame, path: Path) -> Path:
    path.write_bytes(packed(table))
    return path


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one block that come into one group: their places in the order of the keys, and where they lie in a file."""

    places: Rows
    path: Path
    start: int
    size: int

    def frame(self) -> pl.DataFrame:
        with self.path.open("rb") as file:
            file.seek(self.start)
            return pl.read_ipc(io.BytesIO(file.read(self.size)))


def _dealt(block: CleanBlock, rows: Rows, rank: Rows, columns: Sequence[str], folder: Path) -> dict[int, _Piece]:
    """Deal the new rows of a block out to the groups that their keys belong to."""
    ordinals = block.ordinals()
    first, last = np.searchsorted(rows, ordinals[[0, -1]] + [0, 1]) if len(ordinals) else (0, 0)
    mine = np.argsort(rank[first:last]) + first
    frame = block.stored.frame(columns).select(pl.col(columns).cast(pl.String))
    table = frame[np.searchsorted(ordinals, rows[mine])]
    groups, starts = np.unique(rank[mine] // _AT_ONCE, return_index=True)
    found, path = dict[int, _Piece](), folder / f"{block.stored.path.stem}.dealt"
    with path.open("wb") as file:
        for group, (a, b) in zip(groups.tolist(), pairwise([*starts.tolist(), len(mine)]), strict=True):
            part = io.BytesIO()
            table[a:b].write_ipc(part, compression="uncompressed", compat_level=pl.CompatLevel.oldest())  # only the text of these rows
            found[group] = _Piece(rank[mine[a:b]], path, file.tell(), part.tell())
            file.write(part.getbuffer())
    return found


def merged(streams: Sequence[Iterator[tuple[Key, pl.DataFrame]]], rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """All rows of several streams, each ascending by key, in the order of the keys, with the given columns, some at a time."""
    bits = max(0, -(-rows // _AT_ONCE) - 1).bit_length()
    held = [_Held(stream, columns) for stream in streams]
    for k in range(1 << bits):
        parts = [part for h in held for part in h.take(k, 64 - bits)]
        keys = _stacked([own for own, _ in parts])
        if len(keys):
            yield pl.concat([frame for _, frame in parts])[np.lexsort((keys[:, 1], keys[:, 0]))]


class _Held:
    """One stream, read as far as it is needed."""

    def __init__(self, stream: Iterator[tuple[Key, pl.DataFrame]], columns: Sequence[str]) -> None:
        self._stream, self._columns = stream, columns
        self._now: tuple[Key, pl.DataFrame] | None = None

    def take(self, prefix: int, shift: int) -> Iterator[tuple[Key, pl.DataFrame]]:
        """The rows whose keys begin with at most these bits, as far as they were not taken."""
        while (now := self._now or self._next()) is not None:
            keys, frame = now
            end = len(keys) if shift == 64 else int(np.searchsorted(keys[:, 0] >> np.uint64(shift), prefix, side="right"))
            if end:
                yield keys[:end], frame[:end]
            self._now = (keys[end:], frame[end:]) if end < len(keys) else None
            if self._now is not None:
                return

    def _next(self) -> tuple[Key, pl.DataFrame] | None:
        found = next(self._stream, None)
        if found is None:
            return None
        keys, frame = found
        here = [pl.col(c) if c in frame.columns else pl.lit(None, pl.String).alias(c) for c in self._columns]
        return keys, frame.select(here)


def all_rows(dataset: Dataset, stored: Stored, new: NewRows, columns: Sequence[str],
             wanted: NDArray[np.bool_] | None = None) -> Iterator[pl.DataFrame]:  # fmt: skip
    """The cells of all rows of a dataset, or of the stored ones that are wanted, and the new ones, in the order of their keys, some at a
    time."""
    chosen = np.ones(len(stored), np.bool_) if wanted is None else wanted
    by_delivery: dict[int, list[tuple[int, Key, NDArray[np.bool_]]]] = {}
    for ((delivery, part), keys), (_, some) in zip(stored.laid(stored.keys), stored.laid(chosen), strict=True):
        by_delivery.setdefault(delivery, []).append((part, keys, some))
    streams = [_stream(dataset, delivery, parts) for delivery, parts in by_delivery.items()]
    return merged([*streams, _own_stream(new)], int(chosen.sum()) + len(new.ordinals), columns)


def _stream(dataset: Dataset, delivery: int, parts: Sequence[tuple[int, Key, NDArray[np.bool_]]]) -> Iterator[tuple[Key, pl.DataFrame]]:
    for part, keys, some in parts:
        if some.any():
            frame = pl.read_ipc(io.BytesIO(dataset.cells(delivery, part)))
            yield (keys, frame) if some.all() else (keys[some], frame.filter(pl.Series(some)))


def _own_stream(new: NewRows) -> Iterator[tuple[Key, pl.DataFrame]]:
    for (a, b), path in zip(new.bounds(), new.files, strict=True):
        yield new.keys[a:b], pl.read_ipc(path)
