"""Masking: what each method writes, that it is stable, joins survive, and the key shows nowhere."""

from __future__ import annotations

import hashlib
import hmac
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_sanitizer.errors import MaskKeyUnusable, RecipeError
from data_sanitizer.extensions import load, names
from data_sanitizer.model import Action
from data_sanitizer.steps import mask_personal_data
from data_sanitizer.steps.mask_personal_data import clean, plan

SECRET = "correct horse battery staple"
EMAILS = ["jane@example.com", "joe@example.org", None, "jane@example.com", "  ", "N/A", "not an address", "[EMAIL]", "z***@example.com"]
NOTES = [
    "ask jane@example.com, 212-555-0123",
    "see https://example.com/a",
    None,
    "paid",
    "to DE89 3704 0044 0532 0130 00 or jane@example.com",
]


@dataclass(frozen=True)
class Profile:
    """What a step reads of a column's profile."""

    name: str
    sample: pl.DataFrame
    kind: str = "text"
    sensitive: str | None = None
    personal: object = None


def profile(name: str, cells: list[str | None], **more: str) -> Profile:
    sample = pl.Series("value", cells, dtype=pl.String).drop_nulls().value_counts().sort("value")
    return Profile(name, sample.with_columns(pl.col("count").cast(pl.UInt32)), **more)


def masked(name: str, cells: list[str | None], options: Mapping[str, Any]) -> list[str | None]:
    action = plan(name, profile(name, cells), options)
    assert action is not None
    return apply(action, pl.Series(name, cells, dtype=pl.String)).to_list()


def apply(action: Action, cells: pl.Series) -> pl.Series:
    return pl.DataFrame({action.column: cells}).select(clean(action))[action.column]


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "mask.key"
    path.write_text(SECRET + "\n", encoding="utf-8")
    return str(path)


def options(method: str, key_file: str, columns: Any = "auto") -> dict[str, Any]:
    return {"method": method, "columns": columns, "key_file": key_file}


def test_redact_writes_the_kind() -> None:
    token = "[EMAIL]"
    assert masked("email", EMAILS, {}) == [token, token, None, token, "  ", "N/A", token, token, "z***@example.com"]


def test_partial_shows_what_is_needed_and_hides_what_it_does_not_know() -> None:
    shown = masked("email", EMAILS, {"method": "partial"})
    assert shown[:4] == ["j***@example.com", "j***@example.org", None, "j***@example.com"]
    assert shown[6] == "***"


def test_hash_is_hmac_sha256_so_that_others_can_compute_it(key_file: str) -> None:
    expected = hmac.new(SECRET.encode(), b"jane@example.com", hashlib.sha256).hexdigest()[:32]
    assert masked("email", EMAILS, options("hash", key_file))[0] == f"email:{expected}"


def test_joins_survive_hashing(key_file: str) -> None:
    people = pl.DataFrame({"email": masked("email", [f"p{i}@example.com" for i in range(50)], options("hash", key_file)), "age": range(50)})
    orders = pl.DataFrame({"mail": masked("mail", [f"p{i % 7}@example.com" for i in range(90)], options("hash", key_file))})
    joined = orders.join(people, left_on="mail", right_on="email")
    assert joined.height == 90
    assert set(joined["age"]) == set(range(7))


def test_another_key_gives_other_tokens(key_file: str, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    other.write_text("x" * 32, encoding="utf-8")
    assert masked("email", EMAILS, options("hash", key_file))[0] != masked("email", EMAILS, options("hash", str(other)))[0]


@pytest.mark.parametrize("kind", names("pii"))
@pytest.mark.parametrize("method", mask_personal_data.METHODS)
def test_masking_twice_changes_nothing_for_any_kind(kind: str, method: str, key_file: str) -> None:
    cells = [*load("pii", kind).EXAMPLES, "something else", None, ""]
    facts = _facts(method, [kind], key_file, whole=True)
    once = apply(Action("mask_personal_data", 1, "c", facts), pl.Series(cells))
    assert not set(load("pii", kind).EXAMPLES) & set(once)
    for again in mask_personal_data.METHODS:
        action = Action("mask_personal_data", 1, "c", _facts(again, [kind], key_file, whole=True))
        assert apply(action, once).to_list() == once.to_list()


@pytest.mark.parametrize("method", mask_personal_data.METHODS)
@given(parts=st.lists(st.sampled_from([e for k in names("pii") for e in load("pii", k).EXAMPLES] + [" ", ", ", "x", "é", "."]), max_size=6))
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_masking_text_twice_changes_nothing(method: str, parts: list[str], key_file: str) -> None:
    action = Action("mask_personal_data", 1, "c", _facts(method, list(names("pii")), key_file, whole=False))
    once = apply(action, pl.Series([" ".join(parts)]))
    assert apply(action, once).to_list() == once.to_list()


def test_inside_text_only_the_finds_are_masked() -> None:
    expected = ["ask [EMAIL], [PHONE]", "see https://example.com/a", None, "paid", "to [IBAN] or [EMAIL]"]
    assert masked("notes", NOTES, {}) == expected
    assert masked("notes", NOTES, {"method": "partial"})[0] == "ask j***@example.com, ***0123"


def test_the_same_cells_give_the_same_tokens_in_any_slice(key_file: str) -> None:
    cells = pl.Series("email", [f"p{i % 31}@example.com" for i in range(500)])
    action = plan("email", profile("email", cells.to_list()), options("hash", key_file))
    assert action is not None
    whole = apply(action, cells)
    slices = [apply(action, cells.slice(at, 37)) for at in range(0, 500, 37)]
    assert pl.concat(slices).to_list() == whole.to_list()
    streamed = pl.LazyFrame({"email": cells}).select(clean(action)).collect(engine="streaming")
    assert streamed["email"].to_list() == whole.to_list()


def test_numbers_become_text() -> None:
    action = Action("mask_personal_data", 1, "phone", {"method": "partial", "kinds": ["phone"], "whole": True})
    assert apply(action, pl.Series([2_125_550_123, None])).to_list() == ["***0123", None]


def test_auto_takes_only_columns_with_personal_data() -> None:
    assert plan("price", profile("price", ["1.50", "2.50"]), {}) is None
    assert plan("notes", profile("notes", ["nothing", "here"]), {}) is None


def test_auto_believes_the_profile_where_the_sample_is_silent() -> None:
    action = plan("c", profile("c", ["1", "2"], sensitive="ssn"), {})
    assert action is not None
    assert apply(action, pl.Series(["1"])).to_list() == ["[SSN]"]


def test_a_list_masks_what_it_names_and_nothing_else() -> None:
    chosen = {"columns": ["surname", "email"]}
    assert masked("surname", ["Na", "Lee", None, ""], chosen) == ["[PERSONAL]", "[PERSONAL]", None, ""]
    assert masked("email", EMAILS, chosen)[0] == "[EMAIL]"
    assert plan("phone", profile("phone", ["212-555-0123"] * 5), chosen) is None


def test_a_named_column_without_a_kind_is_hidden_by_every_method(key_file: str) -> None:
    for method in mask_personal_data.METHODS:
        once = masked("surname", ["Lee", "Okafor"], options(method, key_file, ["surname"]))
        assert masked("surname", once, options(method, key_file, ["surname"])) == once
        assert not {"Lee", "Okafor"} & set(once)


def test_the_key_shows_nowhere_but_its_fingerprint_does(key_file: str) -> None:
    action = plan("email", profile("email", EMAILS), options("hash", key_file))
    assert action is not None
    assert SECRET.encode() not in pickle.dumps(action)
    assert len(action.parameters["key"]) == 8
    assert "jane" not in action.evidence


def test_a_missing_key_file_is_a_recipe_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file"):
        plan("email", profile("email", EMAILS), options("hash", str(tmp_path / "none")))


@pytest.mark.parametrize("path", [None, ""])
def test_hashing_needs_a_key_file(path: Any) -> None:
    with pytest.raises(MaskKeyUnusable, match="the recipe gives none"):
        plan("email", profile("email", EMAILS), options("hash", path))


def test_a_short_key_is_refused_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text("hunter2", encoding="utf-8")
    with pytest.raises(MaskKeyUnusable, match="shorter than 16 bytes") as caught:
        plan("email", profile("email", EMAILS), options("hash", str(path)))
    assert "hunter2" not in str(caught.value)


def test_a_key_that_changes_during_the_run_stops_it(key_file: str) -> None:
    action = plan("email", profile("email", EMAILS), options("hash", key_file))
    assert action is not None
    Path(key_file).write_text("another key of some length", encoding="utf-8")
    with pytest.raises(MaskKeyUnusable, match="another key"):
        clean(action)


@pytest.mark.parametrize("wrong", [{"method": "encrypt"}, {"columns": "email"}, {"columns": [1]}, {"columns": None}])
def test_wrong_options_are_recipe_errors_that_name_the_right_ones(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"redact|auto"):
        plan("email", profile("email", EMAILS), wrong)


def _facts(method: str, kinds: list[str], key_file: str, *, whole: bool) -> dict[str, Any]:
    planned = plan("email", profile("email", EMAILS), options(method, key_file))
    assert planned is not None
    return {**planned.parameters, "kinds": kinds, "whole": whole}
