"""Guarded clusters: what joins, what objects, and that no order matters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sanitizer.duplicates.clusters import guarded

CONTENTS = np.arange(1, 200, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def clusters(rows: int, edges: dict[tuple[int, int], float], least: float = 0.0, not_compared: float = -0.5) -> list[int]:
    a, b = (np.array([e[k] for e in edges], np.int64) for k in (0, 1))
    return guarded(rows, a, b, np.array(list(edges.values()), np.float64), CONTENTS[:rows], least, not_compared).tolist()


def as_sets(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == k).tolist()) for k in np.unique(labels)}


def test_without_pairs_every_row_is_alone() -> None:
    assert clusters(3, {}) == [0, 1, 2]


def test_a_pair_above_the_bar_joins_two_rows() -> None:
    assert clusters(4, {(1, 3): 5.0, (0, 2): -5.0}) == [0, 1, 2, 1]


def test_the_bar_holds_back_weak_pairs() -> None:
    assert clusters(2, {(0, 1): 5.0}, least=6.6) == [0, 1]


def test_a_triangle_whose_third_side_objects_does_not_close() -> None:
    assert clusters(3, {(0, 1): 7.0, (1, 2): 5.0, (0, 2): -8.0}) == [0, 0, 2]


def test_a_weak_objection_is_outweighed() -> None:
    assert clusters(3, {(0, 1): 7.0, (1, 2): 5.0, (0, 2): -2.0}) == [0, 0, 0]


def test_one_bad_pair_does_not_tie_two_families_together() -> None:
    family = {(0, 1): 8.0, (1, 2): 8.0, (0, 2): 8.0, (3, 4): 8.0, (4, 5): 8.0, (3, 5): 8.0}
    others = {(a, b): -8.0 for a in (0, 1, 2) for b in (3, 4, 5) if (a, b) != (2, 3)}
    assert clusters(6, {**family, (2, 3): 30.0, **others}) == [2 if k in (2, 3) else 0 if k < 2 else 4 for k in range(6)]
    assert clusters(6, {**family, (2, 3): 4.0, **others}) == [0, 0, 0, 3, 3, 3]


def test_pairs_that_were_not_compared_object_a_little() -> None:
    chain = {(k, k + 1): 1.0 for k in range(7)}
    assert len(set(clusters(8, chain, not_compared=0.0))) == 1
    assert len(set(clusters(8, chain, not_compared=-2.0))) > 1


@pytest.mark.parametrize("size", [50, 150])
def test_a_large_cluster_is_found_whole(size: int) -> None:
    assert set(clusters(size, {(a, b): 3.0 for a in range(size) for b in range(a + 1, size)})) == {0}


@given(st.data())
def test_neither_the_order_of_rows_nor_of_pairs_matters(data: st.DataObject) -> None:
    rows = data.draw(st.integers(2, 12))
    every = [(a, b) for a in range(rows) for b in range(a + 1, rows)]
    edges = data.draw(st.lists(st.sampled_from(every), unique=True, min_size=1))
    weights = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=len(edges), max_size=len(edges))), np.float64)
    a, b = (np.array([e[k] for e in edges], np.int64) for k in (0, 1))
    new = np.array(data.draw(st.permutations(range(rows))), np.int64)
    shuffled = np.array(data.draw(st.permutations(range(len(edges)))), np.int64)
    moved = np.empty(rows, np.uint64)
    moved[new] = CONTENTS[:rows]
    first, second = np.minimum(new[a], new[b])[shuffled], np.maximum(new[a], new[b])[shuffled]
    labels = guarded(rows, a, b, weights, CONTENTS[:rows])
    turned = guarded(rows, first, second, weights[shuffled], moved)
    assert as_sets(labels) == as_sets(turned[new])
    assert all(labels[k] <= k and labels[labels[k]] == labels[k] for k in range(rows))
