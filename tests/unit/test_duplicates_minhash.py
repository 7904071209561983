"""MinHash estimates Jaccard without bias; banded LSH finds pairs with the probability that theory gives."""

import numpy as np
import pytest

from data_sanitizer.duplicates.cells import Text
from data_sanitizer.duplicates.lsh import bands, probability
from data_sanitizer.duplicates.minhash import EMPTY, signatures, similarity

PAIRS = 4000


def text(cells: list[str]) -> Text:
    encoded = [c.encode() for c in cells]
    return Text(np.concatenate([[0], np.cumsum([len(c) for c in encoded])]).astype(np.int64), np.frombuffer(b"".join(encoded), np.uint8))


def pairs(shared: int, own: int) -> tuple[Text, Text, float]:
    """PAIRS pairs of texts with `shared` tokens in common and `own` each of their own, and their Jaccard similarity."""
    one, other = [], []
    for k in range(PAIRS):
        common = [f"shared{k}x{i}" for i in range(shared)]
        one.append(" ".join(common + [f"left{k}x{i}" for i in range(own)]))
        other.append(" ".join([f"right{k}x{i}" for i in range(own)] + common[::-1]))
    return text(one), text(other), shared / (shared + 2 * own)


@pytest.mark.parametrize(("shared", "own"), [(90, 5), (60, 20), (30, 35), (10, 45), (6, 2), (3, 3), (1, 1)])
def test_the_estimate_is_unbiased(shared: int, own: int) -> None:
    one, other, jaccard = pairs(shared, own)
    found = similarity(signatures(one), signatures(other))
    assert abs(found.mean() - jaccard) < 3 * found.std() / np.sqrt(PAIRS)


@pytest.mark.parametrize(("shared", "own"), [(200, 30), (150, 100)])
def test_the_variance_of_many_elements_is_that_of_many_permutations(shared: int, own: int) -> None:
    one, other, jaccard = pairs(shared, own)
    found = similarity(signatures(one), signatures(other))
    assert found.var() < 1.15 * jaccard * (1 - jaccard) / 64


@pytest.mark.parametrize(("shared", "own"), [(80, 10), (60, 20), (40, 30), (30, 35)])
@pytest.mark.parametrize("rows", [2, 4, 8])
def test_candidates_come_with_the_probability_of_theory(shared: int, own: int, rows: int) -> None:
    one, other, jaccard = pairs(shared, own)
    met = (bands(signatures(one, 64), rows) == bands(signatures(other, 64), rows)).any(axis=0).mean()
    expected = probability(jaccard, 64 // rows, rows)
    # Bins of one signature are not independent and some are copies; that shows as a small difference beside the sampling error.
    assert abs(met - expected) < 3 * np.sqrt(expected * (1 - expected) / PAIRS) + 0.03


def test_probability_is_the_formula() -> None:
    assert probability(0.8, 16, 8) == pytest.approx(1 - (1 - 0.8**8) ** 16)
    assert (probability(0.0, 4, 4), probability(1.0, 4, 4)) == (0.0, 1.0)


def test_a_text_without_elements_meets_nobody() -> None:
    signed = signatures(text(["", "", "a b"]))
    assert (signed[:2] == EMPTY).all()
    assert (signed[2] != EMPTY).all()
    assert similarity(signed[0], signed[1]) == 0.0
    assert (bands(signed, 4) != 0).tolist() == [[False, False, True]] * 16


def test_shingles_are_of_bytes_in_a_row() -> None:
    signed = signatures(text(["abcdefgh", "abcdefgh", "ab", "ab"]), 32, 3)
    assert similarity(signed[0], signed[1]) == similarity(signed[2], signed[3]) == 1.0
    assert similarity(signed[0], signed[2]) == 0.0
