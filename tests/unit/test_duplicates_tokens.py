"""In how many cells a token occurs."""

import numpy as np

from data_sanitizer.duplicates import tokens
from data_sanitizer.duplicates.cells import Text


def text(*cells: str) -> Text:
    encoded = [c.encode() for c in cells]
    return Text(np.concatenate([[0], np.cumsum([len(c) for c in encoded])]).astype(np.int64), np.frombuffer(b"".join(encoded), np.uint8))


def test_frequencies_of_parts_add_up() -> None:
    whole, parts = (
        tokens.frequencies(text("a b", "b", "", "c c")),
        tokens.frequencies(text("a b", "b")) + tokens.frequencies(text("", "c c")),
    )
    assert whole.cells == parts.cells == 3
    np.testing.assert_array_equal(whole.counters, parts.counters)
    assert sorted(whole.counters[whole.counters > 0]) == [1, 1, 2]
