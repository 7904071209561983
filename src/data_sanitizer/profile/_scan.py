"""The one look at every byte of a column: for each cell its hash, its shape, its number, its length and what is odd about it.

Everything pass 1 counts is derived from these arrays, so that a column is read once whatever is asked of it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from data_sanitizer.kernels import kernel

SHAPES: Final = (
    "missing",  # null, empty or blank
    "integer",  # 0, 42, -7
    "leading_zero",  # 007: never a number
    "long_digits",  # 16 digits and more: never a number
    "decimal_point",  # 3.14
    "decimal_comma",  # 3,14
    "ambiguous_point",  # 1.234: thousands or decimals?
    "ambiguous_comma",  # 1,234
    "grouped_comma",  # 1,234,567 or 1,234.50
    "grouped_point",  # 1.234.567 or 1.234,50
    "date_ymd",  # 2015-03-18
    "date_dmy",  # 18/03/2015: the first number is above 12
    "date_mdy",  # 03/18/2015: the second number is above 12
    "date_ambiguous",  # 03/04/2015
    "timestamp",  # 2015-03-18 12:30:00 and with T, fractions, zone
    "time",  # 12:30, 12:30:00
    "email",
    "url",
    "digits_and_signs",  # +1 555 0100, 555-0100, 12.3.4: telephone-like
    "code",  # letters and digits without blanks: AB-4839
    "word",  # letters, blanks, and the punctuation of names
    "text",
)
(MISSING, INTEGER, LEADING_ZERO, LONG_DIGITS, DECIMAL_POINT, DECIMAL_COMMA, AMBIGUOUS_POINT, AMBIGUOUS_COMMA, GROUPED_COMMA,
 GROUPED_POINT,
 DATE_YMD, DATE_DMY, DATE_MDY, DATE_AMBIGUOUS, TIMESTAMP, TIME, EMAIL, URL, DIGITS_AND_SIGNS, CODE, WORD,
 TEXT) = range(len(SHAPES))  # fmt: skip

# unusual: may hold invisible characters, unusual blanks or letters in parts; garbled: may be UTF-8 read as Windows-1252
FLAGS: Final = ("edge_blank", "inner_blanks", "non_ascii", "control", "upper", "lower", "plus_sign", "unusual", "garbled")
EDGE_BLANK, INNER_BLANKS, NON_ASCII, CONTROL, UPPER, LOWER, PLUS_SIGN, UNUSUAL, GARBLED = (1 << i for i in range(9))
ODD: Final = EDGE_BLANK | INNER_BLANKS | CONTROL | UNUSUAL | GARBLED

CURRENCIES: Final = ("", "$", "€", "£", "¥", "%")  # the unit of a number; mixing them in one column forbids conversion

NULL_TOKENS: Final = (
    "n/a", "na", "#n/a", "#na", "n.a.", "nan", "null", "(null)", "<null>", "<na>", "#null!", "none", "nil", "-", "--", "---", "?", "??",
    "unknown", "missing", "not available", "empty", "nat", "\\n", "undefined", "tbd", ".",
)  # fmt: skip

_P1, _P2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_P3, _P4 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SEED1, _SEED2 = np.uint64(0x27220A95FE5D7A3B), np.uint64(0x8EBC6AF09C88C6E3)
_POWERS = 10.0 ** np.arange(23)
_LONG = 64  # a longer cell is text: only its hash, its blanks and its alphabet matter


@kernel
def rotate(x: Any, n: Any) -> Any:
    """Rotate 64 bits to the left."""
    return (x << np.uint64(n)) | (x >> np.uint64(64 - n))


@kernel
def finish(x: Any) -> Any:
    """The 64-bit finalizer of MurmurHash3 (A. Appleby): every input bit reaches every output bit."""
    x = (x ^ (x >> np.uint64(33))) * _P3
    x = (x ^ (x >> np.uint64(33))) * _P4
    return x ^ (x >> np.uint64(33))


@kernel
def _digits_value(data: Any, a: int, b: int) -> Any:
    """The digits of data[a:b] as one number, other bytes skipped; exact up to 15 digits."""
    value = 0.0
    for i in range(a, b):
        if 48 <= data[i] <= 57:
            value = value * 10.0 + (data[i] - 48)
    return value


@kernel
def _grouped(data: Any, a: int, b: int, group: int, decimal: int) -> bool:
    """True for 1-3 digits, then (group + 3 digits) once or more, then at most one decimal sign with digits."""
    run, groups, i = 0, 0, a
    while i < b and data[i] != decimal:
        if data[i] == group:
            if run == 0 or run > 3 or (groups > 0 and run != 3):
                return False
            run, groups = 0, groups + 1
        else:
            run += 1
        i += 1
    if groups == 0 or run != 3:
        return False
    for j in range(i + 1, b):
        if data[j] == group or data[j] == decimal:
            return False
    return i == b or i + 1 < b


@kernel
def number_shape(data: Any, a: int, b: int, dots: int, commas: int) -> tuple[int, float, int]:
    """Shape, value and detail of data[a:b], which holds only digits, dots and commas after an optional sign. Detail: decimals, 7 for 7 and
    more, + 8 if the last decimal is a zero."""
    s = a + 1 if data[a] == 45 or data[a] == 43 else a
    if s == b:
        return TEXT, np.nan, 0
    sign = -1.0 if data[a] == 45 else 1.0
    digits = b - s - dots - commas
    if digits == 0:
        return TEXT, np.nan, 0
    if dots + commas == 0:
        if data[s] == 48 and digits > 1:
            return LEADING_ZERO, np.nan, 0
        if digits >= 16:
            return LONG_DIGITS, np.nan, 0
        return INTEGER, sign * _digits_value(data, s, b), 0
    p = b - 1
    while data[p] != 46 and data[p] != 44:
        p -= 1
    decimals, before = b - p - 1, p - s
    if decimals == 0 or before == 0 or digits > 15:
        return CODE, np.nan, 0
    if data[s] == 48 and before > 1:
        return LEADING_ZERO, np.nan, 0
    value = sign * _digits_value(data, s, b)
    point = data[p] == 46
    detail = min(decimals, 7) + (8 if data[b - 1] == 48 else 0)
    if dots + commas == 1:
        scaled = value / _POWERS[decimals]
        if decimals == 3 and before <= 3 and data[s] != 48:
            return (AMBIGUOUS_POINT if point else AMBIGUOUS_COMMA), scaled, detail
        return (DECIMAL_POINT if point else DECIMAL_COMMA), scaled, detail
    if _grouped(data, s, b, 44, 46):
        return GROUPED_COMMA, value / _POWERS[decimals if point else 0], detail if point else 0
    if _grouped(data, s, b, 46, 44):
        return GROUPED_POINT, value / _POWERS[0 if point else decimals], 0 if point else detail
    return DIGITS_AND_SIGNS, np.nan, 0


@kernel
def _days(year: int, month: int) -> int:
    if month == 2:
        return 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
    return 30 if month in (4, 6, 9, 11) else 31


@kernel
def _order(x: int, y: int, year: int) -> int:
    """Which of day and month comes first in x/y/year."""
    dmy = 1 <= y <= 12 and 1 <= x <= _days(year, y)
    mdy = 1 <= x <= 12 and 1 <= y <= _days(year, x)
    if dmy and mdy:
        return DATE_AMBIGUOUS
    if dmy:
        return DATE_DMY
    return DATE_MDY if mdy else DIGITS_AND_SIGNS


@kernel
def date_shape(data: Any, a: int, b: int) -> tuple[int, int]:
    """Shape and detail of three groups of digits parted by one sign. Detail: sign (/ 0, - 1, . 2) + 3 if the year has two digits + 6 if a
    day or month stands without its zero + 12 if one stands with it."""
    first, second = -1, -1
    for i in range(a, b):
        if data[i] < 48 or data[i] > 57:
            if first < 0:
                first = i
            elif second < 0:
                second = i
            else:
                return DIGITS_AND_SIGNS, 0
    if second < 0 or data[first] != data[second] or (data[first] != 47 and data[first] != 45 and data[first] != 46):
        return DIGITS_AND_SIGNS, 0
    n1, n2, n3 = first - a, second - first - 1, b - second - 1
    x, y, z = int(_digits_value(data, a, first)), int(_digits_value(data, first + 1, second)), int(_digits_value(data, second + 1, b))
    detail = 0 if data[first] == 47 else (1 if data[first] == 45 else 2)
    if n1 == 4 and 1 <= n2 <= 2 and 1 <= n3 <= 2 and 1000 <= x <= 2999 and 1 <= y <= 12 and 1 <= z <= _days(x, y):
        padded = (n2 == 2 and y < 10) or (n3 == 2 and z < 10)
        return DATE_YMD, detail + (6 if n2 == 1 or n3 == 1 else 0) + (12 if padded else 0)
    if 1 <= n1 <= 2 and 1 <= n2 <= 2 and ((n3 == 4 and 1000 <= z <= 2999) or n3 == 2):
        year = z if n3 == 4 else 2000 + z
        padded = (n1 == 2 and x < 10) or (n2 == 2 and y < 10)
        return _order(x, y, year), detail + (3 if n3 == 2 else 0) + (6 if n1 == 1 or n2 == 1 else 0) + (12 if padded else 0)
    return DIGITS_AND_SIGNS, 0
