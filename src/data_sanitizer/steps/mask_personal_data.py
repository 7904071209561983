"""Replaces personal data by a token, a keyed hash or a shortened form; only in recipes that ask for it.

`redact` writes `[EMAIL]`. `hash` writes `email:` and 32 hexadecimal digits, the first half of HMAC-SHA256 of the text under the key in
`key_file`: the same value under the same key gives the same token in every file, so joins survive, and without the key nobody can try
values out. `partial` shows what is needed to recognise a value, as `j***@example.com`. What is masked already stays as it is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from functools import cache
from functools import partial as bind
from pathlib import Path
from typing import Any

import polars as pl

from data_sanitizer import pii
from data_sanitizer.errors import MaskKeyUnusable, RecipeError
from data_sanitizer.extensions import names
from data_sanitizer.model import Action
from data_sanitizer.steps.flag_personal_data import whole, within

VERSION = 1
INVENTS = True
OPTIONS: Mapping[str, Any] = {"method": "redact", "columns": "auto", "key_file": None}

METHODS = ("hash", "partial", "redact")
# The kind of a column that the recipe names and no detector knows, such as names of people.
PERSONAL = "personal"
SHORTEST_KEY = 16  # bytes; all phone numbers of a country can be tried under a key that can be guessed


def plan(column: str, profile: Any, options: Mapping[str, Any]) -> Action | None:
    """How this column will be masked, or None where it holds no personal data and the recipe does not name it."""
    chosen = _checked({**OPTIONS, **options})
    found = _target(column, profile, chosen["columns"])
    if found is None:
        return None
    kinds, is_whole, evidence = found
    facts: dict[str, Any] = {"method": chosen["method"], "kinds": list(kinds), "whole": is_whole}
    if chosen["method"] == "hash":
        facts |= {"key_file": str(chosen["key_file"]), "key": _fingerprint(_key(chosen["key_file"]))}
    return Action("mask_personal_data", VERSION, column, facts, evidence)


def clean(action: Action) -> pl.Expr:
    """The masked column, as text; missing and blank cells and what is masked already stay."""
    facts = action.parameters
    mask, kinds = _mask(facts), facts["kinds"]
    each = bind(_whole_cell, kinds[0], mask) if facts["whole"] else bind(_inside, kinds, mask)
    text = pl.col(action.column).cast(pl.String)
    return text.map_batches(bind(_each_value_once, each), return_dtype=pl.String, is_elementwise=True)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    if options["method"] not in METHODS:
        raise RecipeError(recipe="step mask_personal_data", why="no such method", kind="methods", known=", ".join(METHODS))
    columns = options["columns"]
    if columns != "auto" and not (isinstance(columns, list | tuple) and all(isinstance(name, str) for name in columns)):
        raise RecipeError(recipe="step mask_personal_data", why="columns is neither auto nor a list", kind="forms", known="auto, [a, b]")
    return options


def _target(column: str, profile: Any, columns: Any) -> tuple[tuple[str, ...], bool, str] | None:
    """The kinds to mask, whether they fill the cells, and why."""
    if columns != "auto":
        if column not in columns:
            return None
        found = whole(profile)
        return (found.kind if found else PERSONAL,), True, "the recipe names the column"
    if found := whole(profile):
        return (found.kind,), True, found.evidence
    if found := within(profile):
        return pii.searchable(column), False, found.evidence
    return ((profile.sensitive,), True, "the profile found personal data") if profile.sensitive else None


def _mask(facts: Mapping[str, Any]) -> Callable[[str, str], str]:
    """The function from kind and value to what stands in its place."""
    if facts["method"] == "redact":
        return _redact
    if facts["method"] == "partial":
        return _shorten
    key = _key(facts["key_file"])
    if _fingerprint(key) != facts["key"]:
        raise MaskKeyUnusable(path=facts["key_file"], why="it holds another key than when the run was planned")
    return bind(_hash, key)


@cache
def _token() -> re.Pattern[str]:
    kinds = [*names("pii"), PERSONAL]
    return re.compile(rf"\[(?:{'|'.join(kinds).upper()})\]|(?:{'|'.join(kinds)}):[0-9a-f]{{32}}")


def _redact(kind: str, text: str) -> str:
    return f"[{kind.upper()}]"


def _shorten(kind: str, text: str) -> str:
    return pii.partial(kind, text) if kind in names("pii") else "***"


def _hash(key: bytes, kind: str, text: str) -> str:
    return f"{kind}:{hmac.digest(key, text.encode(), 'sha256')[:16].hex()}"


def _whole_cell(kind: str, mask: Callable[[str, str], str], text: str) -> str:
    """The masked cell. What does not fit the kind is masked as well: a mistyped address is still somebody's address."""
    masked_already = "***" in text or _token().fullmatch(text)
    # Where the recipe alone names the column, "Na" or "Null" may be somebody's name.
    says_nothing = not text.strip() or (kind != PERSONAL and text.strip().lower() in pii.NO_VALUE)
    return text if masked_already or says_nothing else mask(kind, text)


def _inside(kinds: list[str], mask: Callable[[str, str], str], text: str) -> str:
    return pii.replace_found(text, kinds, mask)


def _each_value_once(mask: Callable[[str], str], cells: pl.Series) -> pl.Series:
    texts = cells.drop_nulls().unique()
    masked = pl.Series([mask(text) for text in texts], dtype=pl.String)
    return cells.replace_strict(texts, masked, return_dtype=pl.String) if len(texts) else cells


def _key(path: str | None) -> bytes:
    if not path:
        raise MaskKeyUnusable(path="key_file", why="the method hash needs one and the recipe gives none")
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise MaskKeyUnusable(path=path, why=error.strerror or type(error).__name__) from error
    if len(key) < SHORTEST_KEY:
        raise MaskKeyUnusable(path=path, why=f"the key is shorter than {SHORTEST_KEY} bytes")
    return key


def _fingerprint(key: bytes) -> str:
    """Tells one key from another and nothing about either: 32 bits of a hash under a label of its own."""
    return hashlib.sha256(b"data-sanitizer mask key\0" + key).hexdigest()[:8]
