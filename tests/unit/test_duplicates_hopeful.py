from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sanitizer.duplicates import hopeful
from data_sanitizer.duplicates.hopeful import LEAST, Hopeful


def filled(folder: Path, weights: np.ndarray, parts: int, most: int) -> Hopeful:
    found = Hopeful(folder, 3, most)
    rows = np.arange(len(weights))
    for part in np.array_split(rows, parts):
        found.add(part, part + 7, np.stack([part % 5, part % 3, part % 2], axis=1).astype(np.int8), weights[part])
    return found


def rows_of(found: Hopeful) -> list[int]:
    return [int(a) for part in found.parts() for a in part[0]]


def test_pairs_come_back_as_they_were_given_as_often_as_one_likes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hopeful, "_PART", 4)
    found = filled(tmp_path, np.linspace(-20, 20, 41, dtype=np.float32), 3, 100)
    for _ in range(2):
        parts = list(found.parts())
        a, b, levels = (np.concatenate([p[k] for p in parts]) for k in range(3))
        assert a.tolist() == list(range(9, 41))  # those above -12
        assert (b == a + 7).all()
        assert (levels == np.stack([a % 5, a % 3, a % 2], axis=1)).all()
    assert len(found) == 32
    found.close()


def test_no_pairs_are_one_empty_part(tmp_path: Path) -> None:
    found = Hopeful(tmp_path, 4, 10)
    assert [tuple(array.shape for array in part) for part in found.parts()] == [((0,), (0,), (0, 4))]
    assert (len(found), found.bar) == (0, LEAST)


@given(st.lists(st.integers(-60, 400), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 40))
def test_which_pairs_are_left_does_not_depend_on_their_order(
    tmp_path_factory: pytest.TempPathFactory, quarters: list[int], parts: int, most: int
) -> None:
    weights = np.array(quarters, np.float32) / 4
    order = np.random.default_rng(len(quarters)).permutation(len(weights))
    one, other = (filled(tmp_path_factory.mktemp("hopeful"), w, n, most) for w, n in ((weights, parts), (weights[order], 1)))
    assert sorted(rows_of(one)) == sorted(int(order[a]) for a in rows_of(other))
    assert one.bar == other.bar
    assert sorted(rows_of(one)) == np.flatnonzero(weights > one.bar).tolist()
    assert len(one) == len(rows_of(one)) <= most or one.bar > 100
    if one.bar > LEAST:
        assert (weights > one.bar - 2).sum() > most  # the bar is no higher than it must be
