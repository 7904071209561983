"""Whether a JSON document is one, by the letter of RFC 8259, and where it is not: a compiled check that takes the document in pieces.

It needs no memory but one cell for each open bracket, so neither size nor depth of a document can harm it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

VALUE, VALUE_OR_END, KEY, KEY_OR_END, COLON, AFTER, DONE = range(7)  # what is expected next
TEXT, NAME, ESCAPE, HEX, WORD = range(10, 15)  # inside a string that is a value or a key, an escape, a word
MINUS, ZERO, WHOLE, POINT, FRACTION, EXPONENT, SIGN, POWER = range(20, 28)  # inside a number
_ENDED, _WRONG = -1, -2
_MODE, _DEPTH, _LINE, _COLUMN, _OFFSET, _FIRST, _AT, _BACK = range(8)  # cells of the state; _AT: place in a word or an escape
_WORDS = b"truefalsenull"
_WORD_ENDS = (4, 9, 13)
SOUND, WRONG, TOO_DEEP, CUT_OFF = range(4)

_EXPECTED = {
    VALUE: "a value is expected",
    VALUE_OR_END: "a value or the end of the array is expected",
    KEY: "a key in double quotes is expected",
    KEY_OR_END: "a key in double quotes or the end of the object is expected",
    COLON: "a colon is expected",
    AFTER: "a comma or the end of the array or object is expected",
    DONE: "something follows after the end of the document",
    TEXT: "a control character stands in a string",
    NAME: "a control character stands in a key",
    ESCAPE: "JSON has no such escape",
    HEX: "an escape needs four hexadecimal digits",
    WORD: "JSON has no such word",
}


@kernel
def _in_number(mode: int, c: int) -> int:
    """The mode after one more byte of a number: _ENDED where it is not part of it, _WRONG where the number cannot end here."""
    if 48 <= c <= 57:
        if mode == MINUS:
            return ZERO if c == 48 else WHOLE
        if mode == ZERO:
            return _WRONG
        if mode == POINT:
            return FRACTION
        return POWER if mode in (EXPONENT, SIGN) else mode
    if c == 46 and (mode in (ZERO, WHOLE)):
        return POINT
    if (c | 32) == 101 and (mode in (ZERO, WHOLE, FRACTION)):
        return EXPONENT
    if (c == 43 or c == 45) and mode == EXPONENT:
        return SIGN
    return _ENDED if mode in (ZERO, WHOLE, FRACTION, POWER) else _WRONG


@kernel
def _in_token(c: int, state: Ints) -> int:
    """The mode after one more byte of a string or a word."""
    mode = int(state[_MODE])
    if mode in (TEXT, NAME):
        if c == 34:
            return COLON if mode == NAME else _after(state)
        if c == 92:
            state[_BACK] = mode
            return ESCAPE
        return _WRONG if c < 32 else mode
    if mode == ESCAPE:
        if c == 117:
            state[_AT] = 4
            return HEX
        for short in b'"\\/bfnrt':
            if c == short:
                return int(state[_BACK])
        return _WRONG
    if mode == HEX:
        state[_AT] -= 1
        if not (48 <= c <= 57 or 97 <= (c | 32) <= 102):
            return _WRONG
        return HEX if state[_AT] > 0 else int(state[_BACK])
    if c != _WORDS[state[_AT]]:
        return _WRONG
    state[_AT] += 1
    for end in _WORD_ENDS:
        if state[_AT] == end:
            return _after(state)
    return WORD


@kernel
def _after(state: Ints) -> int:
    return AFTER if state[_DEPTH] > 0 else DONE


@kernel
def _begin(c: int, state: Ints, stack: Bytes) -> int:
    """The mode after the first byte of a value; a bracket is put on the stack."""
    if c == 34:
        return TEXT
    if c == 123 or c == 91:
        if state[_DEPTH] < len(stack):
            stack[state[_DEPTH]] = c
        state[_DEPTH] += 1
        return KEY_OR_END if c == 123 else VALUE_OR_END
    if c == 45:
        return MINUS
    if 48 <= c <= 57:
        return ZERO if c == 48 else WHOLE
    start = 0
    for end in _WORD_ENDS:
        if c == _WORDS[start]:
            state[_AT] = start + 1
            return WORD
        start = end
    return _WRONG


@kernel
def _between(c: int, state: Ints, stack: Bytes) -> int:
    """The mode after a byte that stands between tokens or begins one."""
    mode = state[_MODE]
    if state[_DEPTH] > 0:
        closing = 125 if stack[state[_DEPTH] - 1] == 123 else 93
        if c == closing and (mode == AFTER or mode == (KEY_OR_END if closing == 125 else VALUE_OR_END)):
            state[_DEPTH] -= 1
            return _after(state)
        if mode == AFTER and c == 44:
            return KEY if closing == 125 else VALUE
    if mode == COLON and c == 58:
        return VALUE
    if (mode in (KEY, KEY_OR_END)) and c == 34:
        return NAME
    return _begin(c, state, stack) if mode in (VALUE, VALUE_OR_END) else _WRONG


@kernel
def _text_end(data: Bytes, i: int, n: int, state: Ints) -> int:
    """The first byte from i on that is not an ordinary one of a string; the characters passed are counted."""
    column = state[_COLUMN]
    while i < n:
        c = data[i]
        if (c == 34) | (c == 92) | (c < 32):
            break
        column += (c & 0xC0) != 0x80
        i += 1
    state[_COLUMN] = column
    return i


@kernel
def _following(c: int, state: Ints, stack: Bytes) -> int:
    """The mode after a byte, whatever the mode before it."""
    mode = state[_MODE]
    if mode >= MINUS:
        following = _in_number(mode, c)
        if following != _ENDED:
            return following
        mode = state[_MODE] = _after(state)
    if mode >= TEXT:
        return _in_token(c, state)
    return mode if c == 32 or c == 10 or c == 13 or c == 9 else _between(c, state, stack)


@kernel
def _check(data: Bytes, n: int, state: Ints, stack: Bytes) -> int:
    """Reads data[:n]; SOUND, WRONG or TOO_DEEP, and where in `state`."""
    i = 0
    while i < n:
        if state[_MODE] == TEXT or state[_MODE] == NAME:
            i = _text_end(data, i, n, state)
            if i >= n:
                break
        c = int(data[i])
        following = _following(c, state, stack)
        if state[_FIRST] == 0 and c > 32 and following != _WRONG:
            state[_FIRST] = c
        if following == _WRONG or state[_DEPTH] > len(stack):
            state[_OFFSET] += i
            return WRONG if following == _WRONG else TOO_DEEP
        state[_MODE] = following
        if c == 10:
            state[_LINE], state[_COLUMN] = state[_LINE] + 1, 0
        elif (c & 0xC0) != 0x80:
            state[_COLUMN] += 1
        i += 1
    state[_OFFSET] += n
    return SOUND


class Checked:
    """What is wrong with a document, and where; `first` is its first byte that means something."""

    def __init__(self, pieces: Iterable[bytes], depth: int) -> None:
        state, stack = np.zeros(8, np.int64), np.zeros(depth, np.uint8)
        fault, size, wrong = SOUND, 0, b""
        for data in pieces:
            size, wrong = int(state[_OFFSET]), data
            fault = int(_check(np.frombuffer(data, np.uint8), len(data), state, stack))
            if fault != SOUND:
                break
        mode = int(state[_MODE])
        ended = mode == DONE or (state[_DEPTH] == 0 and mode in (ZERO, WHOLE, FRACTION, POWER))
        self.fault = CUT_OFF if fault == SOUND and not ended else fault
        self.size = int(state[_OFFSET])
        self.first = bytes([int(state[_FIRST])]).strip(b"\0")
        self.place = f"line {state[_LINE] + 1}, column {state[_COLUMN] + 1}"
        at = wrong[self.size - size : self.size - size + 1]
        self.why = _why(mode, at) if fault == WRONG else ""


def _why(mode: int, at: bytes) -> str:
    if mode in (VALUE, VALUE_OR_END, MINUS) and at in (b"N", b"I"):
        return "NaN and Infinity are no JSON; write null instead"
    return _EXPECTED.get(mode, "JSON has no number that is written so")
