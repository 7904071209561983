"""Entities that keep their ids from one delivery to the next, while the rows known of them grow in number and groups of rows change.

A group of rows takes over the id of the entity that most of its rows had. Where several entities became one, the oldest id stays and the
others are merged into it; where one became several, the largest part keeps the id (of equal ones that with the oldest row).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Keys = NDArray[np.uint64]  # (n, 2)
_P1: Final = np.uint64(0x9E3779B97F4A7C15)
_P2: Final = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True, slots=True)
class Carried:
    """The entity of each row, and what happened to ids. Events are pairs of ids and the rows they concern."""

    entities: Keys  # (rows, 2)
    created: Keys
    merged: tuple[Keys, Keys, Rows]  # each entity of the first became one of the second
    split: tuple[Keys, Keys, Rows]  # rows of each entity of the first went to one of the second


def carried(groups: Rows, known: Keys, keys: Keys, salt: bytes) -> Carried:
    """The entities of rows in order of age, which are in `groups` (n,); the first ones, as many as `known` has, have an entity already.

    A new id is made of the key of the oldest row of its group and the salt, so that the same deliveries give the same ids.
    """
    old, ids = distinct(known)
    group = _codes(groups)
    founders = _firsts(group)
    new = new_ids(keys[founders], salt)
    before, after, rows, heir = _moves(old, group[: len(known)])
    ages = _firsts(old)
    winner = np.full(len(founders), len(ages), np.int64)  # for each group the oldest entity that is carried over to it, by its first row
    oldest = np.full(len(founders), np.iinfo(np.int64).max)
    np.minimum.at(oldest, after[heir], ages[before[heir]])
    won = oldest < np.iinfo(np.int64).max
    winner[won] = old[oldest[won]]
    final = new.copy()
    final[won] = ids[winner[won]]
    has_old = np.zeros(len(founders), np.bool_)
    has_old[after] = True
    moved = before != winner[after]
    merged, split = moved & heir, moved & ~heir
    told = tuple((ids[before[which]], final[after[which]], rows[which]) for which in (merged, split))
    return Carried(final[group], new[~won & ~has_old], *told)


def distinct(keys: Keys) -> tuple[Rows, Keys]:
    """For each key its number among the different ones, which ascend; and those."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    starts = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)]) if len(keys) else np.zeros(0, np.bool_)
    numbers = np.empty(len(keys), np.int64)
    numbers[order] = np.cumsum(starts) - 1
    return numbers, ordered[starts]


def _codes(groups: Rows) -> Rows:
    return np.unique(groups, return_inverse=True)[1].reshape(-1)


def _firsts(codes: Rows) -> Rows:
    """The first row of each code."""
    firsts = np.full(int(codes.max(initial=-1)) + 1, len(codes), np.int64)
    np.minimum.at(firsts, codes, np.arange(len(codes)))
    return firsts


def _moves(old: Rows, group: Rows) -> tuple[Rows, Rows, Rows, NDArray[np.bool_]]:
    """Every pair of an old entity and a group that share rows: entity, group, how many rows, and whether the group takes its id over."""
    none = np.zeros(0, np.int64)
    if not len(old):
        return none, none, none, np.zeros(0, np.bool_)
    order = np.lexsort((np.arange(len(old)), group, old))
    a, b = old[order], group[order]
    starts = np.flatnonzero(np.concatenate([[True], (a[1:] != a[:-1]) | (b[1:] != b[:-1])]))
    counts, first = np.diff(np.append(starts, len(a))), order[starts]
    before, after = a[starts], b[starts]
    best = np.lexsort((first, -counts, before))
    heir = np.zeros(len(starts), np.bool_)
    heir[best[np.concatenate([[True], before[best][1:] != before[best][:-1]])]] = True
    return before, after, counts, heir


def new_ids(keys: Keys, salt: bytes) -> Keys:
    """An id for each key, of 128 bits."""
    import hashlib

    salts = np.frombuffer(hashlib.sha256(salt).digest()[:16], np.uint64)
    with np.errstate(over="ignore"):
        mixed = (keys ^ salts) * _P1
        mixed = (mixed ^ (mixed >> np.uint64(32))) * _P2
        mixed = (mixed ^ (mixed >> np.uint64(29)) ^ (mixed[:, ::-1] << np.uint64(1))) * _P1
        return np.asarray(mixed ^ (mixed >> np.uint64(32)))


def hexadecimal(ids: Keys) -> list[str | None]:
    """Ids as 32 digits; None for one that is zero."""
    text = np.ascontiguousarray(ids.astype(">u8")).tobytes().hex()
    there_is: list[bool] = np.asarray(ids.any(axis=1)).tolist()
    return [text[k : k + 32] if there else None for k, there in zip(range(0, len(text), 32), there_is, strict=True)]


def joined(rows: int, one: Rows, other: Rows) -> Rows:
    """The least row of all that are tied together by pairs, for each of `rows` rows."""
    least = np.arange(rows)
    while True:
        low = np.minimum(least[one], least[other])
        after = least.copy()
        np.minimum.at(after, one, low)
        np.minimum.at(after, other, low)
        after = after[after]
        if np.array_equal(after, least):
            return least
        least = after
