"""Compressed sources: each kind is read like plain text, and what is damaged, nested, packed with others or a bomb is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from data_sanitizer import errors, formats
from data_sanitizer.formats import _bytes, _compression
from data_sanitizer.model import ReadLimits, ReadOptions

TABLE = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(4000))
SMALL = ReadLimits(unpacked_free=100_000)


def zipped(data: bytes, name: str = "t.csv", method: int = zipfile.ZIP_DEFLATED, **facts: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        entry = zipfile.ZipInfo(name)
        entry.compress_type = method
        for fact, value in facts.items():
            setattr(entry, fact, value)
        file.writestr(entry, data)
    return buffer.getvalue()


def together(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same name twice is what is to be tested
        for name in names:
            file.writestr(name, "a,b\n1,2\n")
    return buffer.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
}
ALL = pytest.mark.parametrize("kind", PACKERS)


def unpacked(data: bytes, path: Path, limits: ReadLimits | None = None) -> bytes:
    path.write_bytes(data)
    with _bytes.open_bytes(path, path.name, limits=limits) as stream:
        return stream.readall() or b""


def rows_of(path: Path, **options: Any) -> list[tuple[Any, ...]]:
    return [row for b in formats.open_source(path, ReadOptions(**options), path.parent).blocks() for row in b.frame.rows()]


@ALL
def test_the_content_decides_not_the_name(kind: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(PACKERS[kind](TABLE))
    assert rows_of(tmp_path / "t.csv")[-1] == ("3999", str(3999 * 3999))


@pytest.mark.parametrize("kind", [k for k in PACKERS if k != "zip"])
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4), padding=st.integers(0, 3))
def test_members_one_after_the_other_are_one_content(kind: str, parts: list[bytes], padding: int, tmp_path_factory: Any) -> None:
    zeros = bytes(4 * padding) if kind != "zstd" else b""
    path = tmp_path_factory.getbasetemp() / f"members-{kind}"
    assert unpacked(b"".join(PACKERS[kind](part) + zeros for part in parts), path) == b"".join(parts)


@ALL
def test_a_cut_off_file_is_never_read_as_a_whole_one(kind: str, tmp_path: Path) -> None:
    packed = PACKERS[kind](TABLE)
    for size in (len(packed) // 3, len(packed) // 2, len(packed) - 1):
        with pytest.raises((errors.TruncatedInput, errors.ArchiveRejected)):
            unpacked(packed[:size], tmp_path / "t.zip")


@ALL
def test_damage_is_told(kind: str, tmp_path: Path) -> None:
    packed = bytearray(PACKERS[kind](TABLE))
    packed[len(packed) // 2] ^= 0x55
    if kind == "zstd":  # our own writing has no checksum: damage shows only where it breaks the grammar
        packed[4:40] = b"\xff" * 36
    with pytest.raises(errors.MalformedInput) as caught:
        unpacked(bytes(packed), tmp_path / "t")
    assert kind in str(caught.value)


@pytest.mark.parametrize("kind", [k for k in PACKERS if k not in ("zip", "zstd")])
def test_something_else_after_the_compressed_data_is_damage(kind: str, tmp_path: Path) -> None:
    with pytest.raises((errors.MalformedInput, errors.TruncatedInput)):
        unpacked(PACKERS[kind](TABLE) + b"and more", tmp_path / "t")


@ALL
@pytest.mark.parametrize("inner", PACKERS)
@pytest.mark.parametrize("asked", [None, "csv"])
def test_compressed_in_compressed_is_refused(kind: str, inner: str, asked: str | None, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(PACKERS[kind](PACKERS[inner](TABLE)))
    with pytest.raises(errors.UnsupportedContent, match="inside"):
        rows_of(tmp_path / "t", format=asked)


@ALL
def test_what_unpacks_to_too_much_is_refused_and_small_regular_tables_are_not(kind: str, tmp_path: Path) -> None:
    regular = PACKERS[kind](b"1,2\n" * 20_000)
    assert len(unpacked(regular, tmp_path / "t", SMALL)) == 80_000
    bomb = PACKERS[kind](b"1,2\n" * 1_000_000)
    with pytest.raises(errors.DecompressionLimit) as caught:
        unpacked(bomb, tmp_path / "t", SMALL)
    assert "unpacked_ratio" in str(caught.value)
    assert caught.value.code == "decompression-limit"
    with pytest.raises(errors.DecompressionLimit, match="unpacked_bytes"):
        unpacked(bomb, tmp_path / "t", ReadLimits(unpacked_bytes=50_000))
    assert len(unpacked(bomb, tmp_path / "t", ReadLimits(unpacked_free=100_000, unpacked_ratio=10**7))) == 4_000_000


@ALL
def test_a_bomb_is_never_unpacked_in_one_piece(kind: str, tmp_path: Path) -> None:
    """What comes out at once stays below a zstd block's worth, however small what went in."""
    (tmp_path / "t").write_bytes(PACKERS[kind](bytes(40_000_000)))
    with _bytes.open_bytes(tmp_path / "t", "t") as stream:
        assert isinstance(stream, _compression.Unpacked)
        longest = max(len(data) for data in iter(stream.following, b""))
    assert longest <= _compression.PIECE or kind == "zstd"


MADE_TO_HARM = {
    "two files": (together("a.csv", "b.csv"), "2 files"),
    "no file": (together(), "0 files"),
    "only a folder": (together("folder/"), "0 files"),
    "the same name twice": (together("a.csv", "a.csv"), "2 files"),
    "above": (zipped(b"x", "../../etc/x"), "outside"),
    "above, as Windows writes": (zipped(b"x", "..\\x"), "outside"),
    "absolute": (zipped(b"x", "/etc/x"), "outside"),
    "a drive": (zipped(b"x", "c:x"), "outside"),
    "a link": (zipped(b"/etc/passwd", "x", external_attr=(stat.S_IFLNK | 0o777) << 16), "link"),
    "another method": (zipped(b"x" * 100, "x", zipfile.ZIP_LZMA), "method 14"),
    "many entries": (together(*(f"{i}" for i in range(2001))), "2001 entries"),
}


@pytest.mark.parametrize(("data", "word"), MADE_TO_HARM.values(), ids=MADE_TO_HARM)
def test_archives_of_other_kinds_are_rejected(data: bytes, word: str, tmp_path: Path) -> None:
    (tmp_path / "t.zip").write_bytes(data)
    with pytest.raises(errors.ArchiveRejected, match=word) as caught:
        rows_of(tmp_path / "t.zip")
    assert caught.value.code == "archive-rejected"


def test_an_archive_with_a_password_is_rejected(tmp_path: Path) -> None:
    data = bytearray(zipped(TABLE))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(header) + flags] |= 1
    (tmp_path / "t.zip").write_bytes(bytes(data))
    with pytest.raises(errors.ArchiveRejected, match="password"):
        rows_of(tmp_path / "t.zip")


def test_an_archive_whose_parts_disagree_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(TABLE))
    data[30] ^= 1  # the name in front of the data is not that in the directory
    (tmp_path / "t.zip").write_bytes(bytes(data))
    with pytest.raises(errors.ArchiveRejected, match="agree"):
        rows_of(tmp_path / "t.zip")


def test_what_macos_adds_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "t.zip").write_bytes(together("folder/", "folder/t.csv", "__MACOSX/folder/._t.csv"))
    assert rows_of(tmp_path / "t.zip") == [("1", "2")]


def test_the_directory_of_an_archive_may_not_be_huge(tmp_path: Path) -> None:
    """The end of the archive says how long the directory is: more than the entries may take is not even read."""
    data = bytearray(zipped(TABLE))
    end = data.find(b"PK\x05\x06")
    data[end + 12 : end + 16] = (100 << 20).to_bytes(4, "little")
    (tmp_path / "t.zip").write_bytes(bytes(data))
    with pytest.raises(errors.ArchiveRejected, match="archive_entries"):
        rows_of(tmp_path / "t.zip")
