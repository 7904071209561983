"""The search for personal data inside longer text, where the whole cell is something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

import polars as pl

from data_sanitizer.extensions import names
from data_sanitizer.pii._detector import detector
from data_sanitizer.pii._verdict import Verdict, hint, speaking

# RE2 has no look-around, so a find carries its borders along and group 1 is the find itself.
BORDER_BEFORE = r"(?:\A|[^0-9A-Za-z_.@+-])"
BORDER_AFTER = r"(?:\z|[^0-9A-Za-z_@.-]|[.-](?:\z|[^0-9]))"  # a full stop or a dash may follow, but no more digits after it
TRIES = 1_000  # look-alikes of a cell that are checked when finds are counted: a book of numbers takes no longer than a page
# A web address in a description is ordinary; it is found and counted, but no reason to call the text personal.
ORDINARY = frozenset({"url"})


def leaks(values: pl.Series, counts: pl.Series | None = None, kinds: Iterable[str] | None = None) -> dict[str, int]:
    """How many cells contain each kind of personal data, alone or within other text; kinds without a find are left out.

    A kind with a checksum counts only where at least half of the look-alikes pass it: one order number in ten passes Luhn by chance.
    """
    cells = speaking(values, counts)
    found = {kind: _cells_with(kind, cells) for kind in (names("pii") if kinds is None else kinds)}
    return {kind: count for kind, count in found.items() if count}


def inside(column: str, values: pl.Series, counts: pl.Series | None = None) -> Verdict | None:
    """The kind of personal data found in most cells of a text column, or None; its evidence names every kind that was found."""
    found = leaks(values, counts, searchable(column))
    if not found:
        return None
    ranked = sorted(found, key=lambda kind: (-found[kind], kind))
    total = int(speaking(values, counts)["count"].sum())
    said = "; ".join(f"{detector(kind).noun} within {found[kind]:,} of {total:,} sampled cells" for kind in ranked)
    return Verdict(ranked[0], round(found[ranked[0]] / total, 4), said)


def searchable(column: str) -> tuple[str, ...]:
    """The kinds worth a search in a text column of that name."""
    return tuple(kind for kind in names("pii") if kind not in ORDINARY and hint(kind, column) != "against")


def replace_found(text: str, kinds: Iterable[str], mask: Callable[[str, str], str]) -> str:
    """The text with every find replaced by `mask(kind, find)`; finds that are masked already (`***`) stay.

    Again until nothing changes, since a replaced find may have hidden the end of another; so a second call changes nothing.
    """
    kinds, before = tuple(kinds), None
    while text != before:
        before = text
        for kind in kinds:
            text = _replace_kind(text, kind, mask)
    return text


def _replace_kind(text: str, kind: str, mask: Callable[[str, str], str]) -> str:
    parts, last, raw = [], 0, text.encode()
    for start, end in _look_alikes(kind, raw):
        if end > start and b"***" not in raw[start:end]:
            parts += [raw[last:start], mask(kind, raw[start:end].decode()).encode()]
            last = end
    return b"".join([*parts, raw[last:]]).decode()


def _cells_with(kind: str, cells: pl.DataFrame) -> int:
    alike = cells.filter(pl.col("value").str.contains(_bordered(kind)))
    if detector(kind).valid is None or alike.is_empty():
        return int(alike["count"].sum())
    tried = (islice(_look_alikes(kind, text.encode()), TRIES) for text in alike["value"])
    good = pl.Series([any(end > start for start, end in cell) for cell in tried], dtype=pl.Boolean)
    passed = int(alike["count"].filter(good).sum())
    return passed if 2 * passed >= alike["count"].sum() else 0


def _look_alikes(kind: str, raw: bytes) -> Iterator[tuple[int, int]]:
    """Where each look-alike starts and ends, in bytes; one that fails the check ends where it starts.

    Bytes of UTF-8, since RE2 would encode a text anew for every search and so take quadratic time.
    """
    at = 0
    while at < len(raw) and (find := _search(kind).search(raw, at)):
        start, end = find.span(1)
        length = _fitting(kind, raw[start:end])
        yield start, start + length
        blank = raw.find(b" ", start + 1, end)
        at = start + length if length else blank if blank > 0 else end


def _fitting(kind: str, find: bytes) -> int:
    """The length of the longest part from the start to a blank that passes the check, 0 for none: a number may follow a number."""
    valid = detector(kind).valid
    if valid is None or valid(find.decode()):
        return len(find)
    blanks = (at for at in range(len(find) - 1, 0, -1) if find[at : at + 1] == b" ")
    return next((at for at in blanks if _alone(kind).fullmatch(find[:at]) and valid(find[:at].decode())), 0)


def _bordered(kind: str) -> str:
    return f"{BORDER_BEFORE}({detector(kind).inside}){BORDER_AFTER}"


@cache
def _search(kind: str) -> Any:
    import re2

    return re2.compile(_bordered(kind))


@cache
def _alone(kind: str) -> Any:
    import re2

    return re2.compile(detector(kind).inside)
