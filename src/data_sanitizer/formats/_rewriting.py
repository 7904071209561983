"""Odd records of delimited text written anew, in the plain quoting that any parser reads: comma or what the file has, double quotes."""

from __future__ import annotations

import numpy as np

from data_sanitizer.formats._facts import BLANK, END, FACTS, FIELDS, FORM, KEPT, LINES, OPEN, PLAIN, QUOTED, REWRITE, START
from data_sanitizer.formats._records import CR, DOUBLE, LF, SPACE, TAB, Bytes, Ints, Rules, content_end, escapes, field, first
from data_sanitizer.formats._records import record as next_record
from data_sanitizer.kernels import kernel


@kernel
def _spill_empty(data: Bytes, i: int, n: int, rules: Rules, memo: Ints) -> bool:
    """Whether all fields after the expected number are without content."""
    fields, start, final = 0, i, n >= 0
    while True:
        begin = first(data, start, n, rules)
        end, form = field(data, begin, n, final, rules, memo)
        fields += 1
        if fields > rules.cols and not _is_empty(data, begin, end, form):
            return False
        if data[end] == CR and not rules.cr:
            end += 1
        if data[end] != rules.sep:
            return True
        start = end + 1


@kernel
def _is_empty(data: Bytes, i: int, end: int, form: int) -> bool:
    """Whether a field holds nothing but blanks and line ends, quoted or not."""
    quotes = 2 if form == QUOTED else 0
    for j in range(i, end):
        c = data[j]
        if (c == SPACE) | (c == TAB) | (c == CR) | (c == LF):
            continue
        if quotes == 0:
            return False
        quotes -= 1
    return True


@kernel
def _put_text(data: Bytes, i: int, end: int, form: int, rules: Rules, out: Bytes, at: int) -> int:
    """Writes the field data[i:end] in plain quoting; returns where the output goes on."""
    quote, begin, quoted = rules.quote, i, form != OPEN and data[i] == rules.quote
    closing = last = end if quoted else content_end(data, i, end, rules)
    if quoted:
        closing = end - 1
        while data[closing] != quote:
            closing -= 1
        begin = i + 1
    out[at] = DOUBLE
    at += 1
    j = begin
    while j < last:
        c = data[j]
        if quoted and j == closing:
            j += 1
            continue
        if j + 1 < closing:
            following = data[j + 1]
            if (c == rules.escape and escapes(following, rules)) or (quoted and c == quote and following == quote):
                j += 1
                c = following
        if c == DOUBLE:
            out[at] = DOUBLE
            at += 1
        out[at] = c
        at += 1
        j += 1
    out[at] = DOUBLE
    return at + 1


@kernel
def _put_field(data: Bytes, i: int, end: int, form: int, rules: Rules, out: Bytes, at: int) -> int:
    if form >= REWRITE or (form == QUOTED and rules.quote != DOUBLE):
        return _put_text(data, i, end, form, rules, out, at)
    if form == PLAIN:
        end = content_end(data, i, end, rules)
        if end > i and data[end - 1] == CR:
            return _put_text(data, i, end, OPEN, rules, out, at)
    size = end - i
    out[at : at + size] = data[i:end]
    return at + size


@kernel
def _put_record(data: Bytes, i: int, n: int, text: int, cols: int, rules: Rules, memo: Ints, out: Bytes, at: int) -> int:
    """Writes the first `cols` fields of the record at i, fewer padded with empty ones, and a line end."""
    start, fields, more, final = i, 0, True, n >= 0
    while fields < cols:
        if fields > 0:
            out[at] = rules.sep
            at += 1
        fields += 1
        if not more:
            continue
        begin = first(data, start, n, rules)
        end, form = _text_field(data, begin, n, rules) if begin == text else field(data, begin, n, final, rules, memo)
        at = _put_field(data, begin, end, form, rules, out, at)
        if data[end] == CR and not rules.cr:
            end += 1
        more = data[end] == rules.sep
        start = end + 1
    out[at] = LF
    return at + 1


@kernel
def _text_field(data: Bytes, i: int, n: int, rules: Rules) -> tuple[int, int]:
    """End and form of the field at i, whose opening quote is text."""
    j = i
    while data[j] != rules.sep and data[j] != LF and not (rules.cr and data[j] == CR):
        j += 2 if data[j] == rules.escape and j + 1 < n and escapes(data[j + 1], rules) else 1
    return j, OPEN


@kernel
def _lines(data: Bytes, i: int, end: int, cr: bool) -> int:
    """Physical lines in data[i:end]."""
    lines = 0
    for j in range(i, end):
        if data[j] == LF or (cr and data[j] == CR and (j + 1 >= end or data[j + 1] != LF)):
            lines += 1
    return lines


@kernel
def rewrite(data: Bytes, n: int, rules: Rules, wide: bool, records: Ints, out: Bytes) -> tuple[int, int]:
    """Writes whole records anew so that a plain parser reads them: (bytes written, records and blank lines).

    `records` gets a row each: start, end, fields (BLANK for a blank line), worst form, 1 where the record is kept in the table, physical
    lines. With `wide` every record is kept with all its fields.
    """
    i: int = np.int64(0)  # type: ignore[assignment]  # no literal: one type, so that all is compiled once
    at, count, memo = i, 0, np.zeros(3, np.int64)
    final = n >= 0  # true, but not a literal, for which all below would be compiled once more
    while i < n:
        fields, form, following, text, blank = next_record(data, i, n, final, rules, memo)
        keep = not blank and (wide or fields <= rules.cols or _spill_empty(data, i, n, rules, memo))
        told = records[count]
        told[START], told[END], told[FIELDS], told[FORM] = i, following, BLANK if blank else fields, form
        told[KEPT], told[LINES] = 1 if keep else 0, _lines(data, i, following, rules.cr)
        count += 1
        if keep:
            at = _put_record(data, i, n, text, fields if wide else rules.cols, rules, memo, out, at)
        i = following
    return at, count


def rewritten(data: bytes, rules: Rules, wide: bool) -> tuple[bytes, Ints]:
    """Whole records as a plain parser reads them, and the facts that `rewrite` tells of each record and blank line."""
    source = np.frombuffer(bytearray(data), np.uint8)  # writable, as what `scan` gets: else all kernels would be compiled twice
    most = data.count(b"\n") + (data.count(b"\r") if rules.cr else 0)
    records = np.empty((most, FACTS), np.int64)
    out = np.empty(4 * len(data) + most * (rules.cols + 1) + 2, np.uint8)
    size, count = rewrite(source, len(data), rules, wide, records, out)
    return out[:size].tobytes(), records[:count]
