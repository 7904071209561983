"""Measures the storage of the service: row hashes, provenance and signatures, stored and asked for.

python benchmarks/storage.py                                       SQLite in a temporary folder
python benchmarks/storage.py --database postgresql://me@localhost/empty
python benchmarks/storage.py --database … --milvus http://127.0.0.1:19530
python benchmarks/storage.py --database … --provenance 10000000    also compares with the ledger as a Parquet file

Prints one line of Markdown a measurement: by the clock, and by the processor time of this program and of all servers named postgres or
milvus on this machine, which is the fairer one where others work too. The database must be empty; what is put into it stays there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import psutil

from data_sanitizer import ledger, storage
from data_sanitizer.storage_backend import MilvusConfig, Samples, StorageBackend

CHUNK = 250_000  # rows stored at a time


def _told(what: str, count: int, work: Callable[[], object]) -> None:
    """Print how long some work took."""
    start, before = time.perf_counter(), _processor()
    work()
    took, used = time.perf_counter() - start, max(_processor() - before, 0.01)
    print(f"| {what} | {count:,} | {took:.2f} | {count / took:,.0f} | {used:.2f} | {count / used:,.0f} |", flush=True)


def _processor() -> float:
    """Seconds of this process and of the servers."""
    servers = [p.info["cpu_times"] for p in psutil.process_iter(["name", "cpu_times"]) if p.info["name"] in ("postgres", "milvus")]
    return time.process_time() + sum(t.user + t.system for t in servers if t)


def _chunks(rows: int) -> Iterator[tuple[int, slice]]:
    return ((no, slice(start, min(start + CHUNK, rows))) for no, start in enumerate(range(0, rows, CHUNK)))


def _hashes(backend: StorageBackend, rows: int) -> None:
    dice, dataset, places = np.random.default_rng(0), backend.create_dataset("t", "hashes"), np.arange(rows)
    first, second = (dice.integers(0, 2**64, (rows, 2), np.uint64) for _ in range(2))
    known = np.where(dice.random((rows, 1)) < 0.9, first, dice.integers(0, 2**64, (rows, 2), np.uint64))

    def store(keys: np.ndarray, delivery: int) -> None:  # type: ignore[type-arg]
        for _, part in _chunks(rows):
            backend.batch_insert_row_hashes("t", dataset, delivery, keys[part], places[part])

    _told("row hashes, all new, into an empty table", rows, lambda: store(first, 1))
    _told("row hashes, all new, into a table of as many", rows, lambda: store(second, 2))
    _told("row hashes, 9 in 10 seen before", rows, lambda: store(known, 3))
    _told("the same again", rows, lambda: store(known, 3))
    _told("check_existing_hashes, in one call", rows, lambda: backend.check_existing_hashes("t", dataset, known))


def entries(rows: slice) -> pl.DataFrame:
    """A ledger as a run of the recipe `careful` writes it: three changed cells of ten rows."""
    numbers = pl.Series(range(rows.start, rows.stop), dtype=pl.UInt64)
    return ledger.entries(
        numbers // 3 * 10, source="customers.csv", column=pl.Series(["first_name", "city", "signup_date"])[(numbers % 3).cast(pl.UInt32)],
        action="set", old=pl.select(pl.format("  value {} ", pl.lit(numbers))).to_series(),
        new=pl.select(pl.format("value {}", pl.lit(numbers))).to_series(), rule_version=1, evidence="blanks at the ends",
        rule=pl.Series(["trim_blanks", "dates"])[(numbers % 2).cast(pl.UInt32)],
    )  # fmt: skip


def _provenance(backend: StorageBackend, rows: int, folder: Path) -> None:
    job = backend.create_job("t", source={})
    frames = [(no, entries(part)) for no, part in _chunks(rows)]
    _told("provenance entries", rows, lambda: [backend.batch_insert_provenance("t", job, no, frame) for no, frame in frames])
    _told("the same again", rows, lambda: [backend.batch_insert_provenance("t", job, no, frame) for no, frame in frames])
    _told("provenance of one row, 100 times", 100, lambda: [list(backend.find_provenance("t", job, row=k * 1000)) for k in range(100)])
    _told("first 10,000 entries of a column", 1, lambda: next(backend.find_provenance("t", job, column="city")))
    _told("first 10,000 entries of a rule", 1, lambda: next(backend.find_provenance("t", job, rule="dates")))
    path = folder / "ledger.parquet"
    _told("the same as Parquet: written", rows, lambda: pl.concat([f for _, f in frames]).write_parquet(path, row_group_size=CHUNK))
    lazy = pl.scan_parquet(path)
    _told("… one row, 100 times", 100, lambda: [lazy.filter(pl.col("row") == k * 1000).collect() for k in range(100)])
    _told("… first 10,000 entries of a column", 1, lambda: lazy.filter(pl.col("column") == "city").head(10_000).collect())
    _told("… first 10,000 entries of a rule", 1, lambda: lazy.filter(pl.col("rule") == "dates").head(10_000).collect())
    print(f"| … size on disk | {rows:,} | {path.stat().st_size / 1e6:,.0f} MB | | | |")


def _signatures(backend: StorageBackend, rows: int) -> None:
    dice, dataset = np.random.default_rng(1), backend.create_dataset("t", "signatures")
    some = dice.integers(0, 2**32 - 1, (rows, 128), np.uint32)
    keys = np.arange(2 * rows, dtype=np.uint64).reshape(-1, 2)
    size = 20_000

    def store() -> None:
        for no, start in enumerate(range(0, rows, size)):
            part = slice(start, start + size)
            backend.batch_insert_lsh_samples("t", Samples(str(dataset), 1, no, keys[part], some[part]))

    _told("signatures of 128 numbers", rows, store)
    asked = np.where(dice.random((1000, 128)) < 0.3, 0, some[:1000]).astype(np.uint32)
    _told("the first search for candidates", 1, lambda: backend.query_lsh_candidates("t", dataset, asked[:1]))
    found = []
    _told("searches for candidates, 1,000 in a call", 1000, lambda: found.append(backend.query_lsh_candidates("t", dataset, asked)))
    print(f"found {len(found[0].queries)} of 1,000{', degraded' if found[0].degraded else ''}")


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--database", help="URL of an empty database; SQLite in a temporary folder where it is not given")
    parser.add_argument("--milvus", help="URI of a Milvus server")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--provenance", type=int, default=1_000_000)
    parser.add_argument("--signatures", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.database or f"sqlite:///{folder}/benchmark.db"
        milvus = MilvusConfig(given.milvus, collection=f"benchmark_{uuid.uuid4().hex[:8]}", timeout=60) if given.milvus else None
        with StorageBackend(storage.configured(url), milvus).closing() as backend:
            backend.migrate()
            backend.create_tenant("t")
            backend.batch_insert_row_hashes("t", backend.create_dataset("t", "warm"), 1, np.ones((1, 2), np.uint64), np.zeros(1, np.int64))
            print("| what | how many | seconds | a second | processor seconds | a processor second |\n|---|---|---|---|---|---|")
            _hashes(backend, given.rows)
            _provenance(backend, given.provenance, Path(folder))
            _signatures(backend, given.signatures)


if __name__ == "__main__":
    main()
