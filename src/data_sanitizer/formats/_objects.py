"""JSON objects, one a line, as compiled code: checks the grammar (RFC 8259), finds every leaf value and writes rows as plain CSV.

A leaf is a scalar or an array that is reached through objects only; its path of keys is its column. Numbers keep their text until the
type of the whole column is known, so nothing is rounded on the way. `NaN` and `Infinity`, which Python writes, count as numbers.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

NULL, BOOL, INT, WIDE_INT, HUGE_INT, FLOAT, WIDE_FLOAT, STRING, ESCAPED, ARRAY, KINDS = range(11)
GOOD, LONE_SURROGATE, REPEATED_KEY, NOT_OBJECT, INVALID, TOO_DEEP, TOO_MANY_KEYS = range(7)  # of a line; the first three stay in the table
DEPTH = 64
NODES = 1 << 16  # paths of keys; data that has more uses keys as values
_SLOTS = 1 << 18
_POOL = 1 << 23
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _AFTER, _DONE = range(6)
_EXACT_DIGITS = 15  # decimal digits that a 64-bit float always keeps


class Keys(NamedTuple):
    """The paths seen so far: node 0 is the line's object; `used` holds the number of nodes and of bytes in `pool`."""

    parent: Ints
    start: Ints
    size: Ints
    slots: Ints
    pool: Bytes
    used: Ints


class Cells(NamedTuple):
    """The leaves of a block in order of appearance: node, bytes of the value, kind; and a row per line: start, end, first cell, state."""

    node: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    kind: NDArray[np.uint8]
    lines: NDArray[np.int32]


def no_keys() -> Keys:
    """An empty table of paths."""
    parent, start, size = (np.zeros(NODES, np.int64) for _ in range(3))
    return Keys(parent, start, size, np.zeros(_SLOTS, np.int64), np.empty(_POOL, np.uint8), np.array([1, 0], np.int64))


def cells_for(size: int, lines: int) -> Cells:
    """Room for the leaves of `size` bytes: each takes five bytes at least (`"":1,`)."""
    most = size // 5 + 2
    node, start, end = (np.empty(most, np.int32) for _ in range(3))
    return Cells(node, start, end, np.empty(most, np.uint8), np.empty((lines + 1, 4), np.int32))


@kernel
def _space(data: Bytes, i: int, end: int) -> int:
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
def _escape(data: Bytes, i: int, end: int) -> tuple[int, int]:
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
def _string(data: Bytes, i: int, end: int) -> tuple[int, int, bool]:
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
        i, character = _escape(data, i, end)
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
def _child(data: Bytes, start: int, end: int, parent: int, keys: Keys) -> int:
    """The node for a key below `parent`, made where it is new; -1 where there is no room."""
    mix = np.uint64(parent) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(14695981039346656037)
    for j in range(start, end):
        mix = (mix ^ np.uint64(data[j])) * np.uint64(1099511628211)
    slot, size = np.int64((mix ^ (mix >> np.uint64(29))) & np.uint64(_SLOTS - 1)), end - start
    while keys.slots[slot] != 0:
        node = int(keys.slots[slot])
        if keys.parent[node] == parent and keys.size[node] == size:
            at, same = keys.start[node], True
            for j in range(size):
                if keys.pool[at + j] != data[start + j]:
                    same = False
                    break
            if same:
                return node
        slot = (slot + 1) & (_SLOTS - 1)
    node, at = int(keys.used[0]), int(keys.used[1])
    if node >= NODES or at + size > _POOL:
        return -1
    keys.slots[slot], keys.parent[node], keys.start[node], keys.size[node] = node, parent, at, size
    keys.pool[at : at + size] = data[start:end]
    keys.used[0], keys.used[1] = node + 1, at + size
    return node


@kernel
def _put(cells: Cells, at: int, node: int, start: int, end: int, kind: int) -> int:
    cells.node[at], cells.start[at], cells.end[at], cells.kind[at] = node, start, end, kind
    return at + 1


@kernel
def _scalar(data: Bytes, i: int, end: int) -> tuple[int, int, int, int, bool]:
    """The string, number or word at i: its end (0: invalid), bytes of its content, kind, any lone surrogate."""
    if data[i] == 34:
        stop, kind, lone = _string(data, i + 1, end)
        return stop, i + 1, stop - 1, kind, lone
    stop, kind = _number(data, i, end) if data[i] == 45 or 48 <= data[i] <= 57 else _word(data, i, end)
    if stop == 0 and data[i] == 45:
        stop, kind = _word(data, i, end)
    return stop, i, stop, kind, False


@kernel
def _line(data: Bytes, i: int, end: int, keys: Keys, cells: Cells, at: int, stack: Ints) -> tuple[int, int]:
    """Reads one line; its state and the next free cell. `stack` holds the node of each open object, -1 for an array."""
    state, depth, arrays, node, status, opened = _VALUE, 0, 0, 0, GOOD, 0
    i = _space(data, i, end)
    if data[i] != 123:
        return NOT_OBJECT, at
    while i < end:
        c, closes = data[i], False
        if state == _DONE:
            return INVALID, at
        if state <= _VALUE_OR_END and (c == 123 or c == 91):
            if depth == DEPTH:
                return TOO_DEEP, at
            if c == 91 and arrays == 0:
                opened = i
                stack[DEPTH] = node
            stack[depth] = node if c == 123 else -1
            arrays, depth, i = arrays + (c == 91), depth + 1, i + 1
            state = _KEY_OR_END if c == 123 else _VALUE_OR_END
        elif state <= _VALUE_OR_END and c != 93:
            stop, start, last, kind, lone = _scalar(data, i, end)
            if stop == 0:
                return INVALID, at
            if lone:
                status = LONE_SURROGATE
            if arrays == 0:
                at = _put(cells, at, node, start, last, kind)
            i, state = stop, _AFTER
        elif ((state == _KEY) | (state == _KEY_OR_END)) and c == 34:
            stop, _kind, lone = _string(data, i + 1, end)
            after = _space(data, stop, end)
            if stop == 0 or after >= end or data[after] != 58:
                return INVALID, at
            if arrays == 0:
                node = _child(data, i + 1, stop - 1, stack[depth - 1], keys)
                if node < 0:
                    return TOO_MANY_KEYS, at
            i, state = after + 1, _VALUE
        elif state == _AFTER and c == 44:
            i, state = i + 1, _VALUE if stack[depth - 1] < 0 else _KEY
        else:
            closes = True
        if closes:
            array = stack[depth - 1] < 0
            if c != (93 if array else 125) or not (state == _AFTER or state == (_VALUE_OR_END if array else _KEY_OR_END)):
                return INVALID, at
            i, depth, arrays = i + 1, depth - 1, arrays - array
            if array and arrays == 0:
                at = _put(cells, at, stack[DEPTH], opened, i, ARRAY)
            state = _AFTER if depth > 0 else _DONE
        i = _space(data, i, end)
    return (status if state == _DONE else INVALID), at


@kernel
def parse(data: Bytes, n: int, keys: Keys, cells: Cells) -> tuple[int, int]:
    """All lines of data[:n], which ends with a line end: how many hold something, and how many are blank."""
    i, at, count, blank = 0, 0, 0, 0
    stack = np.empty(DEPTH + 1, np.int64)
    while i < n:
        end = i
        while data[end] != 10:
            end += 1
        if _space(data, i, end) == end:
            blank += 1
        else:
            first = at
            status, at = _line(data, i, end, keys, cells, at, stack)
            if status > REPEATED_KEY:
                at = first
            row = cells.lines[count]
            row[0], row[1], row[2], row[3] = i, end, first, status
            count += 1
        i = end + 1
    cells.lines[count][2] = at
    return count, blank


@kernel
def tally(cells: Cells, count: int, kinds: Ints) -> None:
    """Adds the leaves of `count` cells to `kinds` (nodes x KINDS)."""
    for at in range(count):
        kinds[cells.node[at], cells.kind[at]] += 1


@kernel
def _put_character(out: Bytes, at: int, code: int) -> int:
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at], out[at + 1] = 0xC0 | code >> 6, 0x80 | code & 63
        return at + 2
    if code < 0x10000:
        out[at], out[at + 1], out[at + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 63, 0x80 | code & 63
        return at + 3
    out[at], out[at + 1], out[at + 2], out[at + 3] = 0xF0 | code >> 18, 0x80 | code >> 12 & 63, 0x80 | code >> 6 & 63, 0x80 | code & 63
    return at + 4


@kernel
def _put_text(data: Bytes, i: int, end: int, escaped: bool, out: Bytes, at: int) -> int:
    """Writes a quoted CSV field; JSON escapes are resolved, a lone surrogate stays as it is written."""
    out[at] = 34
    at += 1
    while i < end:
        c = int(data[i])
        following = i + 1
        if escaped and c == 92:
            following, c = _escape(data, i, end)
            if c < 0:
                out[at : at + 6] = data[i : i + 6]
                at, i = at + 6, following
                continue
            at = _put_character(out, at, c)
        else:
            out[at] = c
            at += 1
        if c == 34:
            out[at] = 34
            at += 1
        i = following
    out[at] = 34
    return at + 1


@kernel
def write_rows(data: Bytes, cells: Cells, first: int, stop: int, columns: Ints, width: int, out: Bytes) -> int:
    """Writes the good lines first..stop as CSV of `width` columns (`columns`: node -> column or -1); returns the bytes written.

    Where a key is repeated the last value counts, as in most readers, and the line's state becomes REPEATED_KEY.
    """
    at = 0
    slot = np.full(width, -1, np.int64)
    for line in range(first, stop):
        if cells.lines[line][3] > REPEATED_KEY:
            continue
        slot[:] = -1
        for cell in range(cells.lines[line][2], cells.lines[line + 1][2]):
            column = columns[cells.node[cell]]
            if column >= 0:
                if slot[column] >= 0:
                    cells.lines[line][3] = REPEATED_KEY
                slot[column] = cell
        for column in range(width):
            if column > 0:
                out[at] = 44
                at += 1
            cell = slot[column]
            if cell < 0 or cells.kind[cell] == NULL:
                continue
            start, end, kind = cells.start[cell], cells.end[cell], cells.kind[cell]
            if kind >= STRING:
                at = _put_text(data, start, end, kind == ESCAPED, out, at)
            else:
                out[at : at + end - start] = data[start:end]
                at += end - start
        out[at] = 10
        at += 1
    return at


def text_of(key: bytes) -> str:
    """The text of a key as it stood between its quotes; lone surrogates stay escaped."""
    try:
        text: str = json.loads(b'"' + key + b'"')
        text.encode("utf-8")
    except UnicodeEncodeError:
        return key.decode("utf-8")
    return text
