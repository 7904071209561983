"""How alike two cells are: edit distance, Jaro-Winkler, token-sort ratio, number, as compiled kernels on bytes of normalised text.

Every kernel scores pairs of cells of one `Text`: cell left[k] with cell right[k], into scores[k] (float32, higher is more alike).
Text beyond ASCII counts by its bytes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text
from data_sanitizer.kernels import kernel

MOST_TOKENS: Final = 4096  # a cell has at most this many
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@kernel
def osa(data: Any, a: int, b: int, c: int, d: int, limit: int, rows: Any) -> Any:
    """Optimal string alignment distance of data[a:b] and data[c:d] up to `limit`, else limit + 1; `rows` is int64 (3, longest + 2).

    Insert, delete, change, swap two neighbours (G. Navarro, A guided tour to approximate string matching, 2001); only the diagonal band
    of width 2 x limit + 1 is filled.
    """
    while a < b and c < d and data[a] == data[c]:
        a, c = a + 1, c + 1
    while a < b and c < d and data[b - 1] == data[d - 1]:
        b, d = b - 1, d - 1
    n, m = b - a, d - c
    if abs(n - m) > limit:
        return limit + 1
    if n == 0 or m == 0:
        return n + m
    for j in range(m + 1):
        rows[0, j] = j
    for i in range(1, n + 1):
        now, before, earlier = i % 3, (i - 1) % 3, (i - 2) % 3
        first, last = max(1, i - limit), min(m, i + limit)
        rows[now, first - 1] = i if first == 1 else limit + 1
        if last < m:
            rows[now, last + 1] = limit + 1
        least = rows[now, first - 1]
        for j in range(first, last + 1):
            x, y = data[a + i - 1], data[c + j - 1]
            cost = rows[before, j - 1] + (x != y)
            cost = min(cost, rows[now, j - 1] + 1)
            if j < i + limit:
                cost = min(cost, rows[before, j] + 1)
            if i > 1 and j > 1 and x == data[c + j - 2] and data[a + i - 2] == y:
                cost = min(cost, rows[earlier, j - 2] + 1)
            rows[now, j] = cost
            least = min(least, cost)
        if least > limit:
            return limit + 1
    return min(rows[n % 3, m], limit + 1)


@kernel
def _edits(offsets: Any, data: Any, left: Any, right: Any, limit: int, rows: Any, scores: Any) -> None:
    for k in range(len(left)):
        i, j = left[k], right[k]
        scores[k] = -osa(data, offsets[i], offsets[i + 1], offsets[j], offsets[j + 1], limit, rows)


@kernel
def _matching(data: Any, a: int, n: int, c: int, m: int, marks: Any) -> int:
    """Bytes of the first cell that have an equal one, not taken yet, near the same place of the second; marked in marks[0] and marks[1]."""
    reach = max(max(n, m) // 2 - 1, 0)
    marks[0, :n] = 0
    marks[1, :m] = 0
    found = 0
    for i in range(n):
        x = data[a + i]
        for j in range(max(0, i - reach), min(m, i + reach + 1)):
            if x == data[c + j] and marks[1, j] == 0:
                marks[0, i] = marks[1, j] = 1
                found += 1
                break
    return found


@kernel
def jaro_winkler(data: Any, a: int, b: int, c: int, d: int, marks: Any) -> float:
    """Jaro-Winkler similarity of data[a:b] and data[c:d] in 0-1 (W. E. Winkler, 1990): up to 4 equal first bytes count 0.1 each where
    Jaro is above 0.7. `marks` is uint8 scratch of (2, longest)."""
    n, m = b - a, d - c
    found = _matching(data, a, n, c, m, marks)
    if found == 0:
        return 0.0
    swapped, j = 0, 0
    for i in range(n):
        if marks[0, i]:
            while marks[1, j] == 0:
                j += 1
            swapped += data[a + i] != data[c + j]
            j += 1
    jaro = (found / n + found / m + (found - swapped // 2) / found) / 3.0
    if jaro <= 0.7:
        return jaro
    prefix = 0
    while prefix < min(4, n, m) and data[a + prefix] == data[c + prefix]:
        prefix += 1
    return jaro + 0.1 * prefix * (1.0 - jaro)


@kernel
def precedes(data: Any, a: int, b: int, c: int, d: int) -> bool:
    """Whether data[a:b] stands before data[c:d] in the order of bytes."""
    for k in range(min(b - a, d - c)):
        if data[a + k] != data[c + k]:
            return bool(data[a + k] < data[c + k])
    return b - a < d - c


@kernel
def _jaro(offsets: Any, data: Any, left: Any, right: Any, marks: Any, scores: Any) -> None:
    """The cell that stands first in the order of bytes is taken first: the measure is not always the same from both sides."""
    for k in range(len(left)):
        i, j = left[k], right[k]
        if precedes(data, offsets[j], offsets[j + 1], offsets[i], offsets[i + 1]):
            i, j = j, i
        scores[k] = jaro_winkler(data, offsets[i], offsets[i + 1], offsets[j], offsets[j + 1], marks)


@kernel
def _bits(x: Any) -> Any:
    """The number of bits set in 64."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@kernel
def _common(data: Any, c: int, d: int, n: int, places: Any, state: Any) -> Any:
    """Length of the longest common subsequence of data[c:d] and the n bytes whose places are marked in `places` (words, 256).

    Bit-parallel, 64 bytes at a time (H. Hyyro, Bit-parallel LCS-length computation revisited, 2004).
    """
    words = (n + 63) >> 6
    for w in range(words):
        state[w] = _ALL
    for i in range(c, d):
        x, carry = data[i], np.uint64(0)
        for w in range(words):
            s = state[w]
            u = s & places[w, x]
            total = s + u
            over = np.uint64(total < s)
            total += carry
            carry = over | np.uint64(total < carry)
            state[w] = total | (s - u)
    common = np.int64(0)
    for w in range(words):
        unset = ~state[w]
        if w == words - 1 and n & 63:
            unset &= (np.uint64(1) << np.uint64(n & 63)) - np.uint64(1)
        common += np.int64(_bits(unset))
    return common


@kernel
def _mark(data: Any, a: int, b: int, places: Any, setting: bool) -> None:
    """Mark the places of the bytes of data[a:b] in `places`, or wipe them out."""
    for i in range(a, b):
        w, bit = (i - a) >> 6, np.uint64(1) << np.uint64((i - a) & 63)
        places[w, data[i]] = places[w, data[i]] | bit if setting else np.uint64(0)


@kernel
def _ratio(offsets: Any, data: Any, left: Any, right: Any, least: float, places: Any, state: Any, scores: Any) -> None:
    """2 x longest common subsequence / sum of lengths; 0 where the lengths alone keep it under `least`."""
    marked = -1
    for k in range(len(left)):
        i, j = left[k], right[k]
        n, m = offsets[i + 1] - offsets[i], offsets[j + 1] - offsets[j]
        scores[k] = 0.0
        if n == 0 or m == 0 or 2.0 * min(n, m) < least * (n + m):
            continue
        if i != marked:
            if marked >= 0:
                _mark(data, offsets[marked], offsets[marked + 1], places, False)
            _mark(data, offsets[i], offsets[i + 1], places, True)
            marked = i
        scores[k] = 2.0 * _common(data, offsets[j], offsets[j + 1], n, places, state) / (n + m)


@kernel
def split(data: Any, a: Any, b: Any, begins: Any, ends: Any) -> int:
    """Where the tokens of data[a:b] begin and end; returns how many there are."""
    count, start = 0, np.uint64(a)
    for i in range(np.uint64(a), np.uint64(b)):
        if data[i] == 32:
            begins[count], ends[count] = start, i
            count, start = count + 1, i + np.uint64(1)
    if a < b:
        begins[count], ends[count] = start, b
        count += 1
    return count


@kernel
def _sort_tokens(offsets: Any, data: Any, begins: Any, ends: Any, out: Any) -> None:
    """Write every cell with its tokens in the order of bytes."""
    for k in range(len(offsets) - 1):
        count = split(data, offsets[k], offsets[k + 1], begins, ends)
        for i in range(1, count):
            a, b, j = begins[i], ends[i], i
            while j > 0 and precedes(data, a, b, begins[j - 1], ends[j - 1]):
                begins[j], ends[j] = begins[j - 1], ends[j - 1]
                j -= 1
            begins[j], ends[j] = a, b
        n = offsets[k]
        for i in range(count):
            if i:
                out[n] = 32
                n += 1
            for p in range(begins[i], ends[i]):
                out[n] = data[p]
                n += 1


def _longest(text: Text) -> int:
    return int(np.diff(text.offsets).max(initial=0))


def edits(text: Text, left: NDArray[np.int64], right: NDArray[np.int64], limit: int = 2) -> NDArray[np.float32]:
    """Minus the edit distance (optimal string alignment) of each pair of cells; -(limit + 1) for every greater one."""
    scores = np.empty(len(left), np.float32)
    _edits(*text, left, right, limit, np.empty((3, _longest(text) + 2), np.int64), scores)
    return scores


def jaro(text: Text, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    """Jaro-Winkler similarity of each pair of cells, 0-1."""
    scores = np.empty(len(left), np.float32)
    _jaro(*text, left, right, np.empty((2, _longest(text) + 1), np.uint8), scores)
    return scores


def ratio(text: Text, left: NDArray[np.int64], right: NDArray[np.int64], least: float = 0.0) -> NDArray[np.float32]:
    """Twice the length of the longest common subsequence of each pair over the sum of their lengths: 0-1; perhaps 0 under `least`."""
    scores = np.empty(len(left), np.float32)
    words = (_longest(text) + 63) // 64
    _ratio(*text, left, right, least, np.zeros((words, 256), np.uint64), np.empty(words, np.uint64), scores)
    return scores


def sorted_tokens(text: Text) -> Text:
    """Every cell with its tokens in the order of bytes; `ratio` of these is the token-sort ratio."""
    out = np.empty(len(text.data), np.uint8)
    begins, ends = np.empty((2, MOST_TOKENS), np.int64)
    _sort_tokens(*text, begins, ends, out)
    return Text(text.offsets, out)
