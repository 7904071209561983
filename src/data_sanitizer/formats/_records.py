"""The records and fields of delimited text, exactly: compiled scanners that find where records and fields end.

A quote opens a field only as the field's first byte (after blanks, where the dialect has them). It closes where a delimiter or a line end
follows (blanks may stand between); any other quote inside is text, and so is an opening quote that nothing closes within FIELD_LIMIT bytes:
such a file goes on at the next line. A record with a stray quote and the wrong number of fields is read a second time with its first such
opening quote as text, and so it stays where it then fits. What a record is depends on its own bytes alone, so any block size gives the
same records.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.formats._facts import MORE, OPEN, PLAIN, QUOTED, REWRITE, STRAY
from data_sanitizer.kernels import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

FIELD_LIMIT = 4 << 20  # bytes: a quoted field longer than this is taken for a quote that was never closed
TAB, LF, CR, SPACE, DOUBLE = 9, 10, 13, 32, 34
NO_QUOTE = 256  # as the quote: no byte is one


class Rules(NamedTuple):
    """The dialect as the scanners need it: bytes as numbers; `escape` -1 where there is none, `cr` where a lone CR ends a record, `blanks`
    where those before a field belong to its delimiter, `cols` 0 where the number of fields is not known yet."""

    sep: int
    quote: int
    escape: int
    cr: bool
    blanks: bool
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
    form, j = PLAIN, i
    sep, quote, cr, escape = rules.sep, rules.quote, rules.cr, rules.escape
    while j < n:
        c = data[j]
        if (c == sep) | (c == LF) | (cr & (c == CR)):
            if c == sep and j > i and data[j - 1] == CR:  # the plain parser would drop this CR
                form = REWRITE
            return j, form
        if (c == quote) | (c == DOUBLE):
            form = REWRITE
        elif c == escape and j + 1 < n and escapes(data[j + 1], rules):
            form = REWRITE
            j += 1
        j += 1
    return n, MORE


@kernel
def escapes(c: int, rules: Rules) -> bool:
    """Whether the sign for escaping takes the meaning from this byte; before any other byte it is text."""
    return (c == rules.quote) | (c == rules.escape) | (c == rules.sep)


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
        elif c == escape and j + 1 < n and escapes(data[j + 1], rules):
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
def first(data: Bytes, i: int, n: int, rules: Rules) -> int:
    """Where the field at i begins: after the blanks, where they belong to the delimiter."""
    if rules.blanks:
        while i < n and data[i] == SPACE:
            i += 1
    return i


@kernel
def field(data: Bytes, i: int, n: int, final: bool, rules: Rules, memo: Ints) -> tuple[int, int]:
    """End and form of the field at i, which `first` gave."""
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
def _fields(data: Bytes, i: int, n: int, final: bool, rules: Rules, memo: Ints, text: int) -> tuple[int, int, int, int, bool]:
    """The record at i: number of fields, worst form, start of the next record (0: not all here yet), the first field with a stray quote
    (-1: none), whether there is any content. The quote that opens the field at `text` is taken for text."""
    stray: int = np.int64(-1)  # type: ignore[assignment]  # no literal: one type, so that all is compiled once
    fields, worst, start, content = 0, PLAIN, i, False
    while True:
        begin = first(data, start, n, rules)
        end, form = _plain(data, begin, n, rules) if begin == text else field(data, begin, n, final, rules, memo)
        if form == MORE:
            return fields, worst, 0, stray, content
        if begin == text:
            form = OPEN
        fields += 1
        worst = max(worst, form)
        stray = begin if form == STRAY and stray < 0 else stray
        content = content or content_end(data, begin, end, rules) > begin
        if data[end] == CR and not rules.cr:  # a quoted field before CR LF
            end += 1
        if data[end] != rules.sep:
            return fields, worst, _next_line(data, end, n, final), stray, content
        start = end + 1


@kernel
def record(data: Bytes, i: int, n: int, final: bool, rules: Rules, memo: Ints) -> tuple[int, int, int, int, bool]:
    """The record at i: number of fields, worst form of a field, start of the next record (0: not all here yet), the field whose opening
    quote is text (-1: none), whether it is no record but blank."""
    none: int = np.int64(-1)  # type: ignore[assignment]  # not a literal, for which all below would be compiled once more
    fields, form, following, stray, content = _fields(data, i, n, final, rules, memo, none)
    if following == 0:
        return fields, form, 0, none, False
    if form == STRAY and rules.cols > 1 and fields != rules.cols:
        again, odd, other, _, _ = _fields(data, i, n, final, rules, memo, stray)
        if other == 0 and not final:
            return fields, form, 0, none, False
        if again == rules.cols and other == following:
            return again, odd, other, stray, False
    if rules.cols == 1:
        return fields, form, following, none, False
    return fields, form, following, none, (fields != rules.cols and not content) or (fields == 1 and _blank(data, i, following, rules))


@kernel
def content_end(data: Bytes, i: int, end: int, rules: Rules) -> int:
    """End of the text of an unquoted field: without the CR of CR LF."""
    return end - 1 if end > i and data[end - 1] == CR and data[end] == LF and not rules.cr else end


@kernel
def _blank(data: Bytes, start: int, stop: int, rules: Rules) -> bool:
    for j in range(start, stop):
        c = data[j]
        if not ((c == SPACE) | (c == LF) | (c == CR) | (c == TAB)):
            return False
    return True


@kernel
def glance(data: Bytes, n: int, sep: int, quote: int, final: bool) -> tuple[int, int, int]:
    """Where the last whole record of data[:n] ends, the records and the delimiters up to there, quotes respected; three times as fast as
    `scan`. No records where a quote stands that neither opens nor closes a field nor is doubled: then only `scan` can tell."""
    i, opened, end, lines, seps, seen = 0, 0, 0, 0, 0, 0
    while i < n:
        c = data[i]
        if c != quote:
            if c == sep:
                seen += 1
            elif c == LF:
                end, lines, seps = i + 1, lines + 1, seen
            i += 1
            continue
        before = data[i - 1] if i > 0 else LF
        if before != sep and before != LF and before != quote:
            return 0, 0, 0
        opened = opened if before == quote else i
        i += 1
        while i < n and data[i] != quote:  # the text of a quoted field: nothing in it counts
            i += 1
        if i < n and (not _closes(data, i, n, sep, quote) or i - opened > FIELD_LIMIT):
            return 0, 0, 0
        i += 1
    if final and end < n:
        return 0, 0, 0
    return end, lines, seps


@kernel
def _closes(data: Bytes, i: int, n: int, sep: int, quote: int) -> bool:
    """Whether what follows the quote at i is the end of its field, or a second quote."""
    following = data[i + 1] if i + 1 < n else LF
    if following == CR and i + 2 < n:
        following = LF if data[i + 2] == LF else 0  # a lone CR ends nothing
    return bool(following in (sep, LF, CR, quote))


@kernel
def scan(data: Bytes, n: int, final: bool, rules: Rules, most: int) -> tuple[int, int, bool]:
    """Whole records at the start of data[:n], at most `most`: where they end, how many, and whether a plain parser reads them rightly.

    With `final` the data ends with a line end and nothing follows.
    """
    i: int = np.int64(0)  # type: ignore[assignment]  # no literal: one type, so that all is compiled once
    records, regular, memo = 0, not (rules.cr or rules.blanks), np.zeros(3, np.int64)
    while i < n and records < most:
        fields, form, following, _, blank = record(data, i, n, final, rules, memo)
        if following == 0:
            break
        if blank:
            regular = False
        else:
            records += 1
            regular = regular and fields == rules.cols and form <= QUOTED
        i = following
    return i, records, regular
