"""Gram cosine against sets of Python."""

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer.duplicates import grams
from data_sanitizer.duplicates.cells import Text


def text(*cells: str) -> Text:
    encoded = [c.encode() for c in cells]
    return Text(np.concatenate([[0], np.cumsum([len(c) for c in encoded])]).astype(np.int64), np.frombuffer(b"".join(encoded), np.uint8))


def of(cell: str) -> set[str]:
    padded = f" {cell} "
    return {padded[k : k + 3] for k in range(len(cell))}


@given(st.lists(st.text("abc ", max_size=20), min_size=3, max_size=6))
@settings(max_examples=300, deadline=None)
def test_cosine_is_that_of_sets_with_weights(cells: list[str]) -> None:
    weights = grams.rarity(*grams.frequencies(text(*cells)))
    found = grams.cosine(text(*cells), np.array([0, 0, 2]), np.array([1, 2, 0]), weights)
    sets = [of(c) for c in cells]
    total = max(sum(map(bool, sets)) + 1, 2)
    rare = {g: log(total / sum(g in s for s in sets)) ** 2 for s in sets for g in s}

    def cosine(i: int, j: int) -> float:
        norm = sqrt(sum(rare[g] for g in sets[i]) * sum(rare[g] for g in sets[j]))
        return sum(rare[g] for g in sets[i] & sets[j]) / norm if norm else 0.0

    assert found.tolist() == [pytest.approx(cosine(i, j), abs=1e-3) for i, j in ((0, 1), (0, 2), (2, 0))]


def test_counts_of_parts_add_up() -> None:
    whole, cells = grams.frequencies(text("abab", "b", "", "ab"))
    one, two = grams.frequencies(text("abab", "b")), grams.frequencies(text("", "ab"))
    np.testing.assert_array_equal(whole, one[0] + two[0])
    assert cells == one[1] + two[1] == 3
