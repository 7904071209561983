"""Tables by URL: read in chunks in every format, written as one object that appears when it is complete."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from data_sanitizer import cloud_storage, errors, formats
from data_sanitizer.stores import Location, Stores
from tests import object_stores

FRAME = pl.DataFrame({"id": [str(i) for i in range(500)], "city": ["Köln", "Genève", None, "a,b\n"] * 125})
count = iter(range(1_000_000))


@pytest.fixture(params=["file", "s3", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "file":
        return Stores().location(f"file://{tmp_path}/cloud")
    server = request.getfixturevalue(f"{request.param}_server")
    return object_stores.place(server, request.param, f"cloud/{os.getpid()}/{next(count)}")


@pytest.fixture
def stores(place: Location) -> Stores:
    return Stores({place.scheme: place.settings})


def chunks(place: Location, stores: Stores, size: int | None) -> list[pl.DataFrame]:
    if place.scheme == "s3":
        return list(cloud_storage.S3FileReader(place.bucket, place.key, stores=stores).stream_chunks(size))
    if place.scheme == "gs":
        return list(cloud_storage.GCSFileReader(place.bucket, place.key, stores=stores).stream_chunks(size))
    return list(cloud_storage.create_file_reader(str(place), stores=stores).stream_chunks(size))


@pytest.mark.parametrize("name", ["csv", "json", "jsonl", "parquet", "excel"])
def test_every_format_comes_in_chunks(name: str, place: Location, stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    if name == "excel":
        FRAME.write_excel(path)
    else:
        formats.write(FRAME.lazy(), path, name)
    key = place / f"table.{name}"
    key.store.write(key.key, [path.read_bytes()])
    found = chunks(key, stores, 1000 if name in ("csv", "json", "jsonl") else 100)
    assert len(found) > 1
    table = pl.concat(found)
    assert table["id"].cast(pl.String).to_list() == FRAME["id"].to_list()
    assert table["city"][:2].to_list() == ["Köln", "Genève"]


@pytest.mark.parametrize("writer", [cloud_storage.ParquetStreamWriter, cloud_storage.CSVStreamWriter])
def test_what_is_written_in_pieces_is_the_table_whole(
    writer: type[cloud_storage.ParquetStreamWriter], place: Location, stores: Stores, tmp_path: Path
) -> None:
    formats.write(FRAME.lazy(), tmp_path / "whole", writer.FORMAT)
    for number, size in enumerate((7, 500)):
        target = place / f"{number}.{writer.FORMAT}"
        with writer(str(target), stores) as table:
            for start in range(0, 500, size):
                table.write(FRAME[start : start + size])
                assert list(place.store.listed(target.key)) == []
        found = place.store.find(target.key)
        assert place.store.read(found, 0, found.size) == (tmp_path / "whole").read_bytes()


def failing(place: Location, stores: Stores, frame: pl.DataFrame | None) -> None:
    with cloud_storage.CSVStreamWriter(str(place / "x.csv"), stores) as table:
        table.write(FRAME)
        if frame is None:
            raise RuntimeError
        table.write(frame)


@pytest.mark.parametrize(("frame", "kind"), [(None, RuntimeError), (FRAME.select("id"), errors.UsageError)], ids=["error", "columns"])
def test_a_writer_that_is_left_by_an_error_writes_nothing(
    frame: pl.DataFrame | None, kind: type[Exception], place: Location, stores: Stores
) -> None:
    with pytest.raises(kind):
        failing(place, stores, frame)
    assert list(place.store.listed(place.key)) == []


def test_records_that_are_in_no_chunk_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n1,2,3\n3,4\n")
    reader = cloud_storage.create_file_reader(str(tmp_path / "t.csv"))
    assert sum(chunk.height for chunk in reader.stream_chunks()) == 2
    assert [issue.row for issue in reader.quarantined] == [1]


def test_a_scheme_without_a_store_is_refused() -> None:
    with pytest.raises(errors.UsageError, match="There is no store for ftp"):
        cloud_storage.create_file_reader("ftp://host/x.csv")
