"""Streams of Arrow messages, read one record batch at a time: each is given to the reader as a stream of its own.

A message is a marker, the length of its metadata, the metadata (a FlatBuffer of which the kind and the length of the body are needed) and
the body. Source: the Arrow columnar format, section "Encapsulated message format".
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

from data_sanitizer.formats._typed import Raw, damaged

_MARK = b"\xff\xff\xff\xff"
_END = _MARK + bytes(4)
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_KIND, _BODY = 1, 3  # fields of a message


def schema(path: Path, name: str) -> pl.Schema:
    """The columns of a stream."""
    with path.open("rb") as file:
        kind, message = next(_messages(file, name), (0, b""))
    if kind != _SCHEMA:
        raise damaged("arrow", name, "it does not begin with a schema")
    return pl.read_ipc_stream(io.BytesIO(message + _END)).schema


def batches(path: Path, name: str) -> Raw:
    """The record batches of a stream as frames; they are as long as they are in the stream."""

    def raw(_: int) -> Iterator[pl.DataFrame]:
        with path.open("rb") as file:
            before = b""
            for kind, message in _messages(file, name):
                if kind == _BATCH:
                    yield pl.read_ipc_stream(io.BytesIO(before + message + _END))
                else:
                    before += message

    return raw


def _messages(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of every message up to the end of the stream."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    while (head := file.read(8)) and head != _END:
        length = int.from_bytes(head[4:8], "little", signed=True)
        if len(head) < 8 or head[:4] != _MARK or not 0 < length <= size - file.tell():
            raise damaged("arrow", name, f"there is no message at byte {file.tell() - len(head)}")
        metadata = file.read(length)
        kind, body = _field(metadata, _KIND, "<b", name), _field(metadata, _BODY, "<q", name)
        if not 0 <= body <= size - file.tell():
            raise damaged("arrow", name, f"the message at byte {file.tell() - length - 8} is longer than the file")
        yield kind, head + metadata + file.read(body)


def _field(metadata: bytes, field: int, form: str, name: str) -> int:
    """A number in the table that the metadata holds; 0 where it is left out."""
    try:
        (root,) = struct.unpack_from("<I", metadata, 0)
        (back,) = struct.unpack_from("<i", metadata, root)
        size = struct.unpack_from("<H", metadata, root - back)[0]
        at = struct.unpack_from("<H", metadata, root - back + 4 + 2 * field)[0] if size > 4 + 2 * field else 0
        return int(struct.unpack_from(form, metadata, root + at)[0]) if at else 0
    except struct.error as error:
        raise damaged("arrow", name, "the metadata of a message is damaged") from error
