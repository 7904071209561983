"""The sample of rows is a reservoir: every row is as likely to be in it as any other, wherever it stands."""

import numpy as np
import polars as pl
import pytest

from data_sanitizer.profile import sample
from data_sanitizer.profile.sample import RowSample

ROWS, SIZE, SEEDS = 500, 50, 400


def drawn(seed: int, source: int = 0, block: int = 120) -> set[int]:
    found = RowSample(seed)
    for first in range(0, ROWS, block):
        rows = np.arange(first, min(first + block, ROWS), dtype=np.uint64)
        found.update(pl.DataFrame({"row": rows}), source, rows)
    return set(found.rows()["row"].to_list())


@pytest.mark.parametrize("source", [0, 3])
def test_every_row_is_as_likely_as_any_other(monkeypatch: pytest.MonkeyPatch, source: int) -> None:
    monkeypatch.setattr(sample, "SIZE", SIZE)
    counts = np.zeros(ROWS)
    for seed in range(SEEDS):
        rows = drawn(seed, source)
        assert len(rows) == SIZE
        counts[list(rows)] += 1
    share = SIZE / ROWS
    spread = np.sqrt(SEEDS * share * (1 - share))
    assert abs(counts - SEEDS * share).max() < 5 * spread  # 500 rows: beyond 4 standard errors lies one in 30 at most
    chi_square = ((counts - SEEDS * share) ** 2 / spread**2).sum()
    assert abs(chi_square - (ROWS - 1)) < 4 * np.sqrt(2 * (ROWS - 1))
    assert abs(counts[: ROWS // 2].sum() - counts[ROWS // 2 :].sum()) < 4 * spread * np.sqrt(ROWS)  # early and late rows


def test_two_rows_are_drawn_together_as_often_as_chance_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "SIZE", SIZE)
    together = sum(len(rows & {r + 1 for r in rows}) for rows in map(drawn, range(SEEDS)))
    expected = SEEDS * (ROWS - 1) * (SIZE / ROWS) * ((SIZE - 1) / (ROWS - 1))
    assert abs(together - expected) < 4 * np.sqrt(expected)
