"""JSON that is wrong, hostile or drifts: the place of each fault, limits, and the policies for keys whose values differ in kind."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer import errors, formats
from data_sanitizer.formats import _grammar
from data_sanitizer.model import ReadLimits, ReadOptions

ACCEPTED = [
    "[]", "{}", " [ ] ", "null", "true", "-0", "0", "-1.5E+10", '""', '"\\u0000\\ud83d\\ude00"', "[[]]",
    "[1e400, -0, 1234567890123456789012]",

    '{"":0}', '{"a":1,"a":2}', '[{"a":[1,{"b":null}]}]', '"\u2028"', "[1\r\n,\t2]", '{"a":{"b":{"c":[]}}}', "[0.1e-5]",
]  # fmt: skip
REFUSED = [
    ("[1,]", 4), ("[,1]", 2), ("[1 2]", 4), ('{"a":1,}', 8), ('{"a" 1}', 6), ("{a:1}", 2), ('{"a":1]', 7), ("[1}", 3), ("[01]", 3),
    ("[+1]", 2), ("[.5]", 2), ("[1.]", 4), ("[1e]", 4), ("[1.5.2]", 5), ("[-]", 3), ("[- 1]", 3), ("[NaN]", 2), ("[-Infinity]", 3),
    ("[truE]", 5), ("[nul]", 5), ('["\\x"]', 4), ('["\\u12g4"]', 7), ('["a\tb"]', 4), ("['a']", 2), ("[1] 2", 5), ("[1]]", 4),
    ("[1]/**/", 4), ('"a" "b"', 5), ("\x0c[]", 1), ("[\u00a01]", 2), ("tru", None), ("[1", None), ('{"a":', None), ('["a', None),
    ("-", None),
    ("1e", None), ("[[[", None),
]  # fmt: skip


class Got:
    """All that a file holds."""

    def __init__(self, data: str, name: str = "json", block: int = 1 << 23, **options: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"t.{name}"
            path.write_bytes(data.encode("utf-8", "surrogatepass"))
            reading = formats.format_named(name).read(path, path.name, ReadOptions(**options), Path(folder), block)  # type: ignore[call-arg]
            parts = list(reading.blocks())
        self.schema = {name: str(kind) for name, kind in reading.schema.items()}
        self.rows = [row for part in parts for row in part.frame.rows()]
        self.numbers = [n for part in parts for n in part.rows.tolist()]
        self.quarantined = [i.row for part in parts for i in part.quarantined]
        self.flagged = [(i.row, i.reason) for part in parts for i in part.flagged]
        self.decisions = [(d.subject, d.choice) for d in reading.decisions]


@pytest.mark.parametrize("text", ACCEPTED)
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_every_document_that_the_grammar_allows_is_a_table(text: str, block: int) -> None:
    got = Got(text, block=block)
    assert got.quarantined == []
    assert got.numbers == list(range(len(json.loads(text)) if text.strip().startswith("[") else 1))


@pytest.mark.parametrize(("text", "column"), REFUSED)
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_every_other_document_is_refused_with_its_place(text: str, column: int | None, block: int) -> None:
    with pytest.raises(errors.MalformedInput if column else errors.TruncatedInput) as caught:
        Got(text, block=block)
    place = f"line 1, column {column} " if column else f"after {len(text.encode())} bytes"
    assert place in str(caught.value)


def test_the_place_counts_lines_and_characters() -> None:
    with pytest.raises(errors.MalformedInput, match=r"line 3, column 5 \(byte 20\)"):
        Got('["äöü",\r\n 1,\n  2 x]')


alphabet = st.text('[]{}:,"\\ue0129.-+tfn \n\t', max_size=12)


@given(alphabet | st.sampled_from(ACCEPTED).flatmap(lambda t: st.integers(0, len(t)).map(lambda i: t[:i] + t[i + 1 :])), st.integers(1, 9))
def test_the_grammar_is_that_of_python(text: str, block: int) -> None:
    data = text.encode()
    checked = _grammar.Checked((data[i : i + block] for i in range(0, len(data), block)), 64)
    try:
        json.loads(text)
        valid = True
    except ValueError:
        valid = False
    assert (checked.fault == _grammar.SOUND) == valid


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 65 + "]" * 65])
def test_documents_that_are_too_deep_are_refused_at_once(text: str) -> None:
    with pytest.raises(errors.JsonDepth, match="limit depth is 64") as caught:
        Got(text)
    assert caught.value.code == "json-depth"
    assert "column 65" in str(caught.value) or "column 321" in str(caught.value)


def test_the_depth_can_be_set() -> None:
    deep = '{"a":' * 99 + "1" + "}" * 99
    assert list(Got(deep, limits=ReadLimits(depth=100)).schema) == [".".join("a" * 99)]
    assert Got(deep + '\n{"b":1}\n', "jsonl", limits=ReadLimits(depth=100)).quarantined == []
    with pytest.raises(errors.JsonDepth):
        Got("[[1]]", limits=ReadLimits(depth=1))


def test_long_rows_are_refused_and_long_values_flagged_whatever_the_block() -> None:
    lines = '{"a":"x"}\n{"a":"' + "y" * 300 + '"}\n'
    for block in (7, 1000):
        assert Got(lines, "jsonl", block, limits=ReadLimits(field_bytes=200)).flagged == [
            (1, "a value is longer than the limit field_bytes")
        ]
        with pytest.raises(errors.RowTooLarge, match="row_bytes"):
            Got(lines, "jsonl", block, limits=ReadLimits(row_bytes=250))
        with pytest.raises(errors.FieldTooLarge, match="longest_field"):
            Got(lines, "jsonl", block, limits=ReadLimits(longest_field=250))


def test_too_many_and_too_long_keys_are_refused() -> None:
    wide = json.dumps({f"k{i}": i for i in range(101)})
    assert len(Got(wide, limits=ReadLimits(columns=101)).schema) == 101
    with pytest.raises(errors.TooManyColumns, match=r"it has 101.*--limit columns=N"):
        Got(wide, limits=ReadLimits(columns=100))
    with pytest.raises(errors.ColumnNameTooLong, match="column 2 has 513 characters"):
        Got(json.dumps({"a": 1, "k" * 513: 1}))


def test_numbers_with_huge_exponents_stay_as_they_are_written() -> None:
    got = Got('{"a":1e100000000}\n{"a":1e-100000000}\n{"a":1}\n{"a":%s}\n' % ("9" * 5000), "jsonl")
    assert got.rows == [("1e100000000",), ("1e-100000000",), ("1",), ("9" * 5000,)]


def test_what_only_python_writes_is_flagged_in_lines_and_refused_in_documents() -> None:
    assert [f[0] for f in Got('{"a":NaN}\n{"a":1.5}\n{"a":-Infinity}\n', "jsonl").flagged] == [0, 2]
    with pytest.raises(errors.MalformedInput, match="write null instead"):
        Got('[{"a":NaN}]')


def test_repeated_keys_are_told_wherever_they_stand() -> None:
    got = Got('{"a":{"b":1},"a":{"c":2}}\n{"a":{"b":1,"b":2}}\n{"a":{"b":3}}\n{"a":1,"a":{"b":4}}\n{"a":null,"a":1}\n', "jsonl")
    assert [f[0] for f in got.flagged] == [0, 1, 3, 4]


MIXED = '{"k":1,"a":"x"}\n{"k":2,"a":5}\n{"k":3,"a":6}\n{"k":4,"a":null}\n{"k":5,"a":{"b":1}}\n'


@pytest.mark.parametrize(
    ("policies", "kind", "kept", "aside"),
    [
        ((), "String", [0, 1, 2, 3, 4], []),
        ((("", "evolve"),), "String", [0, 1, 2, 3, 4], []),
        ((("", "freeze"),), "String", [0, 3], [1, 2, 4]),
        ((("", "quarantine"),), "Int64", [1, 2, 3], [0, 4]),
        ((("a", "quarantine"),), "Int64", [1, 2, 3], [0, 4]),
        ((("a", "evolve"), ("", "freeze")), "String", [0, 1, 2, 3, 4], []),
    ],
)
@pytest.mark.parametrize("block", [10, 1 << 20])
def test_the_policies_for_keys_of_several_kinds(policies: Any, kind: str, kept: list[int], aside: list[int], block: int) -> None:
    got = Got(MIXED, "jsonl", block, mixed=policies)
    assert (got.schema["a"], got.numbers, got.quarantined) == (kind, kept, aside)
    assert "mixed types" in [subject for subject, _ in got.decisions]
    assert Got("[" + MIXED.strip().replace("\n", ",") + "]", block=block, mixed=policies).numbers == kept


def test_policies_that_do_not_fit_are_told() -> None:
    with pytest.raises(errors.UsageError, match="evolve, freeze, quarantine"):
        Got(MIXED, "jsonl", mixed=(("a", "discard"),))
    assert ("mixed types", "nothing done for nope") in Got(MIXED, "jsonl", mixed=(("nope", "freeze"),)).decisions


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from(["1", "2.5", '"x"', "true", "[1]", "null", '{"b":1}', "-0", "1e400"]), min_size=1, max_size=9),
    st.integers(1, 60),
)
def test_no_record_is_lost_under_any_policy(values: list[str], block: int) -> None:
    lines = "".join(f'{{"id":{i},"a":{v}}}\n' for i, v in enumerate(values))
    for policy in ("evolve", "freeze", "quarantine"):
        got = Got(lines, "jsonl", block, mixed=(("", policy),))
        assert sorted(got.numbers + got.quarantined) == list(range(len(values)))
        assert vars(got) == vars(Got(lines, "jsonl", mixed=(("", policy),)))
        assert policy != "evolve" or not got.quarantined
