"""JSON documents of any size as lines of objects: compiled scanners that follow brackets and strings and need no memory for the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

DEPTH, QUOTED, ESCAPED, EXPECTS_VALUE, OFFSET, PENDING, LAST_KEY, LAST_KEY_END = range(8)  # cells of the scanner's state between two blocks
MEMBERS, OBJECTS, ARRAYS = range(3)  # counts in an outline
KEY_START, KEY_END, VALUE_START, FIRST_INSIDE = range(4)  # offsets of an array member; FIRST_INSIDE is the byte after its bracket
LINES, MEMBER_LINES, ONE_LINE = range(3)  # how `unfold` treats the container: elements, members with their key, or all of it as one


def fresh() -> Ints:
    """The state before the first byte."""
    return np.zeros(8, np.int64)


@kernel
def _step(c: int, state: Ints) -> bool:
    """Follows strings and brackets; True where the byte belongs to a string (its quotes too)."""
    if state[QUOTED]:
        if state[ESCAPED]:
            state[ESCAPED] = 0
        elif c == 92:
            state[ESCAPED] = 1
        elif c == 34:
            state[QUOTED] = 0
        return True
    if c == 34:
        state[QUOTED] = 1
        return True
    if c == 123 or c == 91:
        state[DEPTH] += 1
    elif c == 125 or c == 93:
        state[DEPTH] -= 1
    return False


@kernel
def outline(data: Bytes, n: int, state: Ints, counts: Ints, arrays: Ints) -> None:
    """The members of a top-level object: how many, how many objects and arrays among them, and where the first arrays are."""
    for i in range(n):
        c, at = data[i], state[OFFSET] + i
        if c == 32 or c == 10 or c == 13 or c == 9:
            continue
        before, inside = state[DEPTH], state[QUOTED]
        string = _step(c, state)
        if before == 1 and string and not state[EXPECTS_VALUE]:
            state[LAST_KEY_END if inside else LAST_KEY] = at
        elif before == 1 and c == 58 and not string:
            state[EXPECTS_VALUE] = 1
        elif before == 1 and state[EXPECTS_VALUE] == 1 and not inside:
            state[EXPECTS_VALUE] = 2
            counts[MEMBERS] += 1
            counts[OBJECTS] += c == 123
            if c == 91 and counts[ARRAYS] < len(arrays):
                row = arrays[counts[ARRAYS]]
                row[KEY_START], row[KEY_END], row[VALUE_START] = state[LAST_KEY] + 1, state[LAST_KEY_END], at
            counts[ARRAYS] += c == 91
        elif before == 2 and counts[ARRAYS] > 0 and counts[ARRAYS] <= len(arrays) and arrays[counts[ARRAYS] - 1, FIRST_INSIDE] == 0:
            arrays[counts[ARRAYS] - 1, FIRST_INSIDE] = c
        if before == 1 and c == 44 and not string:
            state[EXPECTS_VALUE] = 0
    state[OFFSET] += n


@kernel
def unfold(data: Bytes, n: int, mode: int, state: Ints, out: Bytes) -> tuple[int, int]:
    """Writes the elements or members of the container that `data` begins with, one a line: (bytes written, bytes read).

    Line ends inside an element become blanks, which JSON allows only where they mean nothing. Stops after the container's end.
    """
    at = 0
    for i in range(n):
        c, before, inside = data[i], state[DEPTH], state[QUOTED]
        string = _step(c, state)
        after = state[DEPTH]
        if before == 0 and after == 0:
            continue
        if state[PENDING] and before == 2 and c > 32:  # the first byte inside a member's object
            if c != 125:
                out[at] = 44
                at += 1
            state[PENDING] = 0
        if mode != ONE_LINE and (before == 0 or after == 0 or (before == 1 and c == 44 and not string)):
            c = 10
        elif mode == MEMBER_LINES and before == 1 and after == 2:
            state[PENDING] = 1
            continue
        elif mode == MEMBER_LINES and before == 1 and c == 58 and not string:
            continue
        elif c == 10 or c == 13:
            c = 32
        if mode == MEMBER_LINES and before == 1 and string and not inside:
            for b in b'{"_key":':
                out[at] = b
                at += 1
        out[at] = c
        at += 1
        if after == 0:
            if mode == ONE_LINE:
                out[at] = 10
                at += 1
            return at, i + 1
    return at, n
