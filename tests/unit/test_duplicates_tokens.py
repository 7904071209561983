"""Document frequencies and weighted overlap against sets of Python."""

from math import log2, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer.duplicates import tokens
from data_sanitizer.duplicates.cells import Text

CELLS = st.lists(
    st.lists(st.sampled_from(["sony", "tv", "kdl40", "a", "black", "the", "sonny"]), max_size=9).map(" ".join), min_size=2, max_size=8
)


def text(*cells: str) -> Text:
    encoded = [c.encode() for c in cells]
    return Text(np.concatenate([[0], np.cumsum([len(c) for c in encoded])]).astype(np.int64), np.frombuffer(b"".join(encoded), np.uint8))


@given(CELLS, st.sampled_from([tokens.COSINE, tokens.JACCARD, tokens.CONTAINMENT]))
@settings(max_examples=300, deadline=None)
def test_overlap_is_that_of_sets_with_weights(cells: list[str], mode: int) -> None:
    known = tokens.frequencies(text(*cells))
    found = tokens.overlap(tokens.terms(text(*cells), known), np.array([0]), np.array([1]), mode, soft=False)
    sets = [set(c.split()) for c in cells]
    total = sum(map(bool, sets))
    weight = {t: log2((total + 1) / sum(t in s for s in sets)) ** (2 if mode == tokens.COSINE else 1) for s in sets for t in s}
    common, one, other = (sum(weight[t] for t in s) for s in (sets[0] & sets[1], sets[0], sets[1]))
    whole = (sqrt(one * other), one + other - common, min(one, other))[mode]
    assert found[0] == pytest.approx(common / whole if whole else 0, abs=1e-5)


def test_a_wrong_letter_is_forgiven_once() -> None:
    cells = text("panasonic viera", "panasonik viera", "panasonik panasonic", "pan vie")
    terms = tokens.terms(cells, tokens.frequencies(cells))
    left, right = np.array([0, 0, 0]), np.array([1, 2, 3])
    soft = tokens.overlap(terms, left, right, tokens.JACCARD)
    assert soft[0] == 1.0
    assert 0.3 < soft[1] < 0.7
    assert soft[2] == 0.0
    assert tokens.overlap(terms, left, right, tokens.JACCARD, soft=False)[0] < 0.6


@given(CELLS)
@settings(max_examples=200, deadline=None)
def test_overlap_is_mutual(cells: list[str]) -> None:
    terms = tokens.terms(text(*cells), tokens.frequencies(text(*cells)))
    there, back = tokens.overlap(terms, np.array([0, 1]), np.array([1, 0]))
    assert there == back


def test_frequencies_of_parts_add_up() -> None:
    whole, parts = (
        tokens.frequencies(text("a b", "b", "", "c c")),
        tokens.frequencies(text("a b", "b")) + tokens.frequencies(text("", "c c")),
    )
    assert whole.cells == parts.cells == 3
    np.testing.assert_array_equal(whole.counters, parts.counters)
    assert sorted(whole.counters[whole.counters > 0]) == [1, 1, 2]


def test_rarer_terms_weigh_more() -> None:
    cells = text("rare common", "common x", "common y", "rare z")
    terms = tokens.terms(cells, tokens.frequencies(cells))
    scores = tokens.overlap(terms, np.array([0, 0]), np.array([3, 1]))
    assert scores[0] > scores[1] > 0
