"""Normalised cells: folding, fingerprints, content hashes, and the records they are kept in."""

import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer.duplicates.cells import LONGEST, Normalised, Text, normalise, texts
from data_sanitizer.duplicates.records import RecordFile, Records


def normalised(*cells: str | None) -> Normalised:
    return normalise(next(texts(pl.DataFrame({"a": cells}, schema={"a": pl.String}))))


def strings(text: Text) -> list[str]:
    return [bytes(text.data[a:b]).decode() for a, b in zip(text.offsets[:-1], text.offsets[1:], strict=True)]


def records(folder: Path, frame: pl.DataFrame, block: int = 1000) -> Records:
    file = RecordFile(folder)
    for part in frame.iter_slices(block):
        file.append(part)
    return file.finish()


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("Àlex Straße", "alex strasse"),
        ("  Łódź—Ørsted,  ÆON ", "lodz orsted aeon"),
        ("ﬁne １２Ａ", "fine 12a"),
        ("Москва", "москва"),
        ("東京", "東京"),
        ("e\u0301te\u0301", "ete"),
        ("Tiếng Việt", "tieng viet"),
        ("ΆΛΦΑ", "αλφα"),
        ("O'Brien 😀x", "o brien x"),
        ("N/A", ""),
        ("None", ""),
        ("-", ""),
        ("", ""),
    ],
)
def test_a_cell_is_folded(cell: str, text: str) -> None:
    assert strings(normalised(cell, "next").text) == [text, "next"]


@given(st.lists(st.text(max_size=40), max_size=5))
@settings(max_examples=200, deadline=None)
def test_folding_twice_changes_nothing(cells: list[str]) -> None:
    once = strings(normalised(*cells).text)
    assert strings(normalised(*once).text) == once
    assert all(c == " ".join(c.split(" ")) and "  " not in c and c == c.strip(" ") for c in once)


@given(st.text(st.characters(min_codepoint=0xC0, max_codepoint=0x24F), max_size=20))
@settings(max_examples=200, deadline=None)
def test_composed_and_decomposed_are_the_same(cell: str) -> None:
    one, other = normalised(unicodedata.normalize("NFC", cell), unicodedata.normalize("NFD", cell)).fingerprints
    assert one == other


def test_fingerprints_ignore_blanks_signs_and_case() -> None:
    prints = normalised("New York", "NEWYORK", "new-york ", "New Yorks", None, "x", "unknown").fingerprints
    assert prints[0] == prints[1] == prints[2] != prints[3]
    assert prints[4] == prints[6] == 0 != prints[5]


def test_different_texts_have_different_fingerprints() -> None:
    cells = [f"{'ab' * (k % 20)}{k}" for k in range(20_000)]
    assert len(np.unique(normalised(*cells).fingerprints)) == len(cells)


def test_a_long_cell_is_cut_between_characters_but_its_fingerprint_is_of_all_of_it() -> None:
    found = normalised("x" + "д" * LONGEST, "x" + "д" * LONGEST + "y")
    assert [len(s.encode()) for s in strings(found.text)] == [LONGEST - 1] * 2
    assert found.fingerprints[0] != found.fingerprints[1]


def test_broken_bytes_are_blanks() -> None:
    data = np.frombuffer(b"a\xffb\xc3", np.uint8)
    assert strings(normalise(Text(np.array([0, 4]), data)).text) == ["a b"]


def test_counts_are_of_cells_tokens_characters_and_digits() -> None:
    assert normalised("ab 12", None, "n/a", "c").counts.tolist() == [2, 3, 5, 2]


def frame(rows: int = 500) -> pl.DataFrame:
    numbers = range(rows)
    return pl.DataFrame(
        {
            "name": [f"Name{k % 97}" for k in numbers],
            "amount": [k * 1.5 if k % 5 else None for k in numbers],
            "note": [f"A longer remark on number {k} of them" for k in numbers],
            "none": [None] * rows,
        }
    )


def test_records_are_the_same_for_any_block_size(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = records(tmp_path / "a", frame(), 1000), records(tmp_path / "b", frame(), 7)
    for name in ("contents", "prints", "sizes", "starts", "text", "counts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.kinds == ("short", "number", "long", "empty")


def test_cells_are_gathered_in_the_order_asked_for(tmp_path: Path) -> None:
    kept = records(tmp_path, frame(), 64)
    assert strings(kept.gather(np.array([499, 3, 3]), 2)) == [f"a longer remark on number {k} of them" for k in (499, 3, 3)]
    kept.release()
    assert strings(kept.gather(np.array([5, 6]), 1)) == ["", "9 0"]


@pytest.mark.parametrize("large", [1 << 40, 0])
def test_a_subset_is_the_same_rows_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr("data_sanitizer.duplicates.records._LARGE", large)
    kept, rows = records(tmp_path, frame(), 64), np.array([499, 3, 3, *range(30)])
    part = kept.subset(rows)
    assert part.rows == len(rows)
    np.testing.assert_array_equal(part.prints, kept.prints[rows])
    np.testing.assert_array_equal(part.contents, kept.contents[rows])
    for column in range(4):
        assert strings(part.gather(np.arange(len(rows)), column)) == strings(kept.gather(rows, column))
    np.testing.assert_array_equal(kept.fingerprints(2), kept.prints[:, 2])
    assert kept.lengths(2).tolist() == sorted({len(f"a longer remark on number {k} of them") for k in range(500)})
    assert kept.subset(np.zeros(0, np.int64)).rows == 0


def test_the_content_hash_is_of_the_row_and_not_of_its_place(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    there, back = records(tmp_path, frame()), records(tmp_path / "r", frame().reverse())
    np.testing.assert_array_equal(there.contents, back.contents[::-1])
    assert len(np.unique(there.contents)) == 500
    swapped = normalised("a", "b").fingerprints
    assert swapped[0] != swapped[1]


def test_a_table_without_rows_has_no_records(tmp_path: Path) -> None:
    assert RecordFile(tmp_path).finish().rows == 0
