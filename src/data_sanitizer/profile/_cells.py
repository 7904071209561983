"""From a column of a block to arrays: what `_scan` sees in every cell, as NumPy arrays of one length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel
from data_sanitizer.profile import _scan as s


@dataclass(frozen=True, slots=True)
class Cells:
    """What the scan found in n cells of one column: arrays of shape (n,)."""

    text: pl.Series  # the cells as read, as text
    hash1: NDArray[np.uint64]  # two independent hashes of the trimmed cell with inner blanks collapsed
    hash2: NDArray[np.uint64]
    shapes: NDArray[np.uint8]  # index into SHAPES
    details: NDArray[np.uint8]  # numbers: see `number_shape`, + 16 x currency; dates: see `date_shape`
    numbers: NDArray[np.float64]  # the value of a number, a single separator read as the decimal sign; NaN elsewhere
    lengths: NDArray[np.uint32]  # characters
    flags: NDArray[np.uint16]  # bits of FLAGS
    tokens: NDArray[np.uint8]  # 1 + index into NULL_TOKENS, 0 for none


@kernel
def _token_hash(data: Any, a: int, b: int) -> Any:
    """A hash of the cell in lower case (ASCII), for the short words that mean: nothing here."""
    h = s._SEED1
    for i in range(a, b):
        c = data[i]
        if 65 <= c <= 90:
            c += 32
        h = (h ^ np.uint64(c)) * s._P3
    return s.finish(h)


@kernel
def _currency(data: Any, a: int, b: int) -> tuple[int, int, int]:
    """Index into CURRENCIES and the part of data[a:b] without the sign; 0 where there is none."""
    if data[a] == 36:
        return 1, a + 1, b
    if data[b - 1] == 36:
        return 1, a, b - 1
    if data[b - 1] == 37:
        return 5, a, b - 1
    if b - a > 3 and data[a] == 0xE2 and data[a + 1] == 0x82 and data[a + 2] == 0xAC:
        return 2, a + 3, b
    if b - a > 3 and data[b - 3] == 0xE2 and data[b - 2] == 0x82 and data[b - 1] == 0xAC:
        return 2, a, b - 3
    if b - a > 2 and data[a] == 0xC2 and (data[a + 1] == 0xA3 or data[a + 1] == 0xA5):
        return (3 if data[a + 1] == 0xA3 else 4), a + 2, b
    return 0, a, b


@kernel
def _with_currency(data: Any, a: int, b: int) -> tuple[int, int, float]:
    """Shape, detail and value of a number that may carry a currency or percent sign; TEXT where it is something else."""
    currency, x, y = _currency(data, a, b)
    while x < y and data[x] == 32:
        x += 1
    while y > x and data[y - 1] == 32:
        y -= 1
    dots = commas = 0
    for i in range(x, y):
        c = data[i]
        if c == 46:
            dots += 1
        elif c == 44:
            commas += 1
        elif not (48 <= c <= 57 or (i == x and (c == 45 or c == 43))):
            return s.TEXT, 0, np.nan
    if currency == 0 or x == y:
        return s.TEXT, 0, np.nan
    shape, value, detail = s.number_shape(data, x, y, dots, commas)
    if shape == s.LEADING_ZERO or shape > s.GROUPED_POINT:
        return s.TEXT, 0, np.nan
    return shape, detail + 16 * currency, value


@kernel
def _timestamp(data: Any, a: int, b: int) -> int:
    """TIMESTAMP for an ISO date, T or a blank, and a time; TIME for a time alone; else TEXT."""
    if b - a <= 8:
        return s.TIME if b - a >= 4 and 48 <= data[a] <= 57 and (data[a + 1] == 58 or data[a + 2] == 58) else s.TEXT
    if b - a < 16 or (data[a + 10] != 32 and data[a + 10] != 84) or data[a + 13] != 58:
        return s.TEXT
    shape, _ = s.date_shape(data, a, a + 10)
    return s.TIMESTAMP if shape == s.DATE_YMD else s.TEXT


@kernel
def _words(data: Any, a: int, b: int, n: Any) -> int:
    """Shape of a cell that is neither number nor date, from the counts n of its characters (see `_count`)."""
    if n[9] == 1 and n[4] > 0 and n[6] == 0 and n[1] + n[2] > 2:
        return s.EMAIL
    if n[6] == 0 and b - a > 4 and (data[a] | 32) in (104, 119, 102) and n[4] > 0:
        if (data[a] | 32) == 119 and data[a + 1] | 32 == 119 and data[a + 2] | 32 == 119 and data[a + 3] == 46:
            return s.URL
        for i in range(a, min(b - 2, a + 8)):
            if data[i] == 58 and data[i + 1] == 47 and data[i + 2] == 47:
                return s.URL
    letters = n[1] + n[2] + n[11]
    if n[3] > 0 and letters > 0 and n[6] == 0 and n[11] == 0:
        return s.CODE
    if n[3] == 0 and letters > 0 and n[12] == 0 and n[9] == 0 and n[8] == 0:
        return s.WORD
    return s.TEXT


def _classes() -> NDArray[np.uint8]:
    """Byte -> class of character, for `_count`."""
    classes = np.full(256, OTHER, np.uint8)
    classes[:32] = classes[127] = ODD
    for first, last, kind in ((65, 90, 1), (97, 122, 2), (48, 57, 3), (128, 255, 11)):
        classes[first : last + 1] = kind
    for signs, kind in ((".", 4), (",", 5), (" \t", 6), ("-", 7), ("/:", 8), ("@", 9), ("+()'", 10)):
        classes[[ord(sign) for sign in signs]] = kind
    return classes


OTHER, ODD = 12, 0
_CLASSES = _classes()


@kernel
def _count(cell: Any, n: Any) -> bool:
    """Count the characters of a cell by class, without a branch for each: 0 control 1 upper 2 lower 3 digit 4 . 5 , 6 blank 7 - 8 / : 9 @
    10 + ( ) ' 11 beyond ASCII 12 other. Returns whether a blank is a tab or follows another."""
    for k in range(13):
        n[k] = 0
    wide, before = False, np.uint8(0)
    for c in cell:
        n[_CLASSES[c]] += 1
        wide |= ((c == 32) & (before == 32)) | (c == 9)
        before = c
    return wide


@kernel
def _look_short(cell: Any, n: Any) -> tuple[int, int]:
    """The same as `_look` for a short cell, with its characters counted in n."""
    wide = _count(cell, n)
    flags = (
        (s.UPPER if n[1] else 0)
        | (s.LOWER if n[2] else 0)
        | (s.INNER_BLANKS if wide else 0)
        | (s.CONTROL if n[0] or _tabs(cell, wide) else 0)
    )
    if n[11] == 0:
        return flags, len(cell)
    length = 0
    for c in cell:
        length += (c & 0xC0) != 0x80
    return flags | _look_beyond(cell), length


@kernel
def _tabs(cell: Any, wide: bool) -> bool:
    if wide:
        for c in cell:
            if c == 9:
                return True
    return False


@kernel
def _classify(data: Any, a: int, b: int, n: Any) -> tuple[int, int, float]:
    """Shape, detail and value of the trimmed cell data[a:b] of at most 64 bytes, whose characters are counted in n."""
    digits, size = n[3], b - a
    if digits == 0:
        return _words(data, a, b, n), 0, np.nan
    signed = data[a] == 45 or data[a] == 43
    if digits + n[4] + n[5] + (1 if signed else 0) == size:
        shape, value, detail = s.number_shape(data, a, b, n[4], n[5])
        if shape < s.DATE_YMD:
            return shape, detail, value
    if digits + 2 == size and (n[8] == 2 or n[7] == 2 or n[4] == 2):
        shape, detail = s.date_shape(data, a, b)
        return shape, detail, np.nan
    if n[8] > 0 and n[1] <= 3:
        shape = _timestamp(data, a, b)
        if shape != s.TEXT:
            return shape, 0, np.nan
    if n[1] + n[2] == 0:
        shape, detail, value = _with_currency(data, a, b)
        if shape != s.TEXT:
            return shape, detail, value
        if n[11] + n[12] + n[9] == 0:
            return s.DIGITS_AND_SIGNS, 0, np.nan
    return _words(data, a, b, n), 0, np.nan


@kernel
def _look(cell: Any) -> tuple[int, int]:
    """Flags of the bytes of a trimmed cell, and its length in characters; written so that the compiler can vectorise it."""
    high, control, upper, lower, blanks, length = 0, 0, 0, 0, 0, 0
    before = np.uint8(0)
    for c in cell:
        high |= c & 0x80
        control |= (c < 32) | (c == 127)
        upper |= (c >= 65) & (c <= 90)
        lower |= (c >= 97) & (c <= 122)
        blanks |= ((c == 32) & (before == 32)) | (c == 9)
        length += (c & 0xC0) != 0x80
        before = c
    flags = (s.UPPER if upper else 0) | (s.LOWER if lower else 0) | (s.INNER_BLANKS if blanks else 0) | (s.CONTROL if control else 0)
    return flags | (_look_beyond(cell) if high else 0), length


@kernel
def _is_unusual(first: Any, second: Any, c: Any) -> bool:
    """Whether a byte beyond ASCII, after two others, is part of a character that a step may have to change."""
    if c == 0xCC or c == 0xCD or c >= 0xEA or 0xD6 <= c <= 0xE1:
        return True
    if second == 0xC2:
        return bool(c <= 0xA0 or c == 0xAD)
    if first == 0xE2:
        return bool((second == 0x80 and (c < 0x90 or 0xA8 <= c <= 0xAF)) or (second == 0x81 and c >= 0x9F) or second == 0x84)
    return bool(first == 0xE3 and second == 0x80 and c == 0x80)


@kernel
def _look_beyond(cell: Any) -> int:
    """Flags of a cell with characters beyond ASCII, from its UTF-8 bytes.

    Plain are the letters of U+00A1-02FF (lead bytes C2-CB), Greek and Cyrillic (CE-D5), dashes, quotes and signs (E2 80 90 - E2 BF), and
    the ideographs (E3 81 - E9). All else may be unusual: the test is wide, the step that follows is exact.
    """
    unusual = garbled = False
    for i in range(len(cell)):
        c = cell[i]
        if c < 0x80:
            continue
        second = cell[i - 1] if i > 0 else np.uint8(0)
        first = cell[i - 2] if i > 1 else np.uint8(0)
        unusual |= _is_unusual(first, second, c)
        if first == 0xC3 and 0x82 <= second <= 0xB4 and (c == 0xC2 or c == 0xC5 or c == 0xC6 or c == 0xCB or c == 0xE2):
            garbled = True
    return s.NON_ASCII | (s.UNUSUAL if unusual else 0) | (s.GARBLED if garbled else 0)


@kernel
def _squeeze(cell: Any) -> Any:
    """A copy of the cell in which every run of blanks is one blank."""
    out, n = np.empty_like(cell), 0
    for c in cell:
        blank = c == 32 or c == 9
        if not (blank and n > 0 and out[n - 1] == 32):
            out[n] = 32 if blank else c
            n += 1
    return out[:n]


@kernel
def _word(cell: Any, i: int) -> Any:
    """Eight bytes from i on as one little-endian number."""
    return (
        np.uint64(cell[i]) | np.uint64(cell[i + 1]) << np.uint64(8) | np.uint64(cell[i + 2]) << np.uint64(16)
        | np.uint64(cell[i + 3]) << np.uint64(24) | np.uint64(cell[i + 4]) << np.uint64(32) | np.uint64(cell[i + 5]) << np.uint64(40)
        | np.uint64(cell[i + 6]) << np.uint64(48) | np.uint64(cell[i + 7]) << np.uint64(56)
    )  # fmt: skip


@kernel
def hash_bytes(cell: Any) -> tuple[Any, Any]:
    """Two independent 64-bit hashes: multiply and rotate over words of eight bytes, then the MurmurHash3 finalizer."""
    h1, h2, n = s._SEED1, s._SEED2, len(cell)
    for k in range(n // 8):
        word = _word(cell, 8 * k)
        h1 = s.rotate((h1 ^ word) * s._P1, 29)
        h2 = s.rotate((h2 + word) * s._P2, 31) ^ word
    word = np.uint64(0)
    if n >= 8:
        word = _word(cell, n - 8)  # overlaps the word before; the length tells how far
    else:
        for k in range(n):
            word |= np.uint64(cell[k]) << np.uint64(8 * k)
    h1 = s.finish((h1 ^ word) * s._P1 ^ np.uint64(n))
    h2 = s.finish(((h2 + word) * s._P2) + np.uint64(n))
    return h1, h2


@kernel
def _scan_cells(data: Any, sizes: Any, token_hashes: Any, hash1: Any, hash2: Any, shapes: Any, details: Any, numbers: Any, lengths: Any,
                flags: Any, tokens: Any) -> None:  # fmt: skip
    """Fill the arrays of `Cells`; `data` is all cells joined, `sizes` their bytes (0 for null)."""
    n, end = np.zeros(13, np.int64), 0
    for k in range(len(sizes)):
        start, end = end, end + sizes[k]
        a, b = start, end
        while a < b and (data[a] == 32 or (9 <= data[a] <= 13)):
            a += 1
        while b > a and (data[b - 1] == 32 or (9 <= data[b - 1] <= 13)):
            b -= 1
        numbers[k] = np.nan
        edge = s.EDGE_BLANK if b - a < end - start else 0
        if a == b:
            shapes[k], flags[k] = s.MISSING, edge
            hash1[k], hash2[k] = s._SEED1, s._SEED2
            continue
        cell = data[a:b]
        bits, lengths[k] = _look(cell) if b - a > s._LONG else _look_short(cell, n)
        hash1[k], hash2[k] = hash_bytes(_squeeze(cell)) if bits & s.INNER_BLANKS else hash_bytes(cell)
        flags[k] = bits | edge | (s.PLUS_SIGN if data[a] == 43 else 0)
        if b - a > s._LONG:
            shapes[k] = s.TEXT
            continue
        shapes[k], details[k], numbers[k] = _classify(data, a, b, n)
        if b - a <= 13 and n[3] == 0 and _TOKEN_STARTS[data[a]]:
            h = _token_hash(data, a, b)
            for t in range(len(token_hashes)):
                if token_hashes[t] == h:
                    tokens[k] = t + 1


_TOKEN_STARTS = np.zeros(256, np.bool_)
_TOKEN_STARTS[[ord(c) for token in s.NULL_TOKENS for c in (token[0], token[0].upper())]] = True


@cache
def _token_hashes() -> NDArray[np.uint64]:
    encoded = [np.frombuffer(t.encode(), np.uint8) for t in s.NULL_TOKENS]
    return np.array([_token_hash(t, 0, len(t)) for t in encoded], np.uint64)


def scan(column: pl.Series) -> Cells:
    """Look at every cell of a column of any type once; typed columns are seen as the text they are written as."""
    return next(scan_all(column.to_frame()))


def scan_all(frame: pl.DataFrame) -> Iterator[Cells]:
    """The same for every column in turn, with as few calls of Polars as can be: each costs as much as a thousand cells."""
    typed = [pl.col(c).cast(pl.String) for c, dtype in frame.schema.items() if dtype != pl.String]
    text = frame.with_columns(typed) if typed else frame
    sizes = text.select(pl.all().str.len_bytes().fill_null(0))
    for column, size in zip(text.iter_columns(), sizes.iter_columns(), strict=True):
        yield _cells(column, size.to_numpy())


def _cells(text: pl.Series, sizes: NDArray[np.uint32]) -> Cells:
    n = len(text)
    # The bytes of all cells in one array without a copy through a Python str, which takes ten times as long beyond ASCII.
    joined = pl.first().drop_nulls().cast(pl.Binary).cast(pl.List(pl.UInt8)).explode(empty_as_null=False)
    data = text.to_frame().select(joined).to_series().to_numpy() if sizes.any() else _NO_BYTES
    shapes, details, tokens = (np.zeros(n, np.uint8) for _ in range(3))
    hash1, hash2 = np.empty(n, np.uint64), np.empty(n, np.uint64)
    cells = Cells(text, hash1, hash2, shapes, details, np.empty(n), np.zeros(n, np.uint32), np.zeros(n, np.uint16), tokens)
    _scan_cells(data, sizes, _token_hashes(), hash1, hash2, shapes, details, cells.numbers, cells.lengths, cells.flags, tokens)
    return cells


_NO_BYTES = np.zeros(0, np.uint8)


def odd_cells(cells: Cells) -> NDArray[np.uint32]:
    """The places of cells with odd blanks or characters, of null tokens, and of cells that are empty but not null."""
    odd = ((cells.flags & s.ODD) != 0) | (cells.tokens != 0)
    missing = cells.shapes == s.MISSING
    if np.count_nonzero(missing) > cells.text.null_count():
        odd |= missing & cells.text.is_not_null().to_numpy()
    return np.flatnonzero(odd).astype(np.uint32)
