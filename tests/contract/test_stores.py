"""Every store keeps the same promises: whole objects, exact ranges of one version, creation only where there is nothing."""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_sanitizer import errors, extensions, formats
from data_sanitizer.model import ReadOptions
from data_sanitizer.stores import Location, Stores, _stream
from data_sanitizer.stores._parts import PART
from data_sanitizer.stores._stream import StoredSource
from tests import object_stores

LARGE = random.Random(7).randbytes(2 * PART + 5)
KEYS = ["plain.csv", "with blank.csv", "ünï+code%20&=.csv", "deep/er/table#1.csv", "what?.csv"]
count = iter(range(1_000_000))


@pytest.fixture(params=["file", "s3", "gs", "s3 by others"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty prefix in each store."""
    prefix = f"contract/{os.getpid()}/{next(count)}"
    if request.param == "file":
        return Stores().location(f"file://{tmp_path}/{prefix}")
    server = {"s3": "s3_server", "gs": "gs_server", "s3 by others": "second_s3_server"}[request.param]
    return object_stores.place(request.getfixturevalue(server), request.param[:2], prefix)


def test_there_is_a_store_for_each_scheme() -> None:
    assert extensions.names("stores") == ("file", "gs", "s3")


@pytest.mark.parametrize("key", KEYS)
def test_what_is_written_is_found_and_read_in_ranges(place: Location, key: str) -> None:
    store, key = place.store, (place / key).key
    wrote = store.write(key, [b"abc", b"", b"defgh"])
    assert store.find(key) == wrote
    assert (wrote.key, wrote.size) == (key, 8)
    assert [store.read(wrote, *span) for span in ((0, 8), (2, 3), (7, 1), (8, 0))] == [b"abcdefgh", b"cde", b"h", b""]
    assert list(store.listed(key)) == [wrote]


def test_large_objects_go_in_parts_and_empty_ones_exist(place: Location) -> None:
    store, key = place.store, (place / "large").key
    wrote = store.write(key, (LARGE[i : i + 999_983] for i in range(0, len(LARGE), 999_983)))
    assert store.find(key) == wrote
    assert store.read(wrote, PART - 3, PART + 8) == LARGE[PART - 3 : 2 * PART + 5]
    empty = store.write((place / "empty").key, [])
    assert store.find(empty.key).size == 0


def test_a_listing_has_the_keys_below_a_prefix_in_order(place: Location) -> None:
    store = place.store
    for name in ("b.csv", "a.csv", "c/d.csv", "bb.csv"):
        store.write((place / name).key, [b"x"])
    assert [f.key for f in store.listed((place / "").key)] == [(place / n).key for n in ("a.csv", "b.csv", "bb.csv", "c/d.csv")]
    assert [f.key for f in store.listed((place / "b").key)] == [(place / n).key for n in ("b.csv", "bb.csv")]
    assert list(store.listed((place / "nothing").key)) == []


@pytest.mark.parametrize("data", [b"new", LARGE], ids=["small", "large"])
def test_a_new_object_takes_nobody_s_place(place: Location, data: bytes) -> None:
    store, key = place.store, (place / "once").key
    first = store.write(key, [b"first"], new=True)
    with pytest.raises(errors.OutputExists):
        store.write(key, [data], new=True)
    assert store.find(key) == first
    assert store.write(key, [b"later"]).version != first.version
    assert store.read(store.find(key), 0, 5) == b"later"


@pytest.mark.parametrize("end", ["replaced", "deleted"])
def test_no_range_is_of_another_version(place: Location, end: str) -> None:
    store, key = place.store, (place / "moving").key
    found = store.write(key, [b"1" * 100])
    source = StoredSource(place / "moving", found)
    before = source.stamp()
    if end == "replaced":
        store.write(key, [b"2" * 100])
        assert source.stamp() != before
    else:
        store.delete(key)
        with pytest.raises(errors.InputChanged):
            source.stamp()
    with pytest.raises(errors.InputChanged):
        store.read(found, 0, 10)


@pytest.mark.parametrize("size", [10, PART + 10], ids=["small", "large"])
def test_an_upload_that_fails_leaves_what_was_there(place: Location, size: int) -> None:
    store, key = place.store, (place / "failing").key
    first = store.write(key, [b"first"])

    def breaking() -> Iterator[bytes]:
        yield LARGE[:size]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write(key, breaking())
    assert store.find(key) == first
    if place.scheme == "s3":
        assert "Uploads" not in store._client.list_multipart_uploads(Bucket=place.bucket, Prefix=key)  # type: ignore[attr-defined]


def test_uploads_that_nobody_completed_are_forgotten(place: Location) -> None:
    store, key = place.store, (place / "begun").key
    if place.scheme == "s3":
        client: Any = store._client  # type: ignore[attr-defined]
        client.create_multipart_upload(Bucket=place.bucket, Key=key)
        store.forget(key[:-1])
        assert len(client.list_multipart_uploads(Bucket=place.bucket, Prefix=key)["Uploads"]) == 1
        store.forget(key)
        assert "Uploads" not in client.list_multipart_uploads(Bucket=place.bucket, Prefix=key)
    store.forget(key)
    assert list(store.listed((place / "").key)) == []


def test_what_is_not_there_is_not_found_and_may_be_deleted(place: Location) -> None:
    store, key = place.store, (place / "nothing").key
    store.delete(key)
    with pytest.raises(errors.InputNotFound):
        store.find(key)


def test_an_object_is_a_source(place: Location, tmp_path: Path) -> None:
    text = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(2000))
    found = place.store.write((place / "table.csv").key, [text])
    source = StoredSource(place / "table.csv", found)
    reading = formats.open_source(source, ReadOptions(), tmp_path)
    rows = [row for block in reading.blocks() for row in block.frame.rows()]
    assert rows == [(str(i), str(i * i)) for i in range(2000)]
    assert source.sha256() == hashlib.sha256(text).hexdigest()
    assert reading.name == str(place / "table.csv")


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "HEAD", 7)
    monkeypatch.setattr(_stream, "RANGE", 5)


@pytest.mark.usefixtures("small_ranges")
@pytest.mark.parametrize("seed", range(20))
def test_a_stream_is_the_bytes_from_any_position_and_each_is_hashed_once(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    data = chance.randbytes(chance.choice([0, 1, 6, 7, 8, 12, 13, 60]))
    place = Stores().location(f"file://{tmp_path}/object")
    source = StoredSource(place, place.store.write(place.key, [data]))
    plain = io.BytesIO(data)
    with source.open() as stream:
        for _ in range(30):
            if chance.random() < 0.4:
                offset, whence = chance.choice([(chance.randrange(70), os.SEEK_SET), (-chance.randrange(9), os.SEEK_END)])
                offset = max(offset, -len(data))
                assert stream.seek(offset, whence) == plain.seek(offset, whence)
            size = chance.randrange(15)
            wanted = plain.read(size)
            got = b""
            while len(got) < len(wanted):
                got += stream.read(size - len(got))
            assert got == wanted
            assert stream.tell() == plain.tell()
    assert source.sha256() == hashlib.sha256(data).hexdigest()


@pytest.mark.usefixtures("small_ranges")
def test_reading_in_a_row_asks_ahead_and_for_each_range_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked = bytes(range(100)), []
    place = Stores().location(f"file://{tmp_path}/object")
    source = StoredSource(place, place.store.write(place.key, [data]))
    read = type(place.store).read
    monkeypatch.setattr(type(place.store), "read", lambda self, found, start, size: asked.append(start) or read(self, found, start, size))
    with source.open() as sample:
        assert sample.read(3) == data[:3]
    with source.open() as stream:
        assert stream.readall() == data
    assert source.sha256() == hashlib.sha256(data).hexdigest()
    assert sorted(asked) == [0, *range(7, 100, 5)]
