"""From weights to confidence: rivals, standing, monotone means, calibration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sanitizer.duplicates import calibration as c

A, B = np.array([0, 0, 1, 4]), np.array([1, 2, 2, 5])


def test_rivals_are_the_best_other_pairs_of_either_row() -> None:
    left, right = c.rivals(6, A, B, np.array([3.0, 5.0, -1.0, 2.0]))
    assert left.tolist() == [5, 3, 3, -np.inf]
    assert right.tolist() == [-1, -1, 5, -np.inf]


def test_a_tie_is_a_rival() -> None:
    left, _ = c.rivals(3, np.array([0, 0]), np.array([1, 2]), np.array([4.0, 4.0]))
    assert left.tolist() == [4, 4]


def test_a_pair_stands_out_where_nothing_else_is_near() -> None:
    stands = c.standing(6, A, B, np.array([0.9, 0.8, 0.1, 0.9], np.float32))
    assert stands[3] == pytest.approx(0.9)
    assert stands[0] == pytest.approx(0.9 - 0.4 * (0.8 + 0.1) / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=200))
def test_the_rising_mean_rises_and_keeps_within_bounds(points: list[tuple[float, float]]) -> None:
    x, y = np.array(points).T
    means = c.rising_mean(x, y)
    assert (np.diff(means[np.argsort(x, kind="stable")]) >= -1e-12).all()
    assert means.min() >= y.min() - 1e-12
    assert means.max() <= y.max() + 1e-12


def test_the_second_opinion_moves_an_undecided_pair_to_where_pairs_as_alike_are() -> None:
    stands = np.linspace(0, 1, 400)
    posteriors = (stands > 0.5).astype(np.float64)
    weights = np.where(posteriors > 0, 8.0, -8.0)
    weights[[20, 380]] = 0
    opinion = c.second_opinion(weights, posteriors, stands)
    assert opinion[20] < -3
    assert opinion[380] > 3


def test_a_standing_that_explains_nothing_is_not_heard() -> None:
    posteriors = np.tile([0.0, 1.0], 200)
    weights = np.where(posteriors > 0, 8.0, -8.0)
    assert c.second_opinion(weights, posteriors, np.linspace(0, 1, 400)).tolist() == weights.tolist()


def test_texts_alone_are_never_sure() -> None:
    assert c.probability(c.text_weights(np.array([1.0]))).max() < 0.8


def test_third_rows_are_penalised_where_clusters_are_pairs() -> None:
    assert c.penalty(np.array([2] * 200 + [3])) > 4
    assert c.penalty(np.array([2] * 20 + [3] * 20)) == 0
    assert c.penalty(np.array([1, 1])) == 0


def test_of_two_partners_the_better_one_keeps_more() -> None:
    weights = c.contested(3, np.array([0, 0]), np.array([1, 2]), np.array([9.0, 6.0]), 5.0)
    assert weights[0] == pytest.approx(4.0, abs=0.1)
    assert weights[1] == pytest.approx(1.0, abs=0.1)
    assert c.contested(2, np.array([0]), np.array([1]), np.array([9.0]), 5.0) == pytest.approx([9.0])


def test_the_calibration_error_of_honest_confidences_is_small_and_of_boasts_large() -> None:
    dice = np.random.default_rng(5)
    said = dice.uniform(0.5, 1, 20_000).astype(np.float32)
    assert c.calibration_error(said, dice.random(20_000) < said) < 0.01
    assert c.calibration_error(np.full(1000, 0.99, np.float32), np.arange(1000) < 500) == pytest.approx(0.49, abs=0.01)
    assert c.calibration_error(np.zeros(3, np.float32), np.zeros(3, np.bool_)) == 0
