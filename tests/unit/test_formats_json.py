"""JSON and JSON Lines: grammar, types, flattening and drift, each against Python's own reader."""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sanitizer import errors, formats
from data_sanitizer.model import ReadOptions


class Got:
    """All that a file holds, put together from its blocks."""

    def __init__(self, data: bytes | str, name: str = "jsonl", block: int = 1 << 23) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"table.{name}"
            path.write_bytes(data.encode() if isinstance(data, str) else data)
            reading = formats.format_named(name).read(path, path.name, ReadOptions(), Path(folder), block)  # type: ignore[call-arg]
            parts = list(reading.blocks())
        self.schema = dict(reading.schema)
        self.rows = [row for part in parts for row in part.frame.to_dicts()]
        self.numbers = [n for part in parts for n in part.rows.tolist()]
        self.quarantined = [(i.row, i.reason, i.text) for part in parts for i in part.quarantined]
        self.flagged = [(i.row, i.reason) for part in parts for i in part.flagged]
        self.decisions = [(d.subject, d.choice) for d in reading.decisions]

    def everything(self) -> str:
        return repr(vars(self))


def column(*values: str) -> tuple[pl.DataType, list[Any]]:
    got = Got("".join(f'{{"a":{v}}}\n' for v in values))
    return got.schema["a"], [row["a"] for row in got.rows]


def test_nested_objects_become_columns_and_arrays_stay_json() -> None:
    got = Got('{"a":1,"b":{"c":"x\\n\\u00e9\\ud83d\\ude00","d":[1, "q\\""]}}\n{"b":{"e":{"f":true}},"a":2}\n')
    assert list(got.schema) == ["a", "b.c", "b.d", "b.e.f"]
    assert got.rows[0] == {"a": 1, "b.c": "x\né😀", "b.d": '[1, "q\\""]', "b.e.f": None}
    assert got.rows[1] == {"a": 2, "b.c": None, "b.d": None, "b.e.f": True}


def test_a_key_with_a_dot_and_a_nested_key_stay_apart() -> None:
    assert Got('{"a.b":1,"a":{"b":2}}').rows == [{"a.b": 1, "a.b_2": 2}]


def test_a_key_that_is_an_object_here_and_a_value_there_loses_neither() -> None:
    assert Got('{"a":5}\n{"a":{"b":6}}\n{"a":null}').rows == [{"a": 5, "a.b": None}, {"a": None, "a.b": 6}, {"a": None, "a.b": None}]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (("1", "null", "-3"), pl.Int64(), [1, None, -3]),
        (("9223372036854775807", "-1"), pl.Int64(), [9223372036854775807, -1]),
        (("9223372036854775808", "1"), pl.String(), ["9223372036854775808", "1"]),
        (("1", "2.50", "1e3"), pl.Float64(), [1.0, 2.5, 1000.0]),
        (("9007199254740993", "0.5"), pl.String(), ["9007199254740993", "0.5"]),
        (("0.30000000000000004", "0.1"), pl.Float64(), [0.30000000000000004, 0.1]),
        (("0.3000000000000000001", "1.50"), pl.String(), ["0.3000000000000000001", "1.50"]),
        (("1e400", "1"), pl.String(), ["1e400", "1"]),
        (("true", "null", "false"), pl.Boolean(), [True, None, False]),
        (("true", "1"), pl.String(), ["true", "1"]),
        (("1.50", '"x"', "true", "[1]", '""', "null"), pl.String(), ["1.50", "x", "true", "[1]", "", None]),
        (("null", "null"), pl.String(), [None, None]),
        (('"007"', '"1"'), pl.String(), ["007", "1"]),
        (("Infinity", "-Infinity", "2"), pl.Float64(), [float("inf"), float("-inf"), 2.0]),
    ],
)
def test_types_hold_every_value_unchanged(values: tuple[str, ...], kind: pl.DataType, expected: list[Any]) -> None:
    assert column(*values) == (kind, expected)


def test_lines_that_are_no_objects_are_quarantined_and_the_others_kept() -> None:
    got = Got('{"a":1}\n{bad\n[1]\n\n"x"\n{"a":2} x\n{"a":3}')
    assert [row["a"] for row in got.rows] == [1, 3]
    assert got.numbers == [0, 5]
    assert [q[:2] for q in got.quarantined] == [
        (1, "not valid JSON"),
        (2, "not a JSON object"),
        (3, "not a JSON object"),
        (4, "not valid JSON"),
    ]
    assert got.quarantined[0][2] == "{bad"
    assert ("blank lines", "1 left out") in got.decisions


def test_lines_that_end_with_a_carriage_return_alone_are_lines() -> None:
    lines = '{"a":1}\r{"a":2}\r'
    assert Got(lines).rows == Got(lines, block=3).rows == [{"a": 1}, {"a": 2}]


def test_a_document_with_whole_objects_on_some_lines_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "t.geojson"
    path.write_text('{"features": [\n{"a":1},\n{"a":2}\n]\n}\n')
    reading = formats.open_source(path, ReadOptions(), tmp_path)
    assert reading.format == "json"
    assert [row for b in reading.blocks() for row in b.frame.rows()] == [(1,), (2,)]
    (tmp_path / "r.json").write_text('{"a":1}\r{"a":2}\r')
    assert formats.open_source(tmp_path / "r.json", ReadOptions(), tmp_path).format == "jsonl"


def test_a_key_of_a_broken_line_is_no_column() -> None:
    assert list(Got('{"a":1}\n{"zzz":1,}\n').schema) == ["a"]


def test_repeated_keys_and_lone_surrogates_are_flagged() -> None:
    got = Got('{"a":1,"a":2}\n{"a":3}\n{"b":"x\\ud800"}\n')
    assert [row["a"] for row in got.rows] == [2, 3, None]
    assert got.rows[2]["b"] == "x\\ud800"
    assert [f[0] for f in got.flagged] == [0, 2]


def test_drift_and_mixed_types_are_told() -> None:
    got = Got('{"a":1,"b":1}\n{"a":"x"}\n')
    assert got.decisions == [("schema drift", "1 of 2 columns are not in every record"), ("mixed types", "a as text")]


def test_depth_is_bounded() -> None:
    deep = '{"a":' * 65 + "1" + "}" * 65
    got = Got(deep + '\n{"a":' + "[" * 100_000 + '\n{"b":1}\n')
    assert [q[1] for q in got.quarantined] == ["nested deeper than the limit depth allows"] * 2
    assert got.rows == [{"b": 1}]


def test_bytes_that_are_not_utf_8_are_read_as_western_text_and_said() -> None:
    got = Got(b'{"name":"caf\xe9"}\n' + '{"name":"Köln, Jürgen, Zoë, Gößweinstein"}\n'.encode())
    assert [row["name"] for row in got.rows] == ["café", "Köln, Jürgen, Zoë, Gößweinstein"]
    assert ("encoding", "1 lines read as cp1252") in got.decisions
    assert Got('{"a":"é"}\n'.encode("utf-16")).rows == [{"a": "é"}]


@pytest.mark.parametrize(("data", "rows"), [("[1]\n2\n", ["[1]", "2"]), ("{}\n{ }\n", ["{}", "{ }"]), ('"x"\nnull\n!\n', ["x", None])])
def test_records_that_are_no_objects_are_one_column(data: str, rows: list[Any]) -> None:
    got = Got(data)
    assert [row["value"] for row in got.rows] == rows
    assert ("table", "one column, value") in got.decisions
    assert len(got.quarantined) == data.count("!")


def test_a_file_without_any_value_is_refused_with_its_place() -> None:
    with pytest.raises(errors.MalformedInput, match="line 2, column 8: a comma"):
        Got('\n{"a":1 2}\n')
    with pytest.raises(errors.JsonDepth, match=r"line 1, column 65 .*limit depth is 64"):
        Got("[" * 100 + "\n")
    with pytest.raises(errors.MalformedInput, match="line 1 ends"):
        Got('{"a":"\n')


scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6
)
records = st.lists(st.dictionaries(st.sampled_from(["a", "b", "ç", 'q"', ""]), values, max_size=4), min_size=1, max_size=8)


def leaves(record: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every scalar and array below a record by its path of keys."""
    found: dict[tuple[str, ...], Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            found |= leaves(value, (*path, key))
        elif value is not None:
            found[(*path, key)] = value
    return found


def _is_json(text: str, value: Any) -> bool:
    try:
        return bool(json.loads(text) == value)
    except ValueError:
        return False


def same(cell: Any, value: Any) -> bool:
    """Whether a cell says what the value said, whatever type its column has."""
    if isinstance(value, list):
        return isinstance(cell, str) and cell.startswith("[") and _is_json(cell, value)
    if isinstance(value, str):
        return bool(cell == value)
    if isinstance(value, bool):
        return cell is value or cell == json.dumps(value)
    try:
        return not isinstance(cell, bool) and Decimal(str(cell)) == Decimal(json.dumps(value))
    except InvalidOperation:
        return False


@given(records, st.integers(1, 300), st.booleans())
def test_every_value_is_read_in_blocks_of_any_size(rows: list[dict[str, Any]], block: int, plain: bool) -> None:
    rows = [{"id": 1, **row} for row in rows]
    lines = "".join(json.dumps(row, ensure_ascii=plain) + "\n" for row in rows)
    got = Got(lines, block=block)
    assert got.numbers == list(range(len(rows)))
    for row, read in zip(rows, got.rows, strict=True):
        expected = list(leaves(row).values())
        cells = [cell for cell in read.values() if cell is not None]
        assert len(cells) == len(expected)
        assert all(any(same(cell, value) for cell in cells) for value in expected)
    assert Got(lines).everything() == got.everything()
    document = "[" + lines.strip().replace("\n{", "\r\n,\t{") + "\n]\n"
    assert Got(document, "json", block).rows == got.rows


@given(st.text('{}[]:,"\\u0d8e1-.+tfnNI \t\x01é', max_size=14), st.sampled_from(['{"a":%s}', '{"a":"%s"}', "{%s}", '{"a":[%s]}', "%s"]))
def test_what_counts_as_json_is_what_python_takes(text: str, frame: str) -> None:
    line = frame % text
    try:
        valid = isinstance(json.loads(line), dict)
    except ValueError:
        valid = False
    if line.strip(" \t"):
        got = Got('{"k":1}\n' + line + "\n")
        assert got.numbers == ([0, 1] if valid else [0])
        assert len(got.quarantined) == (0 if valid else 1)


DOCUMENTS = [
    ('[{"a":1,\n "b":[1,\n{"x":2}]},{"a":2},\n 5, {"a":3}]\n', [0, 1, 3], [2]),
    ('{"meta":{"n":1},"total":3,"data":[{"a":1},{"a":2}],"tags":["x"]}', [0, 1], []),
    ('{"k1":{"a":1},\n"k2": { },"k3":{"a":"[{\\"\\\\"}}', [0, 1, 2], []),
    ('{"a":{"x":1},\n"b":[1,2],"c":"t"}', [0], []),
    ("\ufeff [ ]", [], []),
    ("[1, [2], {}, null]", [0, 1, 2, 3], []),
    (" -0.5e3\n", [0], []),
]


@pytest.mark.parametrize(("document", "numbers", "bad"), DOCUMENTS)
@pytest.mark.parametrize("block", [1, 3, 7, 1 << 20])
def test_documents_of_every_shape(document: str, numbers: list[int], bad: list[int], block: int) -> None:
    got = Got(document, "json", block)
    assert (got.numbers, [q[0] for q in got.quarantined]) == (numbers, bad)


def test_the_shape_of_a_document_is_told() -> None:
    assert ("table", "the array data") in Got(DOCUMENTS[1][0], "json").decisions
    keyed = Got(DOCUMENTS[2][0], "json")
    assert [row["_key"] for row in keyed.rows] == ["k1", "k2", "k3"]
    assert keyed.rows[2]["a"] == '[{"\\'


@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize(
    ("document", "error"),
    [
        ('[{"a":1},{"a":', errors.TruncatedInput),
        ('{"data":[{"a":1},{"a":', errors.TruncatedInput),
        ('[{"a":1}] x', errors.MalformedInput),
        ('{"a":1} x', errors.MalformedInput),
        ("hello", errors.MalformedInput),
        ("[1, 2", errors.TruncatedInput),
    ],
)
def test_broken_documents_are_refused(document: str, error: type[errors.InputError], block: int) -> None:
    with pytest.raises(error):
        Got(document, "json", block)
