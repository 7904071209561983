"""Views of cells, and damaged copies of them."""

import numpy as np
import pytest

from data_sanitizer.duplicates import tokens
from data_sanitizer.duplicates.cells import Text, normalise
from data_sanitizer.duplicates.corruption import damaged
from data_sanitizer.duplicates.views import AFFIXES, RARE, VIEWS, views


def text(*cells: str) -> Text:
    encoded = [c.encode() for c in cells]
    return Text(np.concatenate([[0], np.cumsum([len(c) for c in encoded])]).astype(np.int64), np.frombuffer(b"".join(encoded), np.uint8))


def strings(cells: Text) -> list[str]:
    return [bytes(cells.data[a:b]).decode() for a, b in zip(cells.offsets[:-1], cells.offsets[1:], strict=True)]


def seen(*cells: str) -> dict[str, np.ndarray]:
    known = tokens.frequencies(text(*cells))
    return views(text(*cells), normalise(text(*cells)).fingerprints, VIEWS["long"], known)


@pytest.mark.parametrize(
    ("view", "one", "same", "other"),
    [
        ("full", "new york", "newyork", "new yorks"),
        ("p3", "new york", "newt", "york new"),
        ("p4", "new york", "ne wyland", "newark city"),
        ("s4", "new york", "old y ork", "new yore"),
    ],
)
def test_cells_with_the_same_part_have_the_same_view(view: str, one: str, same: str, other: str) -> None:
    found = seen(one, same, other)[view]
    assert found[0] == found[1] != found[2]
    assert found.all()


def test_short_cells_have_no_view_of_a_part() -> None:
    found = seen("", "abc", "abcd", "abcde", "abcdef")
    assert [(found[v] != 0).tolist() for v in AFFIXES] == [[False] * 2 + [True] * 3, [False] * 4 + [True], [False] * 4 + [True]]
    assert len({int(found[v][4]) for v in ("full", *AFFIXES)}) == 4


def test_the_rarest_tokens_come_first_but_those_of_one_cell_alone_last() -> None:
    cells = ["the red pump", "the red valve", "the blue valve", "the pump x7k", "the the the"]
    found = seen(*cells)
    own = {w: int(seen(f"{w} {w}", w)["m0"][0]) for w in ("the", "red", "pump", "valve", "x7k")}
    assert {int(found["r1"][0]), int(found["r2"][0])} == {own["red"], own["pump"]}
    assert found["r3"][0] == found["r2"][3] == own["the"]
    assert found["r3"][3] == own["x7k"]
    assert (found["r1"][4], found["r2"][4], found["r3"][4]) == (own["the"], 0, 0)


def test_the_least_tokens_do_not_depend_on_order_or_repetition() -> None:
    found = seen("alpha beta gamma", "gamma alpha alpha beta", "alpha beta")
    for view in ("m0", "m1"):
        assert found[view][0] == found[view][1]
    assert views(text("a"), np.ones(1, np.uint64), RARE, tokens.frequencies(text("a")))["m0"][0] == 0


def test_damage_is_of_the_stated_kinds_and_shares() -> None:
    cells = [f"alpha beta{k} gamma" for k in range(4000)]
    rows = np.random.default_rng(1).integers(0, 2**63, len(cells)).astype(np.uint64)
    copies = strings(damaged(text(*cells), rows, 3, 0.5))
    changed = [(a, b) for a, b in zip(cells, copies, strict=True) if a != b]
    assert 0.42 < len(changed) / len(cells) < 0.52
    gone = sum(not b for _, b in changed) / len(changed)
    lost = sum(len(b.split()) == 2 and set(b.split()) < set(a.split()) for a, b in changed) / len(changed)
    turned = sum(sorted(a.split()) == sorted(b.split()) for a, b in changed) / len(changed)
    assert (0.12 < gone < 0.19, 0.12 < lost < 0.19, 0.07 < turned < 0.13) == (True, True, True)


def test_damage_goes_with_the_content_of_the_row() -> None:
    cells, rows = ["some words here", "other words there"], np.array([7, 2**40], np.uint64)
    there = strings(damaged(text(*cells), rows, 1, 1.0))
    assert strings(damaged(text(*cells[::-1]), rows[::-1].copy(), 1, 1.0)) == there[::-1]
    assert strings(damaged(text(*cells), rows, 1, 1e-9)) == cells
