"""Docs and code cannot disagree."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import re
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from repository import PACKAGE, ROOT, files, module_names, name, nodes, package, sources, tree

from data_sanitizer import extensions

PLUGINS = [
    (folder, n)
    for folder in ("steps", "formats", "stores", "pii")
    if (PACKAGE / folder / "__init__.py").exists()
    for n in extensions.names(folder)
]
PAGES = [p for p in files() if p.suffix == ".md"]


def script(path: str) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert isinstance(spec, ModuleSpec)
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


REFERENCE = script("docs/build_reference.py")


@pytest.mark.parametrize("page", REFERENCE.PAGES)
def test_the_reference_is_what_the_code_says(page: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == REFERENCE.PAGES[page](), "run `make docs`"


@pytest.mark.parametrize(("folder", "plugin"), PLUGINS)
def test_every_plugin_says_what_it_does_in_its_first_sentence(folder: str, plugin: str) -> None:
    first = extensions.summary(folder, plugin)
    assert first[:1].isupper()
    assert first.endswith(".")
    assert len(first) <= 300


@pytest.mark.parametrize(("folder", "plugin"), PLUGINS)
def test_every_plugin_has_a_test_that_names_it(folder: str, plugin: str) -> None:
    """Imported, or named in a string; or a contract suite takes every plug-in of the folder."""
    untested = named_in_tests(folder).isdisjoint({plugin, folder})
    assert not untested, f"no test names {folder}/{plugin}"


@cache
def named_in_tests(folder: str) -> set[str]:
    """The plug-ins of a folder that tests name, and the folder itself where a test goes through all of it."""
    tests = [p for p in sources("tests/") if p.parent != Path(__file__).parent]
    found = {n.value for _, n in nodes(*tests) if isinstance(n, ast.Constant) and isinstance(n.value, str)} - {folder}
    found |= {a.name for _, n in nodes(*tests) if isinstance(n, ast.ImportFrom) and n.module == f"data_sanitizer.{folder}" for a in n.names}
    modules = {n.module or "" for _, n in nodes(*tests) if isinstance(n, ast.ImportFrom)}
    found |= {m.rsplit(".", 1)[1] for m in modules if m.startswith(f"data_sanitizer.{folder}.")}
    calls = [n for _, n in nodes(*tests) if isinstance(n, ast.Call) and n.args and ast.unparse(n.func).endswith("names")]
    return found | {folder for n in calls if ast.unparse(n.args[0]).strip("'") == folder}


@pytest.mark.parametrize("path", package(), ids=name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert (ast.get_docstring(tree(path)) or "").split("\n\n")[0].strip().endswith((".", ":")), name(path)


@pytest.mark.parametrize("module", module_names())
def test_examples_in_docstrings_run(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_examples_in_pages_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `>>>` example in a page runs in an empty folder that holds a copy of the shipped example as customers.csv."""
    (tmp_path / "customers.csv").write_bytes((ROOT / "examples" / "customers.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    text = re.sub(r"^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, {}, name(page), str(page), 0)
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")) if ":" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_every_page_is_reached_from_the_index() -> None:
    docs = ROOT / "docs"
    found, new = set(), {docs / "index.md"}
    while new:
        found |= new
        texts = [(p.parent, p.read_text(encoding="utf-8")) for p in new]
        new = {(folder / link).resolve() for folder, text in texts for link in re.findall(r"\]\(([^):#\s]+\.md)", text)} - found
    assert [name(p) for p in PAGES if p.is_relative_to(docs) and p not in found] == []


def test_contributing_draws_every_folder() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folders = {p.relative_to(ROOT).parts for p in files() if p.suffix == ".py" or p.parent.name == "decisions"}
    drawn = {part for path in folders for part in path[:-1] if part not in {"src", "data_sanitizer"}}
    assert sorted(folder for folder in drawn if f"{folder}/" not in text) == []


def test_the_glossary_and_the_run_directory_name_every_file_of_a_run() -> None:
    text = (ROOT / "docs" / "run-directory.md").read_text(encoding="utf-8")
    run = ["cleaned", "ledger.parquet", "duplicates.parquet", "matches.parquet", "removed.parquet", "quarantine.parquet"]
    assert [f for f in [*run, "profile.json", "report.json", "report.html", "manifest.json"] if f"`{f}" not in text] == []


def test_the_example_is_what_its_script_writes() -> None:
    assert (ROOT / "examples" / "customers.csv").read_bytes().decode("utf-8") == script("examples/make_customers.py").text()


def test_the_site_has_a_place_for_every_page() -> None:
    """A new page needs a line under `nav` in mkdocs.yml; `make site` builds it."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = sorted(re.findall(r"([\w./-]+\.md)$", text, flags=re.MULTILINE))
    assert named == sorted(str(p.relative_to(ROOT / "docs")) for p in PAGES if p.is_relative_to(ROOT / "docs"))
