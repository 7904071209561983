"""The similarity kernels against rapidfuzz, and against plain Python where it has no such measure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz
from rapidfuzz.distance import OSA, JaroWinkler

from data_sanitizer.duplicates import similarity
from data_sanitizer.duplicates.cells import Text

LETTERS = st.text("abc1 ", max_size=30)
LONG = st.text("abcdefgh ", max_size=300)


def text(*cells: str) -> Text:
    encoded = [c.encode() for c in cells]
    return Text(np.concatenate([[0], np.cumsum([len(c) for c in encoded])]).astype(np.int64), np.frombuffer(b"".join(encoded), np.uint8))


def first_two() -> tuple[np.ndarray, np.ndarray]:
    return np.array([0, 1]), np.array([1, 0])


def clean(cell: str) -> str:
    return " ".join(cell.split())


@given(LETTERS, LETTERS, st.integers(0, 6))
@settings(max_examples=500, deadline=None)
def test_edits_is_the_osa_distance_up_to_the_limit(one: str, other: str, limit: int) -> None:
    found = similarity.edits(text(one, other), *first_two(), limit)
    assert found.tolist() == [-min(OSA.distance(one, other), limit + 1)] * 2


@given(LETTERS, LETTERS)
@settings(max_examples=500, deadline=None)
def test_jaro_is_jaro_winkler(one: str, other: str) -> None:
    found = similarity.jaro(text(one, other), *first_two())
    one, other = sorted([one, other])
    expected = [JaroWinkler.similarity(one, other) if one and other else 0] * 2
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(LONG.map(clean), LONG.map(clean))
@settings(max_examples=300, deadline=None)
def test_ratio_of_sorted_tokens_is_the_token_sort_ratio(one: str, other: str) -> None:
    cells = similarity.sorted_tokens(text(one, other, one))
    found = similarity.ratio(cells, np.array([0, 1, 2]), np.array([1, 0, 1]))
    expected = fuzz.token_sort_ratio(one, other) / 100 if one and other else 0
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_ratio_is_not_worked_out_where_the_lengths_forbid_it() -> None:
    cells = text("a" * 10, "a" * 100, "a" * 12)
    assert similarity.ratio(cells, np.array([0, 0]), np.array([1, 2]), 0.6).tolist() == [0, pytest.approx(20 / 22)]
