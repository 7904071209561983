"""JSON objects, one a line, as compiled code: checks the grammar (RFC 8259), finds every leaf value and writes rows as plain CSV.

A leaf is a scalar or an array that is reached through objects only; its path of keys is its column. Numbers keep their text until the
type of the whole column is known, so nothing is rounded on the way. `NaN` and `Infinity`, which Python writes, count as numbers.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.formats._tokens import ARRAY, ESCAPED, NULL, OBJECT, STRING, escape, scalar, space, string
from data_sanitizer.kernels import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

# states of a line: the first four stay in the table
GOOD, LONE_SURROGATE, NON_FINITE, REPEATED_KEY, NOT_OBJECT, INVALID, TOO_DEEP, TOO_MANY_KEYS, OTHER_KIND = range(9)
NODES = 1 << 16  # paths of keys; data that has more uses keys as values
WHOLE = b"value"  # the one column of a table whose records are no objects
_SLOTS = 1 << 18
_POOL = 1 << 23
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _AFTER, _DONE = range(6)
_IN_ARRAY, _IN_WHOLE = -1, -2  # on the stack in place of the node of an open object


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
def _line(data: Bytes, i: int, end: int, root: int, keys: Keys, cells: Cells, at: int, stack: Ints) -> tuple[int, int]:
    """Reads one line; its state and the next free cell. `stack` has room for the deepest line; `root` is the node of all of the line
    where records are no objects, else 0."""
    state, depth, captured, node, status, opened, holder = _VALUE, 0, 0, root, GOOD, 0, root
    i = space(data, i, end)
    if data[i] != 123 and root == 0:
        return NOT_OBJECT, at
    while i < end:
        c, closes = data[i], False
        if state == _DONE:
            return INVALID, at
        if state <= _VALUE_OR_END and (c == 123 or c == 91):
            if depth == len(stack):
                return TOO_DEEP, at
            whole = c == 91 or (root > 0 and depth == 0)
            if whole and captured == 0:
                opened, holder = i, node
            elif captured == 0 and depth > 0:
                at = _put(cells, at, node, i, i, OBJECT)
            stack[depth] = _IN_ARRAY if c == 91 else (_IN_WHOLE if whole else node)
            captured, depth, i = captured + whole, depth + 1, i + 1
            state = _KEY_OR_END if c == 123 else _VALUE_OR_END
        elif state <= _VALUE_OR_END and c != 93:
            stop, start, last, kind, odd = scalar(data, i, end)
            if stop == 0:
                return INVALID, at
            status = max(status, odd)
            if captured == 0:
                at = _put(cells, at, node, start, last, kind)
            i, state = stop, _AFTER if depth > 0 else _DONE
        elif ((state == _KEY) | (state == _KEY_OR_END)) and c == 34:
            stop, _kind, _lone = string(data, i + 1, end)
            after = space(data, stop, end)
            if stop == 0 or after >= end or data[after] != 58:
                return INVALID, at
            if captured == 0:
                node = _child(data, i + 1, stop - 1, stack[depth - 1], keys)
                if node < 0:
                    return TOO_MANY_KEYS, at
            i, state = after + 1, _VALUE
        elif state == _AFTER and c == 44:
            i, state = i + 1, _VALUE if stack[depth - 1] == _IN_ARRAY else _KEY
        else:
            closes = True
        if closes:
            array, inside = stack[depth - 1] == _IN_ARRAY, stack[depth - 1] < 0
            if c != (93 if array else 125) or not (state == _AFTER or state == (_VALUE_OR_END if array else _KEY_OR_END)):
                return INVALID, at
            i, depth, captured = i + 1, depth - 1, captured - inside
            if inside and captured == 0:
                at = _put(cells, at, holder, opened, i, ARRAY)
            state = _AFTER if depth > 0 else _DONE
        i = space(data, i, end)
    return (status if state == _DONE else INVALID), at


@kernel
def parse(data: Bytes, n: int, bare: bool, depth: int, keys: Keys, cells: Cells) -> tuple[int, int]:
    """All lines of data[:n], which ends with a line end: how many hold something, and how many are blank.

    `bare`: records are no objects.
    """
    i, at, count, blank = 0, 0, 0, 0
    stack = np.empty(depth, np.int64)
    whole = np.frombuffer(WHOLE, np.uint8)
    root = _child(whole, 0, len(whole), 0, keys) if bare else 0
    while i < n:
        end = i
        while data[end] != 10:
            end += 1
        if space(data, i, end) == end:
            blank += 1
        else:
            first = at
            status, at = _line(data, i, end, root, keys, cells, at, stack)
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
            following, c = escape(data, i, end)
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

    Where a key is repeated the last value counts, as in most readers, and the line's state becomes REPEATED_KEY; the members of objects
    under the same key are joined.
    """
    at = 0
    slot, met = np.full(width, -1, np.int64), np.full(len(columns), -1, np.int64)
    for line in range(first, stop):
        if cells.lines[line][3] > REPEATED_KEY:
            continue
        slot[:] = -1
        for cell in range(cells.lines[line][2], cells.lines[line + 1][2]):
            node = cells.node[cell]
            column = columns[node]
            if met[node] == line or (column >= 0 and slot[column] >= 0):
                cells.lines[line][3] = REPEATED_KEY
            met[node] = line
            if column >= 0 and cells.kind[cell] != OBJECT:
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
