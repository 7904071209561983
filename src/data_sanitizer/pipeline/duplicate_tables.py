"""What a run says of its duplicates: duplicates.parquet, matches.parquet, and the sentence beside every removed row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.ledger import NOT_COMPARED, SAME_ROWS
from data_sanitizer.pipeline.duplicates import Found, Left, Near, Rows, belief
from data_sanitizer.pipeline.places import Places
from data_sanitizer.pipeline.spool import Spool

DUPLICATES = {
    "source": pl.String(), "row": pl.UInt64(), "cluster": pl.String(), "survivor_source": pl.String(), "survivor_row": pl.UInt64(),
    "kind": pl.String(), "confidence": pl.Float32(), "decision": pl.String(),
}  # fmt: skip
MATCHES = {
    "source_a": pl.String(), "row_a": pl.UInt64(), "source_b": pl.String(), "row_b": pl.UInt64(), "confidence": pl.Float32(),
    "evidence": pl.String(),
}  # fmt: skip
EXACT, NEAR = "exact_duplicate", "near_duplicate"  # the rules of the ledger
_AT_ONCE = 1 << 16  # rows or pairs that are written at a time: 40 MB of evidence


def reasons(survivors: Rows, alike: NDArray[np.bool_], places: Places) -> pl.Series:
    """Why each of the rows is removed: for rows like these."""
    what = pl.Series("what", np.where(alike, "the same entity as", "same as"), dtype=pl.String)
    return places.of(survivors).with_columns(what).select(pl.format("{} row {} of {}", "what", "row", "source"))[:, 0]


def write(found: Found, folder: Path, scratch: Path) -> None:
    """duplicates.parquet and matches.parquet, in order of rows, some rows at a time."""
    _spooled("duplicates", _members(found), DUPLICATES, folder, scratch)
    near = () if found.near is None else _matches(found.left, found.near, found.places)
    _spooled("matches", chain(_copies(found), near), MATCHES, folder, scratch)


def _spooled(name: str, tables: Iterable[pl.DataFrame], schema: dict[str, pl.DataType], folder: Path, scratch: Path) -> None:
    spool = Spool(scratch, name, schema)
    for table in tables:
        spool.add(table.select([pl.col(c).cast(dtype) for c, dtype in schema.items()]))
    spool.write(folder / f"{name}.parquet")


def _copies(found: Found) -> Iterator[pl.DataFrame]:
    """The pairs that say the same."""
    for part in _parts(len(found.exact.rows)):
        pairs = _pairs(found.exact.survivors[part], found.exact.rows[part], found.places)
        yield pairs.with_columns(confidence=pl.lit(1.0, pl.Float32), evidence=pl.lit(SAME_ROWS))


def _parts(size: int) -> Iterator[slice]:
    return (slice(begin, begin + _AT_ONCE) for begin in range(0, size, _AT_ONCE))


def _members(found: Found) -> Iterator[pl.DataFrame]:
    """Every row of a cluster: rows that are alike, exact copies, and the rows that those are copies of; not those of earlier deliveries."""
    same, left, near = found.exact, found.left, found.near
    alike = np.empty(0, np.int64) if near is None else near.found.members
    alone = np.setdiff1d(same.survivors, left.rows(alike))
    own = np.concatenate([same.rows, left.rows(alike), alone])
    first = np.concatenate([same.survivors, own[len(same.rows) :]])  # the row left that each is, or says the same as
    clusters, leaders = _led(left, near, first)
    survivors, removed = _survivors(found, own, leaders)
    likely = np.repeat([False, True, False], [len(same.rows), len(alike), len(alone)])
    confidence = np.ones(len(own), np.float32)
    if near is not None:
        confidence[likely] = belief(near, alike)
    clusters = _named(clusters, own)
    order = np.argsort(own, kind="stable")
    order = order[own[order] < found.places.height]
    for part in (order[p] for p in _parts(len(order))):
        survivor = found.places.of(survivors[part])
        decision = np.select([removed[part], likely[part] & (leaders[part] != own[part])], ["removed", "review"], "kept")
        yield found.places.of(own[part]).with_columns(
            cluster=pl.Series(clusters[part]).cast(pl.String), survivor_source=survivor["source"], survivor_row=survivor["row"],
            kind=pl.Series(np.where(likely[part], "near", "exact"), dtype=pl.String), confidence=pl.Series(confidence[part]),
            decision=pl.Series(decision, dtype=pl.String),
        )  # fmt: skip


def _led(left: Left, near: Near | None, first: Rows) -> tuple[Rows, Rows]:
    """For each row left its cluster (named by its first row), and the row of it that would be kept for all."""
    if near is None:
        return first, first
    label = near.found.cluster_of(left.places(first))
    return left.rows(label), left.rows(near.found.kept_for(label))


def _named(clusters: Rows, own: Rows) -> Rows:
    """The least row that each cluster has: a cluster may begin with a row of an earlier delivery, which has no number here."""
    number = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    least = np.full(int(number.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(least, number, own)
    return np.asarray(least[number])


def _survivors(found: Found, own: Rows, leaders: Rows) -> tuple[Rows, NDArray[np.bool_]]:
    """The row kept for each, as it is or as it would be; and whether the row is removed for it."""
    if not len(found.rows):
        return leaders, np.zeros(len(own), np.bool_)
    place = np.searchsorted(found.rows, own).clip(0, len(found.rows) - 1)
    removed = found.rows[place] == own
    return np.where(removed, found.survivors[place], leaders), removed


def _pairs(a: Rows, b: Rows, places: Places) -> pl.DataFrame:
    one, other = places.of(a), places.of(b)
    return pl.DataFrame({"source_a": one["source"], "row_a": one["row"], "source_b": other["source"], "row_b": other["row"]})


def _matches(left: Left, near: Near, places: Places) -> Iterator[pl.DataFrame]:
    """The pairs that are one entity at 0.5 or better, with what speaks for it in each column."""
    found = near.found
    chosen = np.flatnonzero(found.confidences >= 0.5)
    for part in (chosen[p] for p in _parts(len(chosen))):
        pairs = _pairs(left.rows(found.a[part]), left.rows(found.b[part]), places)
        yield pairs.with_columns(confidence=pl.Series(found.confidences[part]), evidence=evidence(near, part))


def evidence(near: Near, pairs: Rows) -> pl.Series:
    """What speaks for and against each pair: column -> level of agreement and its weight in bits, as JSON."""
    columns = []
    for k, name in enumerate(near.columns):
        names = pl.Series(levels_named(int(near.exact[k])), dtype=pl.String)
        level = names.gather(near.found.levels[pairs, k].astype(np.uint32))
        bits = pl.Series(near.found.bits[pairs, k]).cast(pl.Float64).round(2)
        columns.append(pl.DataFrame({"level": level, "bits": bits}).to_struct(name))
    return pl.DataFrame(columns).to_struct("evidence").struct.json_encode()


def levels_named(exact: int) -> list[str]:
    """The levels of a column in words, from 0 to that of equal cells; a column that was not compared has only the first."""
    graded = {3: ["similar"], 4: ["similar", "close"], 7: ["slight", "some", "similar", "close", "very close"]}
    between = graded.get(exact, [f"alike {k}" for k in range(1, exact - 1)])
    return [NOT_COMPARED] if exact == 0 else [NOT_COMPARED, "differs", *between, "exact"]
