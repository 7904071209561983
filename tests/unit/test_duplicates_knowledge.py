"""What was learned of a table judges rows that come later as it judged those it was learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import zstandard

from data_sanitizer.duplicates import near, signing
from data_sanitizer.duplicates.chance import Frequencies
from data_sanitizer.duplicates.found import NearDuplicates
from data_sanitizer.duplicates.knowledge import Knowledge, unpacked
from data_sanitizer.duplicates.minhash import similarity
from data_sanitizer.duplicates.records import RecordFile, Records
from tests.unit import near_tables


def records(table: pl.DataFrame, folder: Path) -> Records:
    folder.mkdir()
    file = RecordFile(folder)
    file.append(table)
    return file.finish()


def learned(table: pl.DataFrame, folder: Path) -> tuple[Knowledge, NearDuplicates]:
    known: list[Knowledge] = []
    found = near.find(records(table, folder), folder, learned=known.append)
    return known[0], found


def test_packed_and_unpacked_it_is_the_same(tmp_path: Path) -> None:
    known, _ = learned(near_tables.people(800, 1)[0], tmp_path / "a")
    again = unpacked(known.packed())
    assert again is not None
    assert again.packed() == known.packed()
    assert (again.names, again.kinds, again.roles) == (known.names, known.kinds, known.roles)
    line, _, content = zstandard.decompress(known.packed()).partition(b"\n")
    assert unpacked(zstandard.compress(line.replace(b'"form": 1', b'"form": 0') + b"\n" + content)) is None


def test_new_rows_are_judged_as_among_all(tmp_path: Path) -> None:
    table, entities = near_tables.people(1500, 2)
    known, _ = learned(table[:1200], tmp_path / "a")
    whole = near.find(records(table, tmp_path / "b"), tmp_path / "b")
    new = np.arange(1200, table.height)
    twins = np.flatnonzero(np.isin(entities[:1200], entities[1200:]))
    some = np.concatenate([twins, new])
    grown = known.grown([], len(new))
    places = np.arange(len(twins), len(some))
    found = near.find_known(records(table[some], tmp_path / "c"), tmp_path / "c", grown, np.zeros(0, np.uint64), places)
    pairs = {(some[a], some[b]) for a, b, sure in zip(found.a, found.b, found.confidences, strict=True) if sure >= 0.99 and some[b] >= 1200}
    expected = {(a, b) for a, b, sure in zip(whole.a, whole.b, whole.confidences, strict=True) if sure >= 0.99 and b >= 1200}
    assert len(expected) > 80
    assert len(pairs & expected) >= 0.98 * len(expected)
    assert all(entities[a] == entities[b] for a, b in pairs)


def test_counts_grow_as_if_all_had_been_counted_at_once(tmp_path: Path) -> None:
    table, _ = near_tables.people(900, 3)
    known, _ = learned(table[:700], tmp_path / "a")
    more = records(table, tmp_path / "b").prints[700:]
    grown = known.grown([more[:50], more[50:]], len(more)).model
    seen = known.model.chance.frequencies
    at_once = Frequencies.counted([more], 0, known.roles.used, seen.counters.shape[1])
    assert (grown.chance.frequencies.counters == seen.counters + at_once.counters).all()
    assert (grown.chance.frequencies.cells.tolist(), grown.rows) == ((seen.cells + at_once.cells).tolist(), table.height)
    assert abs(grown.expected(grown.duplicate_share) - known.model.expected(known.model.duplicate_share)) < 1e-9


def test_a_delivery_full_of_duplicates_is_believed_more_than_one_without(tmp_path: Path) -> None:
    known, _ = learned(near_tables.people(600, 4, copies=0.02)[0], tmp_path / "a")
    duplicate, related = np.concatenate([np.full(80, 0.9), np.full(900, 1e-6)]), np.zeros(980)
    model = known.model
    many, few = model.with_shares(duplicate, related, 1e5), model.with_shares(duplicate[80:], related[80:], 1e5)
    assert many.duplicate_share > 50e-5 > few.duplicate_share


def test_signatures_of_rows_estimate_their_likeness_and_no_long_text_outweighs_it() -> None:
    rows = pl.DataFrame(
        {"name": ["Anna Keller", "Anna Kellr", "Bruno Costa"], "note": ["x" * 300, "x" * 300 + "z", "y"], "c": [None, "", "1"]}
    )
    found = signing.signatures(rows.with_columns(pl.col("c").cast(pl.String)))
    assert found.shape == (3, signing.NUMBERS)
    assert similarity(found[0], found[1]) > 0.5
    assert similarity(found[0], found[2]) < 0.2
    long = pl.DataFrame({"name": ["Anna Keller"] * 2, "note": ["a" * 60, "a" * 60 + " and what nobody reads" * 40]})
    assert similarity(*signing.signatures(long)) == 1.0
