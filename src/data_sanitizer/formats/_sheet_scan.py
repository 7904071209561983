"""A look at the parts of a workbook before anything is built: compiled scanners that count cells and measure how far apart they lie.

A reader of workbooks makes room for the whole box around the filled cells, so two cells in opposite corners of a sheet of some hundred
bytes ask for half a terabyte. The scanners see the same tags and records as the reader does, in pieces, and keep nothing but counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

FILLED, TOP, BOTTOM, LEFT, RIGHT, HIDDEN_ROWS, ERRORS, CELLS, FACTS = range(9)  # what is counted of a sheet
SHEETS = 1024  # sheets in one part (OpenDocument has all in one); what is beyond counts with the last
SPANS = 64  # ranges of hidden columns that are remembered
_SKIP, _ROW, _COLUMN, _OPEN, _HIDDEN, _SHEET, _REPEAT, _LAST, _IN_ROW, _DATA, _SPAN, STATE = range(12)  # state between two pieces
_MOST = 1 << 40
_COMMENT, _CDATA = 1, 2


def fresh() -> tuple[Ints, Ints, Ints]:
    """State, counts of each sheet, and ranges of hidden columns before the first piece."""
    state, facts = np.zeros(STATE, np.int64), np.zeros((SHEETS, FACTS), np.int64)
    state[_SHEET], state[_ROW], state[_COLUMN] = -1, -1, -1
    facts[:, TOP] = facts[:, LEFT] = _MOST
    facts[:, BOTTOM] = facts[:, RIGHT] = -1
    return state, facts, np.full((SPANS, 2), -1, np.int64)


@kernel
def _starts(data: Bytes, i: int, n: int, word: Bytes) -> bool:
    if i + len(word) > n:
        return False
    for j in range(len(word)):  # noqa: SIM110  compiled code has no generators
        if data[i + j] != word[j]:
            return False
    return True


@kernel
def _is(data: Bytes, start: int, end: int, word: Bytes) -> bool:
    """Whether data[start:end], without its namespace prefix, is the word."""
    for j in range(start, end):
        if data[j] == 58:
            start = j + 1
    return end - start == len(word) and _starts(data, start, end, word)


@kernel
def _attribute(data: Bytes, i: int, end: int, word: Bytes) -> tuple[int, int]:
    """Where the value of an attribute stands in the tag data[i:end]; (0, 0) where it is absent. `i` is behind the tag's name."""
    while i < end:
        while i < end and (data[i] <= 32 or data[i] == 47):
            i += 1
        start = i
        while i < end and data[i] != 61 and data[i] > 32:
            i += 1
        stop = i
        while i < end and data[i] != 34 and data[i] != 39:
            i += 1
        if i >= end:
            return 0, 0
        quote, first = data[i], i + 1
        i = first
        while i < end and data[i] != quote:
            i += 1
        if _is(data, start, stop, word):
            return first, i
        i += 1
    return 0, 0


@kernel
def _number(data: Bytes, i: int, end: int, otherwise: int) -> int:
    value = 0
    if i >= end:
        return otherwise
    for j in range(i, end):
        if 48 <= data[j] <= 57:
            value = min(value * 10 + int(data[j]) - 48, _MOST)
    return value


@kernel
def _fill(facts: Ints, row: int, column: int, rows: int, columns: int) -> None:
    """Counts rows x columns filled cells whose first is at (row, column)."""
    facts[FILLED] = min(facts[FILLED] + rows * columns, _MOST)
    facts[TOP], facts[BOTTOM] = min(facts[TOP], row), max(facts[BOTTOM], row + rows - 1)
    facts[LEFT], facts[RIGHT] = min(facts[LEFT], column), max(facts[RIGHT], column + columns - 1)


@kernel
def _excel_cell(data: Bytes, i: int, end: int, state: Ints, facts: Ints, words: Any) -> None:
    """A `<c>`: its place, by its reference or as the next in the row; it is filled when a tag with content follows."""
    state[_COLUMN] += 1
    start, stop = _attribute(data, i, end, words[0])
    if stop > start:
        column, j = 0, start
        while j < stop and 65 <= (data[j] & 0xDF) <= 90:
            column = min(column * 26 + int(data[j] & 0xDF) - 64, _MOST)
            j += 1
        if j > start:
            state[_COLUMN] = column - 1
        if j < stop:
            state[_ROW] = _number(data, j, stop, 1) - 1
    start, stop = _attribute(data, i, end, words[1])
    facts[ERRORS] += stop - start == 1 and data[start] == 101
    facts[CELLS] += 1
    state[_OPEN] = 1


@kernel
def _hides(data: Bytes, i: int, end: int, words: Any) -> bool:
    start, stop = _attribute(data, i, end, words[2])
    if stop > start:
        return bool(data[start] == 49 or data[start] == 116)
    start, stop = _attribute(data, i, end, words[3])
    return bool(stop > start and (data[start] == 99 or data[start] == 102))  # visibility: collapse, filter


@kernel
def _excel_tag(data: Bytes, i: int, name_end: int, end: int, state: Ints, facts: Ints, spans: Ints, words: Any) -> None:
    if _is(data, i, name_end, words[4]):  # c
        _excel_cell(data, name_end, end, state, facts, words)
    elif _is(data, i, name_end, words[5]):  # row
        start, stop = _attribute(data, name_end, end, words[0])
        state[_ROW] = _number(data, start, stop, state[_ROW] + 2) - 1
        state[_COLUMN], state[_OPEN], state[_HIDDEN] = -1, 0, _hides(data, name_end, end, words)
    elif state[_OPEN] and (_is(data, i, name_end, words[6]) or _is(data, i, name_end, words[7]) or _is(data, i, name_end, words[8])):
        facts[HIDDEN_ROWS] += state[_HIDDEN]
        state[_OPEN], state[_HIDDEN] = 0, 0
        _fill(facts, state[_ROW], state[_COLUMN], 1, 1)
    elif _is(data, i, name_end, words[9]) and _hides(data, name_end, end, words) and state[_SPAN] < SPANS:  # col
        first, first_end = _attribute(data, name_end, end, words[10])
        last, last_end = _attribute(data, name_end, end, words[11])
        spans[state[_SPAN]] = _number(data, first, first_end, 1) - 1, _number(data, last, last_end, 1) - 1
        state[_SPAN] += 1


@kernel
def _open_tag(data: Bytes, i: int, name_end: int, end: int, state: Ints, facts: Ints, words: Any) -> None:
    """A tag of an OpenDocument sheet: cells and rows stand for as many as their attributes say."""
    if _is(data, i, name_end, words[12]):  # table
        state[_SHEET] = min(state[_SHEET] + 1, SHEETS - 1)
        state[_ROW] = -1
    elif _is(data, i, name_end, words[13]):  # table-row
        start, stop = _attribute(data, name_end, end, words[14])
        state[_ROW] += max(state[_REPEAT], 1)
        state[_REPEAT], state[_COLUMN] = _number(data, start, stop, 1), 0
        state[_HIDDEN] = _hides(data, name_end, end, words)
    elif _is(data, i, name_end, words[15]) or _is(data, i, name_end, words[16]):  # table-cell, covered-table-cell
        start, stop = _attribute(data, name_end, end, words[17])
        count = max(_number(data, start, stop, 1), 1)
        start, stop = _attribute(data, name_end, end, words[18])
        if stop > start or (data[end - 1] != 47 and data[name_end] != 47):
            facts[HIDDEN_ROWS] += state[_HIDDEN]
            state[_HIDDEN] = 0
            _fill(facts, max(state[_ROW], 0), state[_COLUMN], max(state[_REPEAT], 1), count)
        state[_COLUMN] = min(state[_COLUMN] + count, _MOST)


@kernel
def _xml(data: Bytes, n: int, final: bool, sheet: bool, state: Ints, facts: Ints, spans: Ints, words: Any) -> int:
    """Scans data[:n] and returns how much of it is done with: a tag that does not end in it is left for the next piece."""
    i = 0
    while i < n:
        if state[_SKIP]:
            end = words[19] if state[_SKIP] == _COMMENT else words[20]
            while i < n and not _starts(data, i, n, end):
                i += 1
            if i >= n:
                return n if final else max(n - 2, 0)
            state[_SKIP] = 0
        while i < n and data[i] != 60:
            i += 1
        if i >= n or (n - i < 9 and not final):
            return i
        if _starts(data, i, n, words[21]) or _starts(data, i, n, words[22]):
            state[_SKIP] = _COMMENT if data[i + 2] == 45 else _CDATA
            i += 4
            continue
        i += 1
        if i < n and (data[i] == 33 or data[i] == 63 or data[i] == 47):
            continue
        end, quote = i, 0
        while end < n and (quote != 0 or data[end] != 62):
            if quote == 0 and (data[end] == 34 or data[end] == 39):
                quote = int(data[end])
            elif data[end] == quote:
                quote = 0
            end += 1
        if end >= n:
            return n if final else i - 1
        name_end = i
        while name_end < end and data[name_end] > 32 and data[name_end] != 47:
            name_end += 1
        at = facts[max(state[_SHEET], 0)]
        if sheet:
            _excel_tag(data, i, name_end, end, state, at, spans, words)
        else:
            _open_tag(data, i, name_end, end, state, at, words)
            if _is(data, i, name_end, words[12]):
                state[_REPEAT] = 0
        i = end + 1
    return n


_NAMES = (
    b"r", b"t", b"hidden", b"visibility", b"c", b"row", b"v", b"is", b"f", b"col", b"min", b"max", b"table", b"table-row",
    b"number-rows-repeated", b"table-cell", b"covered-table-cell", b"number-columns-repeated", b"value-type", b"-->", b"]]>", b"<!--",
    b"<![CDATA[",
)  # fmt: skip
_WORDS = tuple(np.frombuffer(word, np.uint8) for word in _NAMES)


def xml(data: bytes, final: bool, sheet: bool, counted: tuple[Ints, Ints, Ints]) -> int:
    """Counts the cells in a piece of a sheet (`sheet`) or of an OpenDocument content; returns how much of it is done with."""
    return int(_xml(np.frombuffer(data, np.uint8), len(data), final, sheet, *counted, _WORDS))


@kernel
def _records(data: Bytes, n: int, state: Ints, facts: Ints) -> int:
    """The same for the records of a binary workbook: those between the begin and the end of the sheet's data."""
    i = 0
    while i < n:
        at, kind, size = i, int(data[i]), 0
        i += 1
        if kind >= 128 and i < n:
            kind, i = (kind & 127) | (int(data[i]) & 127) << 7, i + 1
        for shift in range(4):
            if i >= n:
                return at
            size, i = size | (int(data[i]) & 127) << 7 * shift, i + 1
            if data[i - 1] < 128:
                break
        if i + size > n:
            return at
        if kind in (145, 146):
            state[_DATA] = kind == 145
        elif state[_DATA] and kind <= 11 and size >= 4:
            place = int(data[i]) | int(data[i + 1]) << 8 | int(data[i + 2]) << 16 | int(data[i + 3]) << 24
            if kind == 0:
                state[_ROW] = place
            else:
                facts[0, CELLS] += 1
                facts[0, ERRORS] += kind == 3
                if kind > 1:
                    _fill(facts[0], max(state[_ROW], 0), place, 1, 1)
        i += size
    return n


def records(data: bytes, counted: tuple[Ints, Ints, Ints]) -> int:
    """Counts the cells in a piece of a sheet of a binary workbook; returns how much of it is done with."""
    return int(_records(np.frombuffer(data, np.uint8), len(data), counted[0], counted[1]))
