"""Normalised cells: the text by which records are compared, with a fingerprint per cell and a content hash per row.

Normalised is: Latin letters and full-width forms folded to ASCII, lower case, every run of other signs one blank, no blank at the ends;
letters of other alphabets stay, in lower case where Unicode has a simple one. Words for "nothing here" become empty.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel

LONGEST: Final = 4096  # bytes of a cell that are kept for comparison; the fingerprint covers all of them

# What cells say when they have nothing to say, as normalised text. In a comparison they are no evidence either way.
NOTHING: Final = ("na", "n a", "nan", "nat", "nil", "none", "null", "unknown", "missing", "not available", "undefined", "empty", "tbd")

_DROP, _BLANK, _TWO = -1, 0, 1 << 24  # entries of the folding table, else the code point to write
_FOLDED: Final = ((0x80, 0x530), (0x1E00, 0x2000), (0x2070, 0x20A0), (0xFB00, 0xFB07), (0xFF00, 0xFF66))  # ranges read from Unicode
_BLANKS: Final = ((0x2000, 0x2070), (0x20A0, 0x2C00), (0x2E00, 0x2E80), (0x3000, 0x3005), (0x3008, 0x3021), (0xFE10, 0xFE70),
                  (0xE000, 0xF900), (0xFFE0, 0x10000))  # fmt: skip
_DROPPED: Final = ((0x300, 0x370), (0x1AB0, 0x1B00), (0x1DC0, 0x1E00), (0x200B, 0x2010), (0x2060, 0x2065), (0xFE00, 0xFE10),
                   (0xFEFF, 0xFF00), (0xAD, 0xAE))  # fmt: skip
_PLAIN: Final = {"ß": "ss", "ẞ": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ı": "i", "ł": "l",
                 "ŋ": "n", "ŧ": "t", "ĸ": "k", "ƒ": "f", "ɓ": "b", "ɗ": "d", "ſ": "s", "ŉ": "n", "ŀ": "l", "ƀ": "b", "ɨ": "i"}  # fmt: skip
_P1, _P2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


class Text(NamedTuple):
    """n cells as bytes: cell k is data[offsets[k]:offsets[k + 1]]."""

    offsets: NDArray[np.int64]  # (n + 1,)
    data: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Normalised:
    """A column of a block: its text, and what was counted on the way."""

    text: Text
    fingerprints: NDArray[np.uint64]  # (n,) of the text without blanks, 0 for none
    counts: NDArray[np.int64]  # (4,): cells with text, tokens, characters without blanks, digits


@kernel
def finish(x: Any) -> Any:
    """A 64-bit finalizer (P. Evensen's rrmxmx family): every input bit reaches every output bit; 0 stays 0."""
    x = (x ^ (x >> np.uint64(32))) * _P2
    x = (x ^ (x >> np.uint64(32))) * _P2
    return x ^ (x >> np.uint64(32))


@cache
def folds() -> NDArray[np.int32]:
    """Code point -> what to write instead, shape (65536,): a code point, two ASCII letters, a blank, or nothing."""
    table = np.arange(65536, dtype=np.int32)
    for first, last in _FOLDED:
        table[first:last] = [_fold(chr(p)) for p in range(first, last)]
    for ranges, entry in ((_BLANKS, _BLANK), (_DROPPED, _DROP)):
        for first, last in ranges:
            table[first:last] = entry
    return table


def _fold(character: str) -> int:
    lower = character.lower()
    plain = _PLAIN.get(lower) or unicodedata.normalize("NFKD", lower)
    kept = [c for c in (_PLAIN.get(p, p) for p in plain) if c.isalnum()] if plain else []
    if not kept:
        return _DROP if unicodedata.category(character).startswith("M") else _BLANK
    joined = "".join(kept)
    if len(joined) == 2 and joined.isascii():
        return _TWO | ord(joined[0]) << 8 | ord(joined[1])
    first = ord(joined[0])
    return first if len(joined) == 1 and (first < 128 or len(joined.encode()) <= len(character.encode())) else ord(lower[0])


@kernel
def _decode(data: Any, i: int, end: int) -> tuple[Any, Any]:
    """Code point at data[i] and its bytes; a broken sequence is one byte that stands for a blank."""
    c = np.int64(data[i])
    if 0xC2 <= c < 0xE0 and i + 1 < end:
        return (c & 31) << 6 | (np.int64(data[i + 1]) & 63), 2
    if 0xE0 <= c < 0xF0 and i + 2 < end:
        return (c & 15) << 12 | (np.int64(data[i + 1]) & 63) << 6 | (np.int64(data[i + 2]) & 63), 3
    if 0xF0 <= c < 0xF5 and i + 3 < end:
        low = (np.int64(data[i + 2]) & 63) << 6 | (np.int64(data[i + 3]) & 63)
        return (c & 7) << 18 | (np.int64(data[i + 1]) & 63) << 12 | low, 4
    return 32, 1


@kernel
def _write(out: Any, n: Any, point: Any) -> Any:
    """Write one code point or two letters at out[n] as UTF-8; returns the new n."""
    if point >= _TWO:
        out[n], out[n + 1] = (point >> 8) & 255, point & 255
        return n + 2
    if point < 0x80:
        out[n] = point
        return n + 1
    if point < 0x800:
        out[n], out[n + 1] = 0xC0 | point >> 6, 0x80 | point & 63
        return n + 2
    if point < 0x10000:
        out[n], out[n + 1], out[n + 2] = 0xE0 | point >> 12, 0x80 | (point >> 6) & 63, 0x80 | point & 63
        return n + 3
    out[n], out[n + 1], out[n + 2], out[n + 3] = 0xF0 | point >> 18, 0x80 | (point >> 12) & 63, 0x80 | (point >> 6) & 63, 0x80 | point & 63
    return n + 4


@kernel
def _fold_point(data: Any, i: Any, end: Any, table: Any, out: Any, n: Any) -> tuple[Any, Any]:
    """Write what stands for the character beyond ASCII at data[i] at out[n]; returns its bytes and the new n."""
    point, size = _decode(data, i, end)
    if point < 65536:
        point = np.int64(table[point])
    elif 0x1F000 <= point < 0x20000:
        point = _BLANK
    if point == _BLANK:
        if out[n - 1] == 32:
            return size, n
        point = 32
    return size, n if point == _DROP else _write(out, n, point)


@kernel
def _fold_cell(data: Any, a: Any, b: Any, ascii_table: Any, table: Any, out: Any, start: Any) -> Any:
    """Write the normalised text of data[a:b] at out[start]; returns where it ends. A blank stands before out[start].

    The way of ASCII has no branch; unsigned indices spare it the test for negative ones, which takes as long as all the rest.
    """
    n, i, end, last = np.uint64(start), np.uint64(a), np.uint64(b), np.uint8(32)
    while i < end:
        c = ascii_table[data[i]]
        if c == 255:
            size, stop = _fold_point(data, np.int64(i), b, table, out, np.int64(n))
            i, n = i + np.uint64(size), np.uint64(stop)
            last = out[n - np.uint64(1)]
            continue
        out[n] = c
        n += np.uint64((c != 32) | (last != 32))
        last = c
        i += np.uint64(1)
    stop = np.int64(n)
    return stop - 1 if stop > start and out[stop - 1] == 32 else stop


@kernel
def _four(data: Any, i: Any) -> Any:
    """Four bytes from i on as one little-endian number."""
    low = np.uint64(data[i]) | np.uint64(data[i + np.uint64(1)]) << np.uint64(8)
    return low | np.uint64(data[i + np.uint64(2)]) << np.uint64(16) | np.uint64(data[i + np.uint64(3)]) << np.uint64(24)


@kernel
def _eight(data: Any, i: Any) -> Any:
    """Eight bytes from i on as one little-endian number."""
    return _four(data, i) | _four(data, i + np.uint64(4)) << np.uint64(32)


@kernel
def hash_bytes(data: Any, a: Any, b: Any) -> Any:
    """A 64-bit hash of data[a:b], words of eight bytes multiplied and folded; 0 for nothing, never 0 for something."""
    n = b - a
    if n <= 0:
        return np.uint64(0)
    h, i, word = np.uint64(n) * _P2, np.uint64(a), np.uint64(0)
    for _ in range(n >> 3):
        h = (h ^ _eight(data, i)) * _P1
        h ^= h >> np.uint64(32)
        i += np.uint64(8)
    if n >= 8:
        word = _eight(data, np.uint64(b - 8))  # overlaps the word before; the length tells how far
    elif n >= 4:
        word = _four(data, i) | _four(data, np.uint64(b - 4)) << np.uint64(32)
    else:
        for k in range(np.uint64(a), np.uint64(b)):
            word = word << np.uint64(8) | np.uint64(data[k])
    h = finish((h ^ word) * _P1)
    return h if h != 0 else np.uint64(1)


@kernel
def _without_blanks(data: Any, a: Any, b: Any, tight: Any) -> Any:
    """Copy data[a:b] without its blanks to `tight` and return its bytes."""
    m = np.uint64(0)
    for i in range(np.uint64(a), np.uint64(b)):
        c = data[i]
        tight[m] = c
        m += np.uint64(c != 32)
    return np.int64(m)


@kernel
def _clipped(out: Any, start: Any, n: Any) -> Any:
    """The end of a cell of at most LONGEST bytes that does not cut a character."""
    if n - start <= LONGEST:
        return n
    n = start + LONGEST
    while n > start and out[n] & 0xC0 == 0x80:
        n -= 1
    return n


@kernel
def _normalise(offsets: Any, data: Any, ascii_table: Any, table: Any, nothing: Any, out_offsets: Any, out: Any, tight: Any, prints: Any,
               counts: Any) -> None:  # fmt: skip
    """Fill the text, the fingerprints and the counts of `Normalised`; the text begins at out[1]."""
    n = np.int64(1)  # not a literal, which would compile what it is passed to once more
    out_offsets[0] = n
    for k in range(len(offsets) - 1):
        before = out[n - 1]
        out[n - 1] = 32
        end = _fold_cell(data, offsets[k], offsets[k + 1], ascii_table, table, out, n)
        out[n - 1] = before
        prints[k] = 0
        if end > n:
            h = hash_bytes(tight, np.int64(0), _without_blanks(out, n, end, tight))
            if end - n <= 13:
                for word in nothing:
                    if h == word:
                        end, h = n, np.uint64(0)
            prints[k] = h
            n = _clipped(out, n, end)
        counts[0] += prints[k] != 0
        out_offsets[k + 1] = n
    blanks = digits = 0
    for c in out[1:n]:
        blanks += c == 32
        digits += (c >= 48) & (c <= 57)
    counts[1], counts[2], counts[3] = blanks + counts[0], n - 1 - blanks, digits


@cache
def _nothing() -> NDArray[np.uint64]:
    encoded = [np.frombuffer(word.replace(" ", "").encode(), np.uint8).copy() for word in NOTHING]
    return np.array([hash_bytes(word, 0, len(word)) for word in encoded], np.uint64)


@cache
def _ascii() -> NDArray[np.uint8]:
    """Byte -> what to write, 255 for a byte beyond ASCII."""
    table = np.full(256, 255, np.uint8)
    table[:128] = [ord(c.lower()) if c.isalnum() else 32 for c in map(chr, range(128))]
    return table


def normalise(text: Text) -> Normalised:
    """The normalised text of n cells of UTF-8, their fingerprints of shape (n,) and counts of shape (4,). Null is an empty cell."""
    n = len(text.offsets) - 1
    offsets, counts = np.zeros(n + 1, np.int64), np.zeros(4, np.int64)
    out = np.empty(int(text.offsets[-1] - text.offsets[0]) + 6, np.uint8)
    tight = np.empty(int(np.diff(text.offsets).max(initial=0)) + 1, np.uint8)
    prints = np.empty(n, np.uint64)
    _normalise(text.offsets, text.data, _ascii(), folds(), _nothing(), offsets, out, tight, prints, counts)
    return Normalised(Text(offsets - 1, out[1 : offsets[-1]]), prints, counts)


def texts(frame: pl.DataFrame) -> Iterator[Text]:
    """Every column of a frame as bytes; null is empty, other types are seen as the text they are written as."""
    typed = [pl.col(c).cast(pl.String) for c, dtype in frame.schema.items() if dtype != pl.String]
    text = frame.with_columns(typed) if typed else frame
    sizes = text.select(pl.all().str.len_bytes().fill_null(0))
    joined = pl.first().drop_nulls().cast(pl.Binary).cast(pl.List(pl.UInt8)).explode(empty_as_null=False)
    for column, size in zip(text.iter_columns(), sizes.iter_columns(), strict=True):
        offsets = np.concatenate([[0], np.cumsum(size.to_numpy(), dtype=np.int64)])
        data = column.to_frame().select(joined).to_series().to_numpy(writable=True) if offsets[-1] else np.zeros(0, np.uint8)
        yield Text(offsets, data)


@kernel
def add_content(contents: Any, prints: Any, column: int) -> None:
    """Add the fingerprints of one column to the content hashes of the rows; the order of the columns counts, that of the calls does not."""
    salt = np.uint64(column + 1) * _P1
    for k in range(len(prints)):
        contents[k] += finish(prints[k] ^ salt)


@kernel
def _squeeze(offsets: Any, data: Any, out_offsets: Any, out: Any) -> None:
    n = 0
    for k in range(len(offsets) - 1):
        n += _without_blanks(data, offsets[k], offsets[k + 1], out[n:])
        out_offsets[k + 1] = n


def squeezed(text: Text) -> Text:
    """The cells without their blanks."""
    offsets, out = np.zeros(len(text.offsets), np.int64), np.empty(len(text.data) + 1, np.uint8)
    _squeeze(*text, offsets, out)
    return Text(offsets, out[: offsets[-1]])
