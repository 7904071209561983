"""The row that is kept: complete, then typical, then first."""

import numpy as np

from data_sanitizer.duplicates.survivor import survivors


def kept(clusters: list[int], cells: list[list[int]]) -> list[int]:
    rows = np.arange(len(clusters), dtype=np.int64) * 10
    return survivors(
        rows, np.array(clusters, np.int64), np.array(cells, np.uint64).reshape(len(clusters), 3 if not cells else len(cells[0]))
    ).tolist()


def test_nothing_survives_nothing() -> None:
    assert kept([], []) == []


def test_the_most_complete_row_is_kept() -> None:
    assert kept([1, 1, 7], [[5, 0], [5, 6], [0, 0]]) == [10, 10, 20]


def test_of_equally_complete_rows_the_one_that_agrees_with_most_is_kept() -> None:
    assert kept([1, 1, 1], [[9, 3, 4], [5, 3, 4], [5, 3, 8]]) == [10, 10, 10]


def test_an_empty_cell_is_no_majority() -> None:
    assert kept([1, 1, 1], [[0, 3], [0, 3], [7, 0]]) == [0, 0, 0]


def test_else_the_first_row_is_kept() -> None:
    assert kept([4, 4, 2, 2], [[1, 2], [3, 4], [5, 6], [5, 6]]) == [0, 0, 20, 20]


def test_clusters_do_not_see_each_other() -> None:
    assert kept([1, 2, 1, 2], [[1, 1], [2, 0], [1, 0], [2, 2]]) == [0, 30, 0, 30]
