"""What the scan takes a cell for."""

from __future__ import annotations

import polars as pl
import pytest

from data_sanitizer.profile._cells import scan
from data_sanitizer.profile._scan import FLAGS, NULL_TOKENS, SHAPES

SHAPE_OF = {
    "42": "integer", "-7": "integer", "0": "integer", "007": "leading_zero", "00.5": "leading_zero", "1234567890123456": "long_digits",
    "3.14": "decimal_point", "0.125": "decimal_point", "3,14": "decimal_comma", "1.234": "ambiguous_point", "1,234": "ambiguous_comma",
    "1,234,567": "grouped_comma", "1,234.50": "grouped_comma", "1.234,50": "grouped_point", "12,34,567": "digits_and_signs",
    "2015-03-18": "date_ymd", "2015/3/8": "date_ymd", "18/03/2015": "date_dmy", "03/18/2015": "date_mdy", "03/04/2015": "date_ambiguous",
    "18.03.15": "date_dmy", "31/02/2015": "digits_and_signs", "29/02/2016": "date_dmy", "29/02/2015": "digits_and_signs",
    "2015-03-18 12:30:00": "timestamp", "2015-03-18T12:30:00Z": "timestamp", "12:30": "time", "a.b@example.org": "email",
    "https://example.org/x": "url", "www.example.org": "url", "+49 30 1234567": "digits_and_signs", "AB-4839": "code", "1e5": "code",
    "Anna": "word", "O'Neil": "word", "José": "word", "Hello, world! 3 times": "text", "€ 3,50": "decimal_comma", "12.5%": "decimal_point",
    "$1,234.00": "grouped_comma", "5$3": "text", "": "missing", " \t": "missing", "x" * 65: "text", "-": "text", "+": "text",
}  # fmt: skip


@pytest.mark.parametrize(("cell", "shape"), SHAPE_OF.items())
def test_shape(cell: str, shape: str) -> None:
    assert SHAPES[scan(pl.Series([cell])).shapes[0]] == shape


def test_null_is_missing_and_keeps_the_cells_after_it_in_place() -> None:
    cells = scan(pl.Series([None, "a", None, "", "42"]))
    assert [SHAPES[s] for s in cells.shapes] == ["missing", "word", "missing", "missing", "integer"]
    assert cells.numbers[4] == 42


@pytest.mark.parametrize("token", NULL_TOKENS)
def test_null_tokens_are_known_in_any_case_and_with_blanks(token: str) -> None:
    for form in (token, token.upper(), f"  {token.title()} "):
        assert NULL_TOKENS[scan(pl.Series([form])).tokens[0] - 1] == token


def test_hash_leaves_blanks_out_of_account_and_nothing_else() -> None:
    same = scan(pl.Series(["a b", " a  b ", "a\tb\n"])).hash1
    other = scan(pl.Series(["a b", "ab", "A b", "a b.", "b a", "a b" * 30, "a b" * 30 + "x"])).hash1
    assert len(set(same.tolist())) == 1
    assert len(set(other.tolist())) == 7


def test_lengths_are_in_characters_and_flags_tell_what_is_odd() -> None:
    cells = scan(pl.Series(["né", " x", "a  b", "e\u0301", "cafÃ©", "a\u200bb", "\x07", "plain – “text” Ж"]))
    named = [{name for bit, name in enumerate(FLAGS) if flags >> bit & 1} - {"lower", "upper"} for flags in cells.flags.tolist()]
    assert named == [
        {"non_ascii"}, {"edge_blank"}, {"inner_blanks"}, {"non_ascii", "unusual"}, {"non_ascii", "garbled"}, {"non_ascii", "unusual"},
        {"control"}, {"non_ascii"},
    ]  # fmt: skip
    assert cells.lengths.tolist() == [2, 1, 4, 2, 5, 3, 1, 16]
