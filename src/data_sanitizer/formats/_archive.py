"""ZIP archives: one that holds a single table is unpacked like any compressed file, all others are refused.

Nothing is ever written under a name that an archive gives, but an archive with such names was made to do harm. Folders, and what macOS
adds of its own under `__MACOSX/`, do not count as members.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from typing import IO, BinaryIO

from data_sanitizer import errors
from data_sanitizer.model import ReadLimits

BadZipFile = zipfile.BadZipFile
_END = b"PK\x05\x06"
_END_SIZE, _LONGEST_COMMENT = 22, 65_535
_DIRECTORY_ENTRY = 1024  # bytes: more than a usual entry takes, so that the limit on entries bounds the directory too
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what programs write; the others cannot be unpacked in bounded memory
_OUTSIDE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\x00")


def only_member(file: BinaryIO, name: str, limits: ReadLimits) -> zipfile.ZipInfo | None:
    """The one table in the archive; None where the archive is a document (a workbook) or no archive at all. Raises ArchiveRejected."""
    archive = names(file, name, limits)
    if archive is None or "[Content_Types].xml" in archive.NameToInfo or "mimetype" in archive.NameToInfo:
        return None
    entries = archive.infolist()
    for entry in entries:
        _check(entry, name)
    members = [e for e in entries if not e.is_dir() and not e.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise errors.ArchiveRejected(path=name, why=f"it holds {len(members)} files instead of one")
    return members[0]


def opened(file: BinaryIO, name: str, limits: ReadLimits) -> IO[bytes]:
    """The content of the one member; raises ArchiveRejected."""
    member = only_member(file, name, limits)
    assert member is not None
    try:
        return zipfile.ZipFile(file).open(member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise errors.ArchiveRejected(path=name, why="its directory and its content do not agree") from error


def names(file: BinaryIO, name: str, limits: ReadLimits) -> zipfile.ZipFile | None:
    """The archive with its directory read, None where it is none; raises ArchiveRejected where it is too large, or damaged by its name."""
    entries, size = _counted(file)
    if entries > limits.archive_entries or size > limits.archive_entries * _DIRECTORY_ENTRY:
        why = f"it lists {entries} entries in {size} bytes, and the limit archive_entries is {limits.archive_entries}"
        raise errors.ArchiveRejected(path=name, why=why)
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        if not name.lower().endswith(".zip"):
            return None
        raise errors.ArchiveRejected(path=name, why="its directory is missing or damaged; it may be cut off") from error


def _counted(file: BinaryIO) -> tuple[int, int]:
    """Entries and bytes of the directory as the end of the archive states them; it is read before the directory, which may be huge."""
    size = file.seek(0, io.SEEK_END)
    start = max(0, size - _END_SIZE - _LONGEST_COMMENT - 76)
    file.seek(start)
    tail = file.read(size - start)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        return 0, 0
    entries, length = struct.unpack_from("<HL", tail, at + 10)
    large = tail.rfind(b"PK\x06\x06", 0, at)
    if large >= 0 and len(tail) - large >= 56 and (entries == 0xFFFF or length == 0xFFFFFFFF):
        entries, length = struct.unpack_from("<QQ", tail, large + 32)
    return int(entries), int(length)


def _check(entry: zipfile.ZipInfo, name: str) -> None:
    why = None
    if _OUTSIDE.search(entry.orig_filename):
        why = "a name in it points outside of the archive"
    elif stat.S_ISLNK(entry.external_attr >> 16):
        why = "it holds a link to another file"
    elif entry.flag_bits & 1:
        why = "it is protected by a password"
    elif entry.compress_type not in _METHODS:
        why = f"it is compressed by method {entry.compress_type}, and we know store and deflate"
    if why:
        raise errors.ArchiveRejected(path=name, why=why)
