"""Categories: values that are new or gone, known ones spelled anew, and how often each comes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final

from data_sanitizer.comparison.difference import Difference, percent
from data_sanitizer.comparison.noise import appeared, moved

LEAST: Final = 0.1  # the share of cells that must have gone to other values
_WORDS: Final = frozenset({"category", "boolean", "text"})
_SHOWN: Final = 3  # values named in a message
_LONGEST: Final = 40  # characters of one


def known(entry: Mapping[str, Any]) -> dict[str, int] | None:
    """Every value of a column with its count, null tokens left out; None where not all are known, or they are personal."""
    listed = {str(value): int(n) for value, n in entry.get("frequent") or []}
    tokens = entry.get("null_tokens") or {}
    present = int(entry.get("rows") or 0) - int(entry.get("missing") or 0) + sum(tokens.values())
    if entry.get("sensitive") or not listed or sum(listed.values()) != present:
        return None
    return {value: n for value, n in listed.items() if value.lower() not in tokens}


def repeats(values: Mapping[str, int]) -> bool:
    """Whether values come again often enough to be a list of what may stand there."""
    return 0 < 4 * len(values) <= sum(values.values())


def compared(column: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """What changed among the values of a category."""
    if not {old.get("kind"), new.get("kind")} <= _WORDS:
        return
    before, now = known(old), known(new)
    if before is None or now is None or not repeats(before):
        return
    total, later = sum(before.values()), sum(now.values())
    come = {v: n for v, n in now.items() if v not in before and appeared(n, total, later)}
    gone = {v: n for v, n in before.items() if v not in now and appeared(n, later, total)}
    forms = {skeleton(v): v for v in sorted(before, key=lambda v: (before[v], v))}
    spelled = {v: n for v, n in come.items() if skeleton(v) in forms}
    if spelled:
        pairs = [f"{_quoted(v)} for {_quoted(forms[skeleton(v)])} in {n} cells" for v, n in _first(spelled)]
        yield Difference("spellings", column, _listed(pairs, len(spelled)))
    if fresh := {v: n for v, n in come.items() if v not in spelled}:
        yield Difference("new_values", column, _listed([f"{_quoted(v)} in {n} cells" for v, n in _first(fresh)], len(fresh)))
    if gone:
        yield Difference("gone_values", column, _listed([f"{_quoted(v)}, before in {n} cells" for v, n in _first(gone)], len(gone)))
    if share := moved(before, now, LEAST):
        top = max(sorted({**before, **now}), key=lambda v: abs(before.get(v, 0) / total - now.get(v, 0) / later))
        was, is_ = before.get(top, 0) / total, now.get(top, 0) / later
        words = f"{percent(share)} of the cells moved; {_quoted(top)} was {percent(was)} and is {percent(is_)}"
        yield Difference("frequencies", column, words)


def skeleton(value: str) -> str:
    """What is left of a value without case, accents, blanks and punctuation.

    >>> skeleton("São-Paulo ") == skeleton("sao paulo"), skeleton("C++") == skeleton("C")
    (True, False)
    """
    plain = unicodedata.normalize("NFKD", value.casefold())
    kept = "".join(c for c in plain if not unicodedata.combining(c) and c not in " \t-_.,'’/")
    return kept or value


def _first(values: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(values.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]


def _listed(parts: list[str], count: int) -> str:
    more = f", and {count - len(parts)} more" if count > len(parts) else ""
    return "; ".join(parts) + more


def _quoted(value: str) -> str:
    return f"'{value if len(value) <= _LONGEST else value[: _LONGEST - 1] + '…'}'"
