"""The same near-duplicates for any order of the rows, any block size and any number of threads."""

import numpy as np
import pytest

from tests.unit.near_tables import found, pairs, people, products


def matches(result, rows: np.ndarray) -> dict[tuple[int, int], tuple[float, float]]:  # type: ignore[no-untyped-def]
    """The pairs by the original numbers of their rows, with their confidences."""
    ends = ((int(rows[a]), int(rows[b])) for a, b in zip(result.a, result.b, strict=True))
    return {(min(e), max(e)): (float(c), float(r)) for e, c, r in zip(ends, result.confidences, result.related, strict=True)}


@pytest.mark.parametrize("make", [lambda: people(500, 21, 0.4)[0], lambda: people(2900, 22, 0.3)[0], lambda: products(250, 23)[0]])
def test_no_order_no_block_and_no_thread_matters(make) -> None:  # type: ignore[no-untyped-def]
    table = make()
    first = found(table)
    rows = np.arange(table.height)
    for seed, block, threads in ((1, 1 << 16, 1), (2, 333, 2)):
        order = np.random.default_rng(seed).permutation(table.height)
        result = found(table[order.tolist()], block, threads)
        back = np.empty(table.height, np.int64)
        back[order] = rows
        assert pairs(result.clusters[back]) == pairs(first.clusters)
        assert pairs(result.kept[back]) == pairs(first.kept)
        assert matches(result, order) == matches(first, rows)


def test_the_same_order_gives_the_same_bytes() -> None:
    table = people(2700, 31, 0.2)[0]
    one, other = found(table), found(table, 100, 2)
    for name in ("a", "b", "confidences", "related", "levels", "bits", "clusters", "kept"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert one.figures == other.figures
