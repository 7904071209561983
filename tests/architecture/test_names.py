"""Names say what a thing is; the text of the repository speaks of the project alone."""

from __future__ import annotations

import ast
import re

import pytest
from repository import files, name, nodes, package

EMPTY_WORDS = {"manager", "helper", "helpers", "handler", "processor", "base", "util", "utils", "misc"}
EMPTY_MODULES = EMPTY_WORDS | {"common", "core"}


def words(identifier: str) -> set[str]:
    """The words of an identifier, in either style: `HttpBaseClient` and `http_base_client` give the same."""
    return {w.lower() for part in identifier.split("_") for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", part)}


@pytest.mark.parametrize(
    ("identifier", "found"), [("FileManager", True), ("BaseStep", True), ("DatabaseStep", False), ("row_helper", True), ("Baseline", False)]
)
def test_words_are_found_whole(identifier: str, found: bool) -> None:
    assert bool(words(identifier) & EMPTY_WORDS) is found


def test_no_name_is_an_empty_word() -> None:
    defined = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [f"{where} {n.name}" for where, n in nodes(*package()) if isinstance(n, defined) and words(n.name) & EMPTY_WORDS]
    modules = [name(p) for p in package() if words(p.stem) & EMPTY_MODULES or words(p.parent.name) & EMPTY_MODULES]
    assert found + modules == []


# Written in parts, so that this file does not find itself. A package is named by its name, never by the host it comes from;
# a path of one machine, or the tools somebody writes with, say nothing to a reader.
FOREIGN = [
    r"\bpypi\." + "org",
    r"python" + r"hosted\." + "org",
    r"registry\.npm" + r"js",
    r"deb\.deb" + r"ian",
    r"(?<![\w.-])/wo" + "rk/",
    r"(?<![\w-])\.\./sha" + "red/",
    r"/opt/whe" + "els",
    r"\bcla" + "ude",
    r"\banthro" + "pic",
    r"\bcopi" + "lot",
    r"\bchat" + "gpt",
    r"co-authored" + "-by",
    r"\b(sub|ai |coding |llm )ag" + "ents?\\b",
    r"\b(this|my|your|another|previous|next|coding) ses" + "sion\\b",
]


def test_the_repository_speaks_of_the_project_alone() -> None:
    pattern = re.compile("|".join(FOREIGN), re.IGNORECASE)
    found = []
    for path in files():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{name(path)}:{text.count(chr(10), 0, m.start()) + 1} {m.group()}" for m in pattern.finditer(text)]
    assert found == []
