"""The cells of a column by what they look like: missing, of another kind, written in another way, dates in another order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from data_sanitizer.comparison.difference import Difference, percent
from data_sanitizer.comparison.noise import appeared, moved

MISSING: Final = 0.05  # the share of cells that must have become missing, or filled
FORM: Final = 0.1  # the share of filled cells that must be written in another way
_RETYPED: Final = 0.02  # the same where the kind of the column is another one by it
_ORDERS: Final = {"date_ymd": "year first", "date_dmy": "day first", "date_mdy": "month first"}
_DATED: Final = ("date", "timestamp")
_LISTED: Final = 10  # patterns that a profile lists at most


def filled(entry: Mapping[str, Any]) -> int:
    """Cells that are not missing."""
    return int(entry.get("rows") or 0) - int(entry.get("missing") or 0)


def shapes(entry: Mapping[str, Any]) -> dict[str, int]:
    """Shape -> filled cells."""
    return {name: int(n) for name, n in (entry.get("shapes") or {}).items() if name != "missing"}


def compared(column: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Everything about the look of the cells."""
    yield from _missing(column, old, new)
    if not filled(old) or not filled(new):
        return
    turned = list(_retyped(column, old, new)) or list(_dates(column, old, new)) or list(_format(column, old, new))
    yield from turned


def _missing(column: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    before, now = int(old.get("rows") or 0), int(new.get("rows") or 0)
    if not before or not now:
        return
    first, then = ({"missing": rows - filled(entry), "filled": filled(entry)} for rows, entry in ((before, old), (now, new)))
    if moved(first, then, MISSING) is None:
        return
    was, is_ = first["missing"] / before, then["missing"] / now
    kind = "emptied" if not filled(new) else "missing"
    yield Difference(kind, column, f"{percent(was)} of the cells were missing, {percent(is_)} are")


def _retyped(column: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Another kind, where the cells prove it: kinds alone change with a single cell, when a column is between two."""
    kinds = old.get("kind"), new.get("kind")
    if kinds[0] == kinds[1] or not ({*kinds} & {"integer", "decimal", "boolean", *_DATED}):
        return
    before, now = shapes(old), shapes(new)
    if (share := moved(before, now, _RETYPED)) is not None:
        words = f"{_article(str(kinds[0]))} before, {_article(str(kinds[1]))} now: {percent(share)} of the cells {_most(before, now)}"
        yield Difference("retyped", column, words)


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} column"


def _most(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    """The shapes that lost and gained most."""
    gains = {s: now.get(s, 0) / sum(now.values()) - before.get(s, 0) / sum(before.values()) for s in sorted({**before, **now})}
    lost, gained = min(gains, key=lambda s: gains[s]), max(gains, key=lambda s: gains[s])
    return f"look otherwise, mostly {gained.replace('_', ' ')} instead of {lost.replace('_', ' ')}"


def _dates(column: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """The order of day, month and year by the dates that can be read in one order alone; else the form they are written in."""
    if old.get("kind") not in _DATED or new.get("kind") not in _DATED:
        return
    before, now = ({o: shapes(e).get(o, 0) for o in _ORDERS} for e in (old, new))
    if moved(before, now, FORM) is not None:
        first, then = (_ORDERS[max(side, key=lambda o: side[o])] for side in (before, now))
        words = f"{first} before, {then} now" if first != then else f"not all {first} any more"
        yield Difference("dates", column, f"{words}, by the dates that can be read in one order alone")
    elif form := _new_form(old, new):
        yield Difference("dates", column, form)


def _new_form(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Patterns of digits that were not there before; of personal data a pattern may quote letters that have no case."""
    if old.get("sensitive") or new.get("sensitive"):
        return None
    before, now = _patterns(old), _patterns(new)
    last = min(before.values()) if len(before) == _LISTED else 0
    fresh = {p: n for p, n in now.items() if p not in before and not last and appeared(n, sum(before.values()), sum(now.values()))}
    total = sum(now.values())
    if not fresh or sum(fresh.values()) < FORM * total:
        return None
    top, was = (max(sorted(side), key=lambda p: side[p]) for side in (fresh, before))
    return f"{percent(sum(fresh.values()) / total)} of the cells are written in a new form, mostly {top} (before mostly {was})"


def _patterns(entry: Mapping[str, Any]) -> dict[str, int]:
    return {str(p): int(n) for p, n in entry.get("patterns") or []}


def same_patterns(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two columns have the same patterns, about as often."""
    before, now = _patterns(old), _patterns(new)
    total, later = sum(before.values()), sum(now.values())
    return min(total, later) >= 100 and sum(abs(before.get(p, 0) / total - now.get(p, 0) / later) for p in {**before, **now}) / 2 < FORM


def _format(column: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    before, now = shapes(old), shapes(new)
    if (share := moved(before, now, FORM)) is not None:
        yield Difference("format", column, f"{percent(share)} of the cells {_most(before, now)}")
