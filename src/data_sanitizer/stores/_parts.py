"""Bytes that come in pieces of any size, given on in parts of the size that an upload wants."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

PART = 8 << 20  # bytes: above the 5 MB that S3 demands of a part; a few of them are in memory at once
_GROWS_EVERY = 1_500  # parts; S3 takes 10,000 of an object: so a part may double six times, and an object have more than a terabyte

MARK = "data-sanitizer-upload"  # metadata of an object: which upload made it


def mark() -> str:
    """A mark that no other upload has."""
    return secrets.token_hex(8)


def parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in parts of PART bytes, the last one shorter; later ones are larger, so that their number stays bounded."""
    gathered, number = bytearray(), 0
    for piece in pieces:
        gathered += piece
        while len(gathered) >= (size := PART << (number // _GROWS_EVERY)):
            yield bytes(memoryview(gathered)[:size])
            del gathered[:size]
            number += 1
    if gathered or not number:
        yield bytes(gathered)


def of_file(path: Path) -> Iterator[bytes]:
    """The bytes of a file, in pieces."""
    with path.open("rb") as file:
        while piece := file.read(PART):
            yield piece
