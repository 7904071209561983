"""Columns that are new, that are missing, and those of them that are one column under two names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from data_sanitizer.comparison import cells, numbers, values
from data_sanitizer.comparison.difference import Difference, percent

_OVERLAP: Final = 0.9  # the share of cells whose value both columns have
_ENOUGH: Final = 100  # filled cells from which the look of a column proves anything
_LENGTHS: Final = 0.05  # how far apart, relatively, mean lengths may be
_FAMILY: Final = {"integer": "number", "decimal": "number", "category": "words", "text": "words"}
Entry = Mapping[str, Any]
Same = Callable[[str, Entry, Entry], Iterable[Difference]]


def renamed(old: Mapping[str, Entry], new: Mapping[str, Entry], differ: Same) -> dict[str, tuple[str, str]]:
    """New name -> (name before, evidence) for columns that are missing under one name and new under another.

    By the name where it differs in case, blanks and punctuation alone; else by the content, where no other column could be meant.
    """
    gone, come = [c for c in old if c not in new], [c for c in new if c not in old]
    found = {b: (a, "the names differ in case, blanks or punctuation alone") for a, b in _alike(gone, come)}
    taken = {a for a, _ in found.values()}
    fits = [(a, b, why) for a in gone if a not in taken for b in come if b not in found and (why := _same(old[a], new[b], b, differ))]
    for a, b, why in fits:
        if sum(x == a for x, _, _ in fits) == 1 and sum(y == b for _, y, _ in fits) == 1:
            found[b] = (a, why)
    return found


def _alike(gone: Sequence[str], come: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that are one but for case, blanks and punctuation, where there is one such pair."""
    forms = [values.skeleton(name) for name in gone], [values.skeleton(name) for name in come]
    return [
        (a, b) for a, x in zip(gone, forms[0], strict=True) for b, y in zip(come, forms[1], strict=True)
        if x == y and forms[0].count(x) == 1 and forms[1].count(x) == 1
    ]  # fmt: skip


def _same(old: Entry, new: Entry, name: str, differ: Same) -> str | None:
    """What proves that two columns hold the same; None where nothing does, or something speaks against it."""
    kinds = [_FAMILY.get(str(e.get("kind")), e.get("kind")) for e in (old, new)]
    if kinds[0] != kinds[1] or old.get("sensitive") != new.get("sensitive") or min(cells.filled(old), cells.filled(new)) < _ENOUGH:
        return None
    proof = _proof(old, new)
    return proof if proof and not any(True for _ in differ(name, old, new)) else None


def _proof(old: Entry, new: Entry) -> str | None:
    before, now = values.known(old), values.known(new)
    if before and now and len(before) > 1 and values.repeats(before) and values.repeats(now):
        share = min(sum(n for v, n in a.items() if v in b) / sum(a.values()) for a, b in ((before, now), (now, before)))
        return f"{percent(share)} of the cells have values that both have" if share >= _OVERLAP else None
    if old.get("number") and new.get("number"):
        return "the same numbers by their quantiles" if numbers.agree(old, new) else None
    if cells.same_patterns(old, new) and _same_lengths(old, new) and _as_varied(old, new):
        return "the same patterns, lengths and variety of values" + (f", both {old['sensitive']}" if old.get("sensitive") else "")
    return None


def _same_lengths(old: Entry, new: Entry) -> bool:
    before, now = ((e.get("lengths") or {}).get("mean") or 0 for e in (old, new))
    return bool(before and now and abs(before - now) <= _LENGTHS * max(before, now))


def _as_varied(old: Entry, new: Entry) -> bool:
    """About as many different values for a cell, where they are many; the same number where they are few."""
    before, now = (int(e.get("distinct") or 0) / cells.filled(e) for e in (old, new))
    return abs(before - now) < _OVERLAP / 9


def differences(old: Mapping[str, Entry], new: Mapping[str, Entry], pairs: Mapping[str, tuple[str, str]]) -> list[Difference]:
    """Renamed, missing and new columns; a column without any cell was neither there nor is it missed."""
    found = [Difference("renamed_column", b, why, was=a) for b, (a, why) in pairs.items()]
    known = {a for a, _ in pairs.values()}
    found += [Difference("missing_column", c, _content(old[c], "held")) for c in old if c not in new and c not in known]
    return found + [Difference("new_column", c, _content(new[c], "holds")) for c in new if c not in old and c not in pairs]


def _content(entry: Entry, verb: str) -> str:
    kind, full = entry.get("kind"), cells.filled(entry)
    personal = f", personal data ({entry['sensitive']})" if entry.get("sensitive") else ""
    return f"{verb} {kind} in {full} cells{personal}" if full else f"{verb} nothing"
