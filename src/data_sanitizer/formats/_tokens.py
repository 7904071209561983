"""The tokens of JSON as compiled code: blanks, strings, numbers and words, by the grammar of RFC 8259.

`NaN` and `Infinity`, which Python writes, count as numbers here; whether they may stand is for the caller to say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel

Bytes = NDArray[np.uint8]

NULL, BOOL, INT, WIDE_INT, HUGE_INT, FLOAT, WIDE_FLOAT, STRING, ESCAPED, ARRAY, OBJECT, KINDS = range(12)  # kinds of values
SOUND, LONE_SURROGATE, NON_FINITE = range(3)  # of a scalar
_EXACT_DIGITS = 15  # decimal digits that a 64-bit float always keeps


@kernel
def space(data: Bytes, i: int, end: int) -> int:
    while i < end and (data[i] == 32 or data[i] == 9 or data[i] == 13 or data[i] == 10):
        i += 1
    return i


@kernel
def _hex(data: Bytes, i: int, end: int) -> int:
    """The number of four hex digits, -1 where they are not."""
    if i + 4 > end:
        return -1
    value = 0
    for j in range(i, i + 4):
        c = int(data[j])
        digit = c - 48 if 48 <= c <= 57 else (c | 32) - 87
        if digit < 0 or digit > 15 or (c > 57 and (c | 32) < 97):
            return -1
        value = value * 16 + digit
    return value


@kernel
def escape(data: Bytes, i: int, end: int) -> tuple[int, int]:
    r"""The escape that begins with the backslash at i: where it ends (0: invalid) and its character, -1 for a lone surrogate."""
    if i + 1 >= end:
        return 0, 0
    c = data[i + 1]
    if c == 117:
        code = _hex(data, i + 2, end)
        if code < 0:
            return 0, 0
        if 0xD800 <= code < 0xDC00 and i + 7 < end and data[i + 6] == 92 and data[i + 7] == 117:
            low = _hex(data, i + 8, end)
            if 0xDC00 <= low < 0xE000:
                return i + 12, 0x10000 + ((code - 0xD800) << 10) + low - 0xDC00
        return i + 6, -1 if 0xD800 <= code < 0xE000 else code
    for short, character in ((34, 34), (92, 92), (47, 47), (98, 8), (102, 12), (110, 10), (114, 13), (116, 9)):
        if c == short:
            return i + 2, character
    return 0, 0


@kernel
def string(data: Bytes, i: int, end: int) -> tuple[int, int, bool]:
    """The string whose content begins at i: the byte after its closing quote (0: invalid), STRING or ESCAPED, any lone surrogate."""
    kind, lone = STRING, False
    while True:
        c = data[i]
        while (c != 34) & (c != 92) & (c >= 32):  # the line end stops it
            i += 1
            c = data[i]
        if c == 34:
            return i + 1, kind, lone
        if c < 32:
            return 0, kind, lone
        kind = ESCAPED
        i, character = escape(data, i, end)
        if i == 0:
            return 0, kind, lone
        lone = lone or character < 0


@kernel
def _word(data: Bytes, i: int, end: int) -> tuple[int, int]:
    """null, true, false, NaN, Infinity, -Infinity: (end, kind), end 0 where it is none of them."""
    for text, kind in ((b"null", NULL), (b"true", BOOL), (b"false", BOOL), (b"NaN", FLOAT), (b"Infinity", FLOAT), (b"-Infinity", FLOAT)):
        size = len(text)
        same = i + size <= end
        for j in range(size):
            same = same and data[i + j] == text[j]
        if same:
            return i + size, kind
    return 0, NULL


@kernel
def _digits(data: Bytes, i: int, end: int) -> int:
    while i < end and 48 <= data[i] <= 57:
        i += 1
    return i


@kernel
def _number(data: Bytes, i: int, end: int) -> tuple[int, int]:
    """The number at i: (end, kind), end 0 where it breaks the grammar."""
    first = i + 1 if data[i] == 45 else i
    j = _digits(data, first, end)
    if j == first or (data[first] == 48 and j > first + 1):
        return 0, INT
    whole, kind = j - first, INT
    if j < end and data[j] == 46:
        k = _digits(data, j + 1, end)
        if k == j + 1:
            return 0, FLOAT
        kind = FLOAT if whole + k - j - 1 <= _EXACT_DIGITS else WIDE_FLOAT
        j = k
    if j < end and (data[j] | 32) == 101:
        k = j + 1
        if k < end and (data[k] == 43 or data[k] == 45):
            k += 1
        j = _digits(data, k, end)
        return (0, FLOAT) if j == k else (j, WIDE_FLOAT)
    if kind == INT:
        kind = _int_kind(data, i, first, j)
    return j, kind


@kernel
def _int_kind(data: Bytes, i: int, first: int, end: int) -> int:
    if end - first <= _EXACT_DIGITS:
        return FLOAT if i < first and data[first] == 48 else INT  # -0 is a float
    if end - first > 19:
        return HUGE_INT
    value = np.uint64(0)
    for j in range(first, end):
        value = value * np.uint64(10) + np.uint64(data[j] - 48)
    return WIDE_INT if value <= np.uint64(9223372036854775807) else HUGE_INT


@kernel
def scalar(data: Bytes, i: int, end: int) -> tuple[int, int, int, int, int]:
    """The string, number or word at i: its end (0: invalid), bytes of its content, kind, and what is odd about it."""
    if data[i] == 34:
        stop, kind, lone = string(data, i + 1, end)
        return stop, i + 1, stop - 1, kind, LONE_SURROGATE if lone else SOUND
    stop, kind = _number(data, i, end) if data[i] == 45 or 48 <= data[i] <= 57 else _word(data, i, end)
    if stop == 0 and data[i] == 45:
        stop, kind = _word(data, i, end)
    return stop, i, stop, kind, NON_FINITE if stop > 0 and kind == FLOAT and (data[stop - 1] | 32) > 57 else SOUND
