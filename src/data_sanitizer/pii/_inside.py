"""The search for personal data inside longer text, where the whole cell is something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import polars as pl

from data_sanitizer.extensions import names
from data_sanitizer.pii._detector import detector
from data_sanitizer.pii._verdict import Verdict, hint, speaking

# RE2 has no look-around, so a find carries its borders along and group 1 is the find itself.
BORDER_BEFORE = r"(?:\A|[^0-9A-Za-z_.@+-])"
BORDER_AFTER = r"(?:\z|[^0-9A-Za-z_@.-]|[.-](?:\z|[^0-9]))"  # a full stop or a dash may follow, but no more digits after it
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
    return tuple(kind for kind in names("pii") if kind not in ORDINARY and hint(detector(kind), column) != "against")


def replace_found(text: str, kinds: Iterable[str], mask: Callable[[str, str], str]) -> str:
    """The text with every find replaced by `mask(kind, find)`; finds that are masked already (`***`) stay."""
    for kind in kinds:
        parts, last, raw = [], 0, text.encode()
        for start, end in _spans(kind, raw):
            if b"***" not in raw[start:end]:
                parts += [raw[last:start], mask(kind, raw[start:end].decode()).encode()]
                last = end
        text = b"".join([*parts, raw[last:]]).decode()
    return text


def _cells_with(kind: str, cells: pl.DataFrame) -> int:
    alike = cells.filter(pl.col("value").str.contains(_bordered(kind)))
    if detector(kind).valid is None or alike.is_empty():
        return int(alike["count"].sum())
    good = pl.Series([next(_spans(kind, text.encode()), None) is not None for text in alike["value"]], dtype=pl.Boolean)
    passed = int(alike["count"].filter(good).sum())
    return passed if 2 * passed >= alike["count"].sum() else 0


def _spans(kind: str, raw: bytes) -> Iterator[tuple[int, int]]:
    """Where finds start and end, in bytes of UTF-8: as text, RE2 would encode it anew for every search and take quadratic time."""
    valid, at = detector(kind).valid, 0
    while at < len(raw) and (find := _engine(kind).search(raw, at)):
        at = find.end(1)
        if valid is None or valid(find[1].decode()):
            yield find.span(1)


def _bordered(kind: str) -> str:
    return f"{BORDER_BEFORE}({detector(kind).inside}){BORDER_AFTER}"


@cache
def _engine(kind: str) -> Any:
    import re2

    return re2.compile(_bordered(kind))
