"""A look at the parts of a workbook before anything is built: compiled scanners that count cells and measure how far apart they lie.

A reader of workbooks makes room for the whole box around the filled cells, so two cells in opposite corners of a sheet of some hundred
bytes ask for half a terabyte. The scanners see the same tags and records as the reader does, in pieces, and keep nothing but counts.
"""

from __future__ import annotations

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
_PRIME = (1 << 31) - 1


def fresh() -> tuple[Ints, Ints, Ints]:
    """State, counts of each sheet, and ranges of hidden columns before the first piece."""
    state, facts = np.zeros(STATE, np.int64), np.zeros((SHEETS, FACTS), np.int64)
    state[_SHEET], state[_ROW], state[_COLUMN] = -1, -1, -1
    facts[:, TOP] = facts[:, LEFT] = _MOST
    facts[:, BOTTOM] = facts[:, RIGHT] = -1
    return state, facts, np.full((SPANS, 2), -1, np.int64)


def _key(name: bytes) -> int:
    """What `_local` gives for a name."""
    key = 0
    for byte in name:
        key = (key * 257 + byte) % _PRIME
    return key


(_C, _ROW_TAG, _V, _IS, _F, _COL, _R, _T, _HIDDEN_NAME, _VISIBILITY, _MIN, _MAX) = map(
    _key, (b"c", b"row", b"v", b"is", b"f", b"col", b"r", b"t", b"hidden", b"visibility", b"min", b"max")
)
(_TABLE, _TABLE_ROW, _TABLE_CELL, _COVERED, _ROWS, _COLUMNS, _TYPE) = map(
    _key,
    (b"table", b"table-row", b"table-cell", b"covered-table-cell", b"number-rows-repeated", b"number-columns-repeated", b"value-type"),
)


@kernel
def _local(data: Bytes, start: int, end: int) -> int:
    """A number for the name data[start:end] without its namespace prefix."""
    key = 0
    for i in range(start, end):
        key = 0 if data[i] == 58 else (key * 257 + int(data[i])) % _PRIME
    return key


@kernel
def _attribute(data: Bytes, i: int, end: int) -> tuple[int, int, int, int]:
    """The first attribute in data[i:end]: its name as a number, where its value begins and ends, where to go on; 0 where there is none."""
    while i < end and (data[i] <= 32 or data[i] == 47):
        i += 1
    start = i
    while i < end and data[i] != 61 and data[i] > 32:
        i += 1
    key = _local(data, start, i)
    while i < end and data[i] != 34 and data[i] != 39:
        i += 1
    if i >= end:
        return 0, 0, 0, end
    quote, first = data[i], i + 1
    i = first
    while i < end and data[i] != quote:
        i += 1
    return key, first, i, i + 1


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
def _excel_cell(data: Bytes, i: int, end: int, state: Ints, facts: Ints) -> None:
    """A `<c>`: its place, by its reference or as the next in the row; it is filled when a tag with content follows."""
    state[_COLUMN] += 1
    while i < end:
        key, start, stop, i = _attribute(data, i, end)
        if key == _T:
            facts[ERRORS] += stop - start == 1 and data[start] == 101
        elif key == _R:
            column, j = 0, start
            while j < stop and 65 <= (data[j] & 0xDF) <= 90:
                column = min(column * 26 + int(data[j] & 0xDF) - 64, _MOST)
                j += 1
            if j > start:
                state[_COLUMN] = column - 1
            if j < stop:
                state[_ROW] = _number(data, j, stop, 1) - 1
    facts[CELLS] += 1
    state[_OPEN] = 1


@kernel
def _hides(data: Bytes, key: int, start: int, stop: int) -> bool:
    """Whether an attribute hides a row or a column: hidden="1", visibility="collapse"."""
    if stop <= start:
        return False
    c = int(data[start])
    return (key == _HIDDEN_NAME and (c == 49 or c == 116)) or (key == _VISIBILITY and (c == 99 or c == 102))


@kernel
def _excel_row(data: Bytes, i: int, end: int, state: Ints) -> None:
    state[_ROW], state[_COLUMN], state[_OPEN], state[_HIDDEN] = state[_ROW] + 1, -1, 0, 0
    while i < end:
        key, start, stop, i = _attribute(data, i, end)
        if key == _R:
            state[_ROW] = _number(data, start, stop, 1) - 1
        elif _hides(data, key, start, stop):
            state[_HIDDEN] = 1


@kernel
def _excel_columns(data: Bytes, i: int, end: int, state: Ints, spans: Ints) -> None:
    """A `<col>`: the columns it hides, if it does."""
    hidden, first, last = False, 1, 1
    while i < end:
        key, start, stop, i = _attribute(data, i, end)
        if key == _MIN:
            first = _number(data, start, stop, 1)
        elif key == _MAX:
            last = _number(data, start, stop, 1)
        else:
            hidden = hidden or _hides(data, key, start, stop)
    if hidden and state[_SPAN] < SPANS:
        spans[state[_SPAN], 0], spans[state[_SPAN], 1] = first - 1, last - 1
        state[_SPAN] += 1


@kernel
def _excel_tag(data: Bytes, key: int, i: int, end: int, state: Ints, facts: Ints, spans: Ints) -> None:
    if key == _C:
        _excel_cell(data, i, end, state, facts)
    elif state[_OPEN] and (key == _V or key == _IS or key == _F):  # noqa: SIM109
        facts[HIDDEN_ROWS] += state[_HIDDEN]
        state[_OPEN], state[_HIDDEN] = 0, 0
        _fill(facts, state[_ROW], state[_COLUMN], 1, 1)
    elif key == _ROW_TAG:
        _excel_row(data, i, end, state)
    elif key == _COL:
        _excel_columns(data, i, end, state, spans)


@kernel
def _open_tag(data: Bytes, key: int, i: int, end: int, state: Ints, facts: Ints) -> None:
    """A tag of an OpenDocument sheet: cells and rows stand for as many as their attributes say."""
    if key == _TABLE:
        state[_ROW], state[_REPEAT] = -1, 0
    elif key == _TABLE_ROW:
        state[_ROW] += max(state[_REPEAT], 1)
        state[_REPEAT], state[_COLUMN], state[_HIDDEN] = 1, 0, 0
        while i < end:
            name, start, stop, i = _attribute(data, i, end)
            if name == _ROWS:
                state[_REPEAT] = max(_number(data, start, stop, 1), 1)
            elif _hides(data, name, start, stop):
                state[_HIDDEN] = 1
    elif key == _TABLE_CELL or key == _COVERED:  # noqa: SIM109
        count, filled = 1, data[end - 1] != 47  # a tag that closes itself holds nothing, unless it has a type
        while i < end:
            name, start, stop, i = _attribute(data, i, end)
            if name == _COLUMNS:
                count = max(_number(data, start, stop, 1), 1)
            elif name == _TYPE:
                filled = True
        if filled:
            facts[HIDDEN_ROWS] += state[_HIDDEN]
            state[_HIDDEN] = 0
            _fill(facts, max(state[_ROW], 0), state[_COLUMN], max(state[_REPEAT], 1), count)
        state[_COLUMN] = min(state[_COLUMN] + count, _MOST)


@kernel
def _tag_end(data: Bytes, i: int, n: int) -> int:
    """Where the tag at i ends: at a > outside of quotes; n where it does not."""
    quote = 0
    while i < n and (quote != 0 or data[i] != 62):
        c = int(data[i])
        if quote == 0 and (c == 34 or c == 39):
            quote = c
        elif c == quote:
            quote = 0
        i += 1
    return i


@kernel
def _skipped(data: Bytes, i: int, n: int, state: Ints) -> int:
    """The byte behind the end of a comment or a CDATA section that goes on at i; n where it does not end."""
    sign = 45 if state[_SKIP] == _COMMENT else 93
    while i + 2 < n:
        if data[i + 2] == 62 and data[i] == sign and data[i + 1] == sign:
            state[_SKIP] = 0
            return i + 3
        i += 1
    return n


@kernel
def _xml(data: Bytes, n: int, final: bool, sheet: bool, state: Ints, facts: Ints, spans: Ints) -> int:
    """Scans data[:n] and returns how much of it is done with: a tag that does not end in it is left for the next piece."""
    i = 0
    while i < n:
        if state[_SKIP]:
            i = _skipped(data, i, n, state)
            if state[_SKIP]:
                return n if final else max(n - 2, 0)
        while i < n and data[i] != 60:
            i += 1
        if i >= n or (n - i < 9 and not final):
            return i
        if n - i >= 9 and data[i + 1] == 33 and (data[i + 2] == 45 or data[i + 2] == 91):  # <!-- or <![CDATA[
            state[_SKIP] = _COMMENT if data[i + 2] == 45 else _CDATA
            i += 4
            continue
        i += 1
        if i < n and (data[i] == 33 or data[i] == 63 or data[i] == 47):
            continue
        end = _tag_end(data, i, n)
        if end >= n:
            return n if final else i - 1
        name_end = i
        while name_end < end and data[name_end] > 32 and data[name_end] != 47:
            name_end += 1
        key = _local(data, i, name_end)
        if not sheet and key == _TABLE:
            state[_SHEET] = min(state[_SHEET] + 1, SHEETS - 1)
        at = facts[max(state[_SHEET], 0)]
        if sheet:
            _excel_tag(data, key, name_end, end, state, at, spans)
        else:
            _open_tag(data, key, name_end, end, state, at)
        i = end + 1
    return n


def xml(data: bytes, final: bool, sheet: bool, counted: tuple[Ints, Ints, Ints]) -> int:
    """Counts the cells in a piece of a sheet (`sheet`) or of an OpenDocument content; returns how much of it is done with."""
    return int(_xml(np.frombuffer(data, np.uint8), len(data), final, sheet, *counted))


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
