"""Laws of entities: ids stay, change only by events that tell all of it, and nothing that was set apart comes together."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer.duplicates import clusters, decisions
from data_sanitizer.duplicates.entities import carried, joined
from data_sanitizer.pipeline.delivered_rows import first_equal, merged
from data_sanitizer.pipeline.entity_changes import KINDS, changes

GROUPS = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=12), min_size=1, max_size=5)


def keys(count: int) -> np.ndarray:
    return np.stack([np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15), np.arange(count, dtype=np.uint64)], axis=1)


def names(ids: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(i) for i in ids.tolist()]


@settings(deadline=None)
@given(GROUPS)
def test_ids_change_by_events_alone(deliveries: list[list[int]]) -> None:
    known, ever = np.zeros((0, 2), np.uint64), set()
    for number, groups in enumerate(deliveries):
        size = max(len(known), len(groups))
        labels = np.array((groups + [9] * size)[:size])
        found = carried(labels, known, keys(size), f"d/{number}".encode())
        ids = names(found.entities)
        assert {tuple(np.flatnonzero(labels == g)) for g in set(labels.tolist())} == {
            tuple(k for k, i in enumerate(ids) if i == one) for one in set(ids)
        }
        moves = {
            (tuple(a), tuple(b)) for kind in (found.merged, found.split) for a, b in zip(kind[0].tolist(), kind[1].tolist(), strict=True)
        }
        assert moves == {(was, now) for was, now in zip(names(known), ids, strict=False) if was != now}
        assert {was for was, _, _ in zip(names(found.merged[0]), *found.merged[1:], strict=True)} == set(names(known)) - set(ids)
        assert set(names(found.created)) == set(ids[len(known) :]) - set(names(known)) - {b for _, b in moves}
        assert not set(names(found.created)) & ever
        ever |= set(ids)
        known = found.entities


def test_a_merge_keeps_the_older_id_and_a_split_gives_the_larger_part_the_id() -> None:
    first = carried(np.array([0, 0, 0, 1, 1]), np.zeros((0, 2), np.uint64), keys(5), b"1")
    a, b = names(first.entities)[0], names(first.entities)[3]
    together = carried(np.zeros(6, np.int64), first.entities, keys(6), b"2")
    assert set(names(together.entities)) == {a}
    assert (names(together.merged[0]), names(together.merged[1]), together.merged[2].tolist()) == ([b], [a], [2])
    apart = carried(np.array([0, 1, 1, 2, 2]), first.entities, keys(5), b"3")
    assert names(apart.entities)[1:] == [a, a, b, b]
    assert names(apart.split[0]) == [a]
    assert names(apart.split[1]) == names(apart.entities)[:1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=15))
def test_rows_tied_by_pairs_are_one(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    least = list(range(10))
    for _ in range(10):
        for a, b in pairs:
            least[a] = least[b] = min(least[a], least[b])
    assert joined(10, one, other).tolist() == least


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.floats(-9, 30)), max_size=20, unique_by=lambda p: (min(p[:2]), max(p[:2]))),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda p: p[0] != p[1]), min_size=1, max_size=4),
)
def test_rows_set_apart_are_never_in_one_cluster(pairs: list[tuple[int, int, float]], apart: list[tuple[int, int]]) -> None:
    pairs = [(min(a, b), max(a, b), w) for a, b, w in pairs if a != b]
    a, b = (np.array([p[k] for p in pairs], np.int64) for k in (0, 1))
    held = decisions.held(np.arange(8), a, b, np.array([p[2] for p in pairs]), np.array(apart))
    labels = clusters.guarded(8, *held, np.arange(8, dtype=np.uint64))
    assert [(x, y) for x, y in apart if labels[x] == labels[y]] == []


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=30), min_size=1, max_size=4), st.integers(1, 7))
def test_streams_are_merged_in_the_order_of_their_keys(streams: list[list[int]], size: int) -> None:
    def stream(values: list[int]) -> list[tuple[np.ndarray, pl.DataFrame]]:
        ordered = sorted(values)
        return [
            (np.array([[v, 0] for v in part], np.uint64), pl.DataFrame({"a": [str(v) for v in part]}))
            for part in (ordered[k : k + size] for k in range(0, len(ordered), size))
        ]

    for rows in (sum(map(len, streams)), 1 << 20):  # in one go, and in many small ones
        found = [v for frame in merged([iter(stream(s)) for s in streams], rows, ["a", "b"]) for v in frame["a"]]
        assert found == [str(v) for v in sorted(v for s in streams for v in s)]


def test_the_first_equal_key_is_found_where_halves_are_equal() -> None:
    same_half = np.array([[7, 2], [7, 1], [7, 2], [3, 1], [7, 1]], np.uint64)
    assert first_equal(same_half).tolist() == [0, 1, 0, 3, 1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.booleans(), st.booleans()), max_size=30))
def test_every_entity_of_two_deliveries_is_counted_once(rows: list[tuple[int, bool, bool, bool]]) -> None:
    numbers = np.array([r[0] for r in rows], np.int64)
    before, now = (np.array([r[k] for r in rows], np.bool_) for k in (1, 2))
    ever = before | np.array([r[3] for r in rows], np.bool_)
    ids = keys(9)
    found = changes(numbers, ids[numbers], before, now, ever)
    told = {tuple(i): (KINDS[k], b, n) for i, k, b, n in zip(found.entities.tolist(), found.kinds, found.before, found.now, strict=True)}
    same = 0
    for entity in range(9):
        had, has, knew = ({k for k in np.flatnonzero(numbers == entity) if side[k]} for side in (before, now, ever))
        kind = ("back" if knew else "new") if has and not had else "gone" if had and not has else "changed" if had != has else ""
        same += had == has and bool(has)
        assert told.get(tuple(ids[entity].tolist())) == ((kind, len(had), len(has)) if kind else None)
    assert found.same == same
    assert found.entities.tolist() == sorted(found.entities.tolist())
