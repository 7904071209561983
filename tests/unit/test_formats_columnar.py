"""Parquet and Arrow: nested columns as plain ones, budgets of bytes, and files that are damaged or made to do harm."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from data_sanitizer import errors, formats
from data_sanitizer.model import ReadLimits, ReadOptions
from tests import hazards


def read(path: Path, block: int | None = None, **options: Any) -> tuple[pl.DataFrame, list[Any]]:
    """All rows and the blocks."""
    reading = formats.open_source(path, ReadOptions(**options), path.parent, block)
    blocks = list(reading.blocks())
    assert all(b.frame.schema == reading.schema for b in blocks)
    return pl.concat([b.frame for b in blocks]), blocks


def test_every_kind_of_nesting_becomes_plain(tmp_path: Path) -> None:
    table = pa.table(
        {
            "who": pa.array([{"name": "x", "at": {"zip": 7, "tags": ["a", None]}}, None]),
            "list": pa.array([[[1, 2], []], None]),
            "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
            "structs": pa.array([[{"a": 1, "b": 'q"'}], []]),
            "pair": pa.array([[1.5, 2.5], None], pa.list_(pa.float64(), 2)),
            "day": pa.array([dt.date(2024, 2, 29), None]),
            "money": pa.array([1, None], pa.decimal128(10, 2)),
        }
    )
    pq.write_table(table, tmp_path / "n.parquet")
    frame, _ = read(tmp_path / "n.parquet")
    assert frame.row(0) == (
        "x", 7, '["a",null]', "[[1,2],[]]", '{"k":1}', '[{"a":1,"b":"q\\""}]', "[1.5,2.5]", dt.date(2024, 2, 29), 1,
    )  # fmt: skip
    assert frame.columns == ["who.name", "who.at.zip", "who.at.tags", "list", "map", "structs", "pair", "day", "money"]
    assert frame.row(1) == (None, None, None, None, "{}", "[]", None, None, None)


values = st.none() | st.text("aé€", max_size=5)


@settings(max_examples=30)
@given(
    rows=st.lists(st.tuples(values, st.lists(values, max_size=3), values), min_size=1, max_size=30),
    block=st.integers(1, 9),
    budget=st.integers(1, 40),
    name=st.sampled_from(["parquet", "arrow", "arrows"]),
)
def test_the_rows_are_the_same_under_any_budget(rows: list[Any], block: int, budget: int, name: str, tmp_path_factory: Any) -> None:
    schema = {"a": pl.String, "l": pl.List(pl.String), "c": pl.Categorical}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    path = tmp_path_factory.getbasetemp() / f"budget.{name}"
    {"parquet": frame.write_parquet, "arrow": frame.write_ipc, "arrows": frame.write_ipc_stream}[name](path)
    whole, _ = read(path)
    parts, blocks = read(path, block, limits=ReadLimits(batch_bytes=budget))
    assert_frame_equal(parts, whole)
    assert [n for b in blocks for n in b.rows.tolist()] == list(range(len(rows)))
    assert max(b.frame.height for b in blocks) <= block


@pytest.mark.parametrize("categories", [False, True])
def test_one_long_text_for_all_rows_is_read_in_parts_or_refused(categories: bool, tmp_path: Path) -> None:
    path = hazards.long_texts(tmp_path / "b.parquet", 3000, 10_000, categories=categories)
    _, blocks = read(path, limits=ReadLimits(batch_bytes=1_000_000))
    assert {b.frame.height for b in blocks} <= set(range(1, 101))
    with pytest.raises(errors.DecompressionLimit, match="unpacked_ratio"):
        read(path, limits=ReadLimits(unpacked_free=1_000_000))
    with pytest.raises(errors.RowTooLarge):
        read(path, limits=ReadLimits(row_bytes=9_999))
    with pytest.raises(errors.FieldTooLarge):
        read(path, limits=ReadLimits(longest_field=9_999))
    _, blocks = read(path, limits=ReadLimits(field_bytes=9_999))
    assert sum(len(b.flagged) for b in blocks) == 3000


def test_twenty_gigabytes_in_a_small_file_are_refused(tmp_path: Path) -> None:
    for categories in (False, True):
        path = hazards.long_texts(tmp_path / "b.parquet", 20_000, 1_000_000, categories=categories)
        assert path.stat().st_size < 1_000_000
        with pytest.raises(errors.DecompressionLimit):
            read(path)


def test_footers_and_depth_are_limited(tmp_path: Path) -> None:
    many = tmp_path / "many.parquet"
    pq.write_table(pa.table({"a": range(2000)}), many, row_group_size=1)
    assert read(many)[0].height == 2000
    with pytest.raises(errors.ParquetLimit, match="footer_bytes=N"):
        read(many, limits=ReadLimits(footer_bytes=10_000))
    kind, value = pa.int64(), 1
    for _ in range(100):
        kind, value = pa.struct([("a", kind)]), {"a": value}  # type: ignore[assignment]
    pq.write_table(pa.table({"n": pa.array([value], kind)}), tmp_path / "deep.parquet")
    with pytest.raises(errors.ParquetLimit, match="100 levels"):
        read(tmp_path / "deep.parquet")
    assert read(tmp_path / "deep.parquet", limits=ReadLimits(depth=100))[0].row(0) == (1,)


@pytest.mark.parametrize("name", ["parquet", "arrow", "arrows"])
def test_no_damage_ends_in_anything_but_our_errors(name: str, tmp_path: Path) -> None:
    """Bytes changed and cut off all over the file: it is read, or refused as an input."""
    frame = pl.DataFrame({"a": [f"t{i % 7}" for i in range(300)], "b": range(300), "c": [[i] for i in range(300)]})
    buffer = io.BytesIO()
    {"parquet": frame.write_parquet, "arrow": frame.write_ipc, "arrows": frame.write_ipc_stream}[name](buffer)
    data = buffer.getvalue()
    path, refused = tmp_path / f"t.{name}", 0
    for place in range(4, len(data), max(1, len(data) // 60)):
        for broken in (data[:place], data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :]):
            path.write_bytes(broken)
            try:
                read(path, format="arrow" if name == "arrows" else name)
            except errors.InputError:
                refused += 1
    assert refused > 60


def test_offsets_behind_the_end_are_damage(tmp_path: Path) -> None:
    with pytest.raises(errors.MalformedArrow) as caught:
        read(hazards.damaged_offsets(tmp_path / "bad.arrow"))
    assert caught.value.code == "malformed-arrow"


def test_a_stream_with_dictionaries_is_read_batch_by_batch(tmp_path: Path) -> None:
    path = tmp_path / "s.arrows"
    schema = pa.schema({"k": pa.dictionary(pa.int32(), pa.string()), "v": pa.int64()})
    with pa.ipc.new_stream(path, schema) as writer:
        for i in range(3):
            keys = pa.array(["x", "y", None], pa.string()).dictionary_encode()
            writer.write_batch(pa.record_batch([keys.cast(schema.field("k").type), pa.array([i, i, i])], schema=schema))
    frame, blocks = read(path)
    assert frame.rows() == [(k, i) for i in range(3) for k in ("x", "y", None)]
    assert len(blocks) == 3


def test_a_file_that_cannot_be_the_length_it_says_is_damaged(tmp_path: Path) -> None:
    for name in ("parquet", "arrow"):
        path = tmp_path / f"t.{name}"
        formats.write(pl.LazyFrame({"a": [1]}), path, name)
        data = bytearray(path.read_bytes())
        at = len(data) - (8 if name == "parquet" else 10)
        data[at : at + 4] = b"\xff\xff\xff\x7f"
        path.write_bytes(bytes(data))
        with pytest.raises(errors.MalformedInput, match="footer"):
            read(path)
