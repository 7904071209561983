"""Every format keeps the same promises: what was written is read, any number of times, in blocks of any size, and nothing is lost."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from data_sanitizer import errors, extensions, formats
from data_sanitizer.model import ReadOptions

FORMATS = extensions.names("formats")
READ_ONLY = ("excel",)
AS_WRITTEN = ReadOptions(delimiter=",", header=True, encoding="utf-8")

characters = st.sampled_from("ab,;\"\n\r\t \\'{}[]:é漢😀\u00a0\u2028\u0085\x0b\x1c05-")
cells = st.none() | st.text(characters, max_size=6)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=12))
blocks_of = st.integers(1, 400)


def as_frame(rows: list[list[str | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={f"name {i}": pl.String for i in range(len(rows[0]))}, orient="row")


def written(frame: pl.DataFrame, name: str, folder: Path) -> Path:
    path = folder / f"table.{formats.format_named(name).SUFFIXES[0]}"
    if name in READ_ONLY:
        frame.write_excel(path)
    else:
        formats.write(frame.lazy(), path, name)
    return path


def content(reading: Any) -> tuple[pl.DataFrame, list[int], list[Any], list[Any]]:
    """All rows, their numbers, and the issues."""
    parts = list(reading.blocks())
    assert all(part.frame.schema == reading.schema for part in parts)
    assert all(part.rows.dtype == "uint64" and len(part.rows) == part.frame.height for part in parts)
    frame = pl.concat([part.frame for part in parts]) if parts else pl.DataFrame(schema=dict(reading.schema))
    rows = [row for part in parts for row in part.rows.tolist()]
    return frame, rows, [i for p in parts for i in p.quarantined], [i for p in parts for i in p.flagged]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_every_format_says_in_its_docstring_what_it_is() -> None:
    assert set(FORMATS) == {"arrow", "csv", "excel", "json", "jsonl", "parquet"}
    assert all(extensions.summary("formats", name) for name in FORMATS)
    suffixes = [suffix for name in FORMATS for suffix in formats.format_named(name).SUFFIXES]
    assert len(suffixes) == len(set(suffixes))


@pytest.mark.parametrize("name", [n for n in FORMATS if n not in READ_ONLY])
@given(rows=tables, block=blocks_of)
def test_text_comes_back_as_it_was_in_blocks_of_any_size(name: str, rows: list[list[str | None]], block: int) -> None:
    frame = as_frame(rows)
    with tempfile.TemporaryDirectory() as place:
        path = written(frame, name, Path(place))
        if name in ("json", "jsonl") and all(cell is None for row in rows for cell in row):
            return  # objects without any value are tested below
        reading = formats.format_named(name).read(path, str(path), AS_WRITTEN, Path(place), block)  # type: ignore[call-arg]
        table, numbers, quarantined, flagged = content(reading)
        assert_frame_equal(table, frame)
        assert numbers == list(range(len(rows)))
        assert (quarantined, flagged) == ([], [])
        assert_frame_equal(content(reading)[0], frame)


@pytest.mark.parametrize("name", FORMATS)
def test_types_and_nulls_come_back(name: str, folder: Path) -> None:
    frame = pl.DataFrame(
        {
            "whole": [1, None, -3],
            "real": [0.5, None, 2.25],
            "yes": [True, None, False],
            "day": [dt.date(2024, 2, 29), None, dt.date(1999, 12, 31)],
            "moment": [dt.datetime(2024, 2, 29, 12, 30, 5), None, dt.datetime(1999, 12, 31)],
            "text": ["007", None, "x"],
        }
    )
    reading = formats.open_source(written(frame, name, folder), ReadOptions(), folder)
    table, numbers, *_ = content(reading)
    assert numbers in ([0, 1, 2], [0, 1])  # a sheet's row without content is not a record
    frame = frame if len(numbers) == 3 else frame.drop_nulls()
    if name in ("parquet", "arrow", "excel"):
        assert_frame_equal(table, frame)
    else:
        assert table["text"].to_list() == frame["text"].to_list()
        assert table["whole"].cast(pl.Int64).to_list() == frame["whole"].to_list()
        assert table["day"].str.to_date("%Y-%m-%d").to_list() == frame["day"].to_list()


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_rows_are_the_same_bytes(name: str, folder: Path) -> None:
    if name in READ_ONLY:
        with pytest.raises(errors.UsageError):
            formats.write(pl.LazyFrame({"a": [1]}), folder / "x", name)
        return
    frame = pl.DataFrame({"a": [f"text {i % 7}" for i in range(5000)], "b": range(5000)})
    first, second = folder / "first", folder / "second"
    formats.write(frame.lazy(), first, name)
    formats.write(pl.concat([frame[:17], frame[17:3001], frame[3001:]], rechunk=False).lazy(), second, name)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_a_source_is_found_by_its_content_whatever_it_is_called(name: str, folder: Path) -> None:
    frame = pl.DataFrame({"a": ["x", "y"], "b": ["1", "2"]})
    path = written(frame, name, folder)
    other = path.rename(folder / ("table.csv" if name != "csv" else "table.parquet"))
    reading = formats.open_source(other, ReadOptions(), folder)
    assert reading.format == name
    assert reading.name == str(other)
    assert reading.decisions[0].subject == "format"
    assert content(reading)[0].columns == ["a", "b"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_source_with_no_rows_keeps_its_columns_or_says_that_it_is_empty(name: str, folder: Path) -> None:
    path = written(pl.DataFrame(schema={"a": pl.String, "b": pl.String}), name, folder)
    if name == "jsonl":
        with pytest.raises(errors.EmptyInput):
            formats.open_source(path, ReadOptions(), folder)
        return
    reading = formats.open_source(path, ReadOptions(), folder)
    assert list(reading.schema) == (["value"] if name == "json" else ["a", "b"])
    assert content(reading)[1] == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_reading_can_be_turned_into_any_format(name: str, folder: Path) -> None:
    path = written(pl.DataFrame({"a": ["x", "y", "z"], "b": ["1", "a,b", '"']}), name, folder)
    table = formats.lazy(formats.open_source(path, ReadOptions(), folder))
    for target in (n for n in FORMATS if n not in READ_ONLY):
        formats.write(table, folder / f"copy.{target}", target)
        copy = formats.open_source(folder / f"copy.{target}", ReadOptions(), folder)
        assert content(copy)[0].rows() == table.collect().rows()
    assert table.filter(pl.col("a") > "x").select("b").head(1).collect().rows() == [("a,b",)]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_compressed_sources_are_read_and_truncated_ones_refused(name: str, packing: str, folder: Path) -> None:
    import gzip

    import zstandard

    frame = pl.DataFrame({"a": [f"text {i}" for i in range(3000)], "b": [str(i * i) for i in range(3000)]})
    plain = written(frame, name, folder).read_bytes()
    packed = gzip.compress(plain[:100]) + gzip.compress(plain[100:]) if packing == "gzip" else zstandard.compress(plain)
    path = folder / "table.gz"
    path.write_bytes(packed)
    reading = formats.open_source(path, ReadOptions(), folder)
    assert reading.format == name
    assert content(reading)[0].height == 3000
    path.write_bytes(packed[: len(packed) * 2 // 3])
    with pytest.raises(errors.InputError) as caught:
        content(formats.open_source(path, ReadOptions(), folder))
    assert isinstance(caught.value, errors.TruncatedInput)
