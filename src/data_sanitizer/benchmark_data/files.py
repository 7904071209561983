"""Writes the dirty table, its truth and its entities as files: in stretches, aside, and under their names only when complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from data_sanitizer.benchmark_data.damage import Written
from data_sanitizer.benchmark_data.records import COLUMNS, Dice, money, words

ROW_GROUP = 100_000
DRIFT_ERA = 250  # customers in a row for whom a JSONL export had the same keys
ADDED_KEYS = {"referrer": (1, 3), "shipping": (2, 3)}  # key -> the eras (of four, in turn) that have it
PARTS = ("parquet", "truth", "entities")  # written as one Parquet file a stretch, then joined


def write(stretches: Iterable[Written], formats: Sequence[str], folder: Path, dice: Dice) -> dict[str, Path]:
    """Write all stretches into a folder; gives the file of each format and of `truth` and `entities`."""
    names = {name: folder / f"customers.{name}" for name in formats} | {n: folder / f"{n}.parquet" for n in ("truth", "entities")}
    with ExitStack() as stack:
        streams = {name: stack.enter_context(names[name].open("wb")) for name in formats if name not in PARTS}
        for number, written in enumerate(stretches):
            for name, stream in streams.items():
                STREAMED[name](written, stream, dice)
            for name, frame in _parts(written, formats):
                part = folder / f"{name}-parts" / f"{number:08d}.parquet"
                part.parent.mkdir(exist_ok=True)
                frame.write_parquet(part, compression="lz4", statistics=False)
    for name in names.keys() - streams.keys():
        _join(folder / f"{name}-parts", names[name])
    return names


def _parts(written: Written, formats: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    if "parquet" in formats:
        yield "parquet", written.cells
    yield "truth", _with_drift(written) if "jsonl" in formats else written.truth
    yield "entities", pl.DataFrame({"row": written.rows, "entity": written.entity})


def _join(parts: Path, target: Path) -> None:
    files = sorted(parts.iterdir())
    pl.scan_parquet(files, glob=False).sink_parquet(target, row_group_size=ROW_GROUP)
    for part in files:
        part.unlink()
    parts.rmdir()


def _write_csv(written: Written, stream: BinaryIO, dice: Dice) -> None:
    written.cells.write_csv(stream, include_header=int(written.rows[0]) == 0)


def _write_jsonl(written: Written, stream: BinaryIO, dice: Dice) -> None:
    frame = written.cells.with_columns(_added(written, dice))
    first, *others = COLUMNS
    line = pl.concat_str(
        pl.lit(f'{{"{first}":"'), _escaped(first), pl.lit('"'),
        *(_member(column) for column in others), "referrer", "shipping", pl.lit("}"),
    )  # fmt: skip
    frame.select(line).write_csv(stream, include_header=False, quote_style="never")


def _escaped(column: str) -> pl.Expr:
    return pl.col(column).str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)


def _member(column: str) -> pl.Expr:
    """The key and its value; an empty cell is null, "" or no key at all, by era, and whole quantities are numbers."""
    cell, key = pl.col(column), f',"{column}":'
    value = pl.concat_str(pl.lit(f'{key}"'), _escaped(column), pl.lit('"'))
    if column == "quantity":
        value = pl.when(cell.str.contains(r"^[0-9]+$")).then(pl.concat_str(pl.lit(key), cell)).otherwise(value)
    empty = pl.when(pl.col("era") == 0).then(pl.lit(f"{key}null")).when(pl.col("era") == 1).then(pl.lit(f'{key}""')).otherwise(pl.lit(""))
    return pl.when(cell.is_null()).then(empty).otherwise(value)


def _added(written: Written, dice: Dice) -> list[pl.Series]:
    """The era of each row, and its added keys as JSON text (empty where the era has none); copies have those of their origin."""
    entity = written.entity
    choices = {name: words(f"{name}s").gather(dice.below(entity, name, len(words(f"{name}s")))) for name in ("referrer", "carrier")}
    weight = money(dice.below(entity, "weight", 3000) + np.uint64(10))
    frame = pl.DataFrame({"era": _eras(written), **choices, "weight": weight}).with_columns(
        referrer=pl.concat_str(pl.lit(',"referrer":"'), "referrer", pl.lit('"')),
        shipping=pl.concat_str(pl.lit(',"shipping":{"carrier":"'), "carrier", pl.lit('","weight_kg":'), "weight", pl.lit("}")),
    )
    kept = [pl.when(pl.col("era").is_in(eras)).then(key).otherwise(pl.lit("")).alias(key) for key, eras in ADDED_KEYS.items()]
    return frame.select("era", *kept).get_columns()


def _eras(written: Written) -> pl.Series:
    return pl.Series("era", (written.entity // np.uint64(DRIFT_ERA) % np.uint64(4)).astype(np.int64))


def _with_drift(written: Written) -> pl.DataFrame:
    """The truth with an entry for each key that a JSONL record has beyond the columns of the table."""
    rows = pl.DataFrame({"row": written.rows, "era": _eras(written)}).lazy()
    entries = [written.truth.lazy()]
    for key, eras in ADDED_KEYS.items():
        entries.append(rows.filter(pl.col("era").is_in(eras)).select("row", column=pl.lit(key), kind=pl.lit("added_key")))
    return pl.concat(entries, how="diagonal").sort("row", maintain_order=True).collect()


STREAMED = {"csv": _write_csv, "jsonl": _write_jsonl}
FORMATS = ("csv", "jsonl", "parquet")
