"""The records and fields of delimited text, exactly: compiled scanners that find record ends and write odd records anew in plain quoting.

A quote opens a field only as the field's first byte. It closes where a delimiter or a line end follows (blanks may stand between); any
other quote inside is text, and so is an opening quote that nothing closes within FIELD_LIMIT bytes: such a file goes on at the next line.
What a record is depends on its own bytes alone, so any block size gives the same records.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

FIELD_LIMIT = 4 << 20  # bytes: a quoted field longer than this is taken for a quote that was never closed
TAB, LF, CR, SPACE = 9, 10, 13, 32
PLAIN, QUOTED, REWRITE, STRAY, OPEN, MORE = 0, 1, 2, 3, 4, 9  # forms of a field, from harmless to odd; MORE: its end is not in the data yet


class Rules(NamedTuple):
    """The dialect as the scanners need it: bytes as numbers; `escape` 0 where there is none, `cr` where a lone CR ends a record."""

    sep: int
    quote: int
    escape: int
    cr: bool
    cols: int
    limit: int


@kernel
def _ends(data: Bytes, i: int, n: int, rules: Rules) -> int:
    """1 where a field may end at i (delimiter or line end), 0 where not, MORE where the next byte must be seen."""
    c = data[i]
    if c == rules.sep or c == LF or (rules.cr and c == CR):
        return 1
    if c != CR:
        return 0
    if i + 1 >= n:
        return MORE
    return 1 if data[i + 1] == LF else 0


@kernel
def _plain(data: Bytes, i: int, n: int, rules: Rules) -> tuple[int, int]:
    form = PLAIN
    sep, quote, cr = rules.sep, rules.quote, rules.cr
    for j in range(i, n):
        c = data[j]
        if (c == sep) | (c == LF) | (cr & (c == CR)):
            if c == sep and j > i and data[j - 1] == CR:  # the plain parser would drop this CR
                form = REWRITE
            return j, form
        if c == quote:
            form = REWRITE
    return n, MORE


@kernel
def _inner_quote(data: Bytes, j: int, n: int, rules: Rules) -> tuple[int, int]:
    """What the quote at j within a quoted field is: (end, form) where it closes, (0, STRAY) where it is text, (0, MORE)."""
    k = j + 1
    while k < n and data[k] == SPACE and rules.sep != SPACE:
        k += 1
    if k >= n:
        return 0, MORE
    ends = _ends(data, k, n, rules)
    if ends == 1:
        return k, QUOTED if k == j + 1 else REWRITE
    return 0, STRAY if ends == 0 else MORE


@kernel
def _closing(data: Bytes, i: int, n: int, rules: Rules, memo: Ints) -> tuple[int, int, bool]:
    """Where the quoted field at i ends and its form: MORE at the end of the data, OPEN where nothing closes it; True: `memo` was used.

    `memo` (origin, dead, last line end): a search from origin met no closing quote before dead. A later search that is in the same
    state at some byte after origin need not look again, which keeps a file full of unclosed quotes linear.
    """
    form, lines, last, j, jumped = QUOTED, False, 0, i + 1, False
    quote, escape, origin, dead, stop = rules.quote, rules.escape, memo[0], memo[1], min(n, i + rules.limit + 1)
    while True:
        while j < stop and (data[j] > CR) & (data[j] != quote) & (data[j] != escape):
            j += 1
        if origin < j - 1 and j < dead and data[j - 1] != quote and data[j - 1] != escape:
            lines, jumped, last, j = lines or memo[2] >= j, True, max(last, memo[2]), min(dead, stop)
        if j >= stop:
            break
        c = data[j]
        if c == quote:
            if j + 1 < n and data[j + 1] == quote:
                j += 2
                continue
            end, kind = _inner_quote(data, j, n, rules)
            if kind != STRAY:
                return end, max(form, kind), jumped
            form = STRAY
            if lines and (data[j - 1] == rules.sep or data[j - 1] == LF or data[j - 1] == CR):
                break
        elif escape != 0 and c == escape and j + 1 < n and (data[j + 1] == quote or data[j + 1] == escape):
            form = max(form, REWRITE)
            j += 1
        elif (c == LF) | (c == CR):
            lines, last = True, j
        j += 1
    if j > dead:
        memo[0], memo[1], memo[2] = i, j, last
    return n, MORE if j >= n and j - i <= rules.limit else OPEN, jumped


@kernel
def _quoted(data: Bytes, i: int, n: int, final: bool, rules: Rules, memo: Ints) -> tuple[int, int]:
    """End and form of the field whose quote opens at i; an opening quote that is never closed is text."""
    end, form, jumped = _closing(data, i, n, rules, memo)
    if jumped and form < OPEN:
        end, form, jumped = _closing(data, i, n, rules, np.zeros(3, np.int64))
    if form < OPEN or (form == MORE and not final):
        return end, form
    end, form = _plain(data, i, n, rules)
    return end, OPEN if form != MORE else MORE


@kernel
def _field(data: Bytes, i: int, n: int, final: bool, rules: Rules, memo: Ints) -> tuple[int, int]:
    if i < n and data[i] == rules.quote:
        return _quoted(data, i, n, final, rules, memo)
    return _plain(data, i, n, rules)


@kernel
def _next_line(data: Bytes, end: int, n: int, final: bool) -> int:
    """Where the record after the line end at `end` starts; 0 where that cannot be known yet."""
    if data[end] == CR:
        if end + 1 >= n:
            return n if final else 0
        return end + 2 if data[end + 1] == LF else end + 1
    return end + 1


@kernel
def _record(data: Bytes, i: int, n: int, final: bool, rules: Rules, memo: Ints) -> tuple[int, int, int]:
    """The record at i: number of fields, worst form of a field, start of the next record (0: not all here yet)."""
    fields, worst, start = 0, PLAIN, i
    while True:
        end, form = _field(data, start, n, final, rules, memo)
        if form == MORE:
            return fields, worst, 0
        fields += 1
        worst = max(worst, form)
        if data[end] == CR and not rules.cr:  # a quoted field before CR LF
            end += 1
        if data[end] != rules.sep:
            return fields, worst, _next_line(data, end, n, final)
        start = end + 1


@kernel
def _blank(data: Bytes, start: int, stop: int, rules: Rules) -> bool:
    if rules.cols == 1:
        return False
    for j in range(start, stop):
        c = data[j]
        if c == rules.sep or not ((c == SPACE) | (c == LF) | (c == CR) | (c == TAB)):
            return False
    return True


@kernel
def glance(data: Bytes, n: int, sep: int, final: bool) -> tuple[int, int, int]:
    """Where the last whole record of data[:n] ends, the records and the delimiters up to there, quotes respected; three times as fast as
    `scan`. No records where a quote stands that neither opens nor closes a field nor is doubled: then only `scan` can tell."""
    i, opened, end, lines, seps, seen = 0, 0, 0, 0, 0, 0
    while i < n:
        c = data[i]
        if c != 34:
            if c == sep:
                seen += 1
            elif c == LF:
                end, lines, seps = i + 1, lines + 1, seen
            i += 1
            continue
        before = data[i - 1] if i > 0 else LF
        if before != sep and before != LF and before != 34:
            return 0, 0, 0
        opened = opened if before == 34 else i
        i += 1
        while i < n and data[i] != 34:  # the text of a quoted field: nothing in it counts
            i += 1
        if i < n and (not _closes(data, i, n, sep) or i - opened > FIELD_LIMIT):
            return 0, 0, 0
        i += 1
    if final and end < n:
        return 0, 0, 0
    return end, lines, seps


@kernel
def _closes(data: Bytes, i: int, n: int, sep: int) -> bool:
    """Whether what follows the quote at i is the end of its field, or a second quote."""
    following = data[i + 1] if i + 1 < n else LF
    if following == CR and i + 2 < n:
        following = LF if data[i + 2] == LF else 0  # a lone CR ends nothing
    return bool(following in (sep, LF, CR, 34))


@kernel
def scan(data: Bytes, n: int, final: bool, rules: Rules, most: int) -> tuple[int, int, bool]:
    """Whole records at the start of data[:n], at most `most`: where they end, how many, and whether a plain parser reads them rightly.

    With `final` the data ends with a line end and nothing follows.
    """
    i, records, regular, memo = 0, 0, not rules.cr, np.zeros(3, np.int64)
    while i < n and records < most:
        fields, form, following = _record(data, i, n, final, rules, memo)
        if following == 0:
            break
        if fields == 1 and _blank(data, i, following, rules):
            regular = False
        else:
            records += 1
            regular = regular and fields == rules.cols and form <= QUOTED
        i = following
    return i, records, regular


@kernel
def _content_end(data: Bytes, i: int, end: int, rules: Rules) -> int:
    """End of the text of an unquoted field: without the CR of CR LF."""
    return end - 1 if end > i and data[end - 1] == CR and data[end] == LF and not rules.cr else end


@kernel
def _spill_empty(data: Bytes, i: int, n: int, rules: Rules, memo: Ints) -> bool:
    """Whether all fields after the expected number are empty."""
    fields, start = 0, i
    while True:
        end, form = _field(data, start, n, True, rules, memo)
        fields += 1
        empty = 2 if form == QUOTED else 0
        if fields > rules.cols and _content_end(data, start, end, rules) > start + empty:
            return False
        if data[end] == CR and not rules.cr:
            end += 1
        if data[end] != rules.sep:
            return True
        start = end + 1


@kernel
def _put_text(data: Bytes, i: int, end: int, form: int, rules: Rules, out: Bytes, at: int) -> int:
    """Writes the field data[i:end] in plain quoting; returns where the output goes on."""
    quote, first, last = rules.quote, i, end
    if (form == REWRITE and data[i] != quote) or form == OPEN:
        last = _content_end(data, i, end, rules)
    closing = -1
    if form in (REWRITE, STRAY) and data[i] == quote:
        closing = end - 1
        while data[closing] != quote:
            closing -= 1
        first = i + 1
    out[at] = quote
    at += 1
    j = first
    while j < last:
        c = data[j]
        if j == closing:
            j += 1
            continue
        if j + 1 < closing:
            following = data[j + 1]
            escapes = rules.escape != 0 and c == rules.escape and ((following == quote) | (following == c))
            if escapes or (c == quote and following == quote):
                j += 1
                c = following
        if c == quote:
            out[at] = quote
            at += 1
        out[at] = c
        at += 1
        j += 1
    out[at] = quote
    return at + 1


@kernel
def _put_field(data: Bytes, i: int, end: int, form: int, rules: Rules, out: Bytes, at: int) -> int:
    if form >= REWRITE:
        return _put_text(data, i, end, form, rules, out, at)
    if form == PLAIN:
        end = _content_end(data, i, end, rules)
        if end > i and data[end - 1] == CR:
            return _put_text(data, i, end, OPEN, rules, out, at)
    size = end - i
    out[at : at + size] = data[i:end]
    return at + size


@kernel
def _put_record(data: Bytes, i: int, n: int, rules: Rules, memo: Ints, out: Bytes, at: int) -> int:
    """Writes the first `cols` fields of the record at i, fewer padded with empty ones, and a line end."""
    start, fields, more = i, 0, True
    while fields < rules.cols:
        if fields > 0:
            out[at] = rules.sep
            at += 1
        fields += 1
        if not more:
            continue
        end, form = _field(data, start, n, True, rules, memo)
        at = _put_field(data, start, end, form, rules, out, at)
        if data[end] == CR and not rules.cr:
            end += 1
        more = data[end] == rules.sep
        start = end + 1
    out[at] = LF
    return at + 1


@kernel
def rewrite(data: Bytes, n: int, rules: Rules, records: Ints, out: Bytes) -> tuple[int, int, int]:
    """Writes whole records anew so that a plain parser reads them: (bytes written, records, blank lines left out).

    `records` gets a row each: start, end, fields, worst form, and 1 where the record is kept in the table.
    """
    i, at, count, blanks, memo = 0, 0, 0, 0, np.zeros(3, np.int64)
    while i < n:
        fields, form, following = _record(data, i, n, True, rules, memo)
        if fields == 1 and _blank(data, i, following, rules):
            blanks += 1
        else:
            keep = fields <= rules.cols or _spill_empty(data, i, n, rules, memo)
            record = records[count]
            record[0], record[1], record[2], record[3], record[4] = i, following, fields, form, 1 if keep else 0
            count += 1
            if keep:
                at = _put_record(data, i, n, rules, memo, out, at)
        i = following
    return at, count, blanks
