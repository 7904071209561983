"""What comes with the package may be used by everybody, and is locked."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions

import pytest
from packaging.requirements import Requirement
from repository import ROOT, nodes, package

ALLOWED = {
    "0BSD",
    "APACHE-2.0",
    "BSD",
    "BSD-2-CLAUSE",
    "BSD-3-CLAUSE",
    "CC0-1.0",
    "CNRI-PYTHON",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
    "UNLICENSE",
    "ZLIB",
}
LONG_NAMES = {
    "APACHE SOFTWARE LICENSE": "APACHE-2.0",
    "APACHE LICENSE 2.0": "APACHE-2.0",
    "APACHE 2.0": "APACHE-2.0",
    "BSD LICENSE": "BSD",
    "BSD 2-CLAUSE LICENSE": "BSD-2-CLAUSE",
    "BSD 3-CLAUSE LICENSE": "BSD-3-CLAUSE",
    "3-CLAUSE BSD LICENSE": "BSD-3-CLAUSE",
    "MIT LICENSE": "MIT",
    "MOZILLA PUBLIC LICENSE 2.0 (MPL 2.0)": "MPL-2.0",
    "PYTHON SOFTWARE FOUNDATION LICENSE": "PSF-2.0",
}


# The one driver of Postgres that has binary COPY and a pool. Its licence lets anybody use it as a library; it comes with an extra only.
LIBRARIES = {"psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only", "psycopg-pool": "LGPL-3.0-only"}


def declared(group: str) -> list[str]:
    """The requirements of the package, of one of its extras, or of a dependency group with those it includes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if group in project["project"]["optional-dependencies"]:
        extra: list[str] = project["project"]["optional-dependencies"][group]
        return extra
    listed = project["dependency-groups"][group] if group else project["project"]["dependencies"]
    return [r for entry in listed for r in ([entry] if isinstance(entry, str) else declared(entry["include-group"]))]


def locked(lock: str) -> dict[str, list[str]]:
    """Name to locked versions: more than one where they depend on the version of Python."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


def extras() -> list[str]:
    """The names of the extras of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return sorted(project["project"]["optional-dependencies"])


def installed(*groups: str) -> dict[str, Distribution]:
    """The package's dependencies and theirs, as this platform installs them."""
    found: dict[str, Distribution] = {}
    waiting = [need for group in groups for need in declared(group)]
    while waiting:
        need = Requirement(waiting.pop())
        if need.name not in found and (not need.marker or need.marker.evaluate({"extra": ""})):
            try:
                found[need.name] = distribution(need.name)
            except PackageNotFoundError:  # an alternative that this platform does without
                continue
            waiting += found[need.name].requires or []
    return found


def licence(package: Distribution) -> str:
    """The licence as an expression; the classifiers are the older way to say it, the free text the oldest."""
    said = package.metadata.get("License-Expression")
    classified = [c.rsplit(" :: ", 1)[1] for c in package.metadata.get_all("Classifier") or [] if c.startswith("License :: OSI")]
    return said or " AND ".join(classified) or (package.metadata.get("License") or "unknown").splitlines()[0]


def allowed(expression: str) -> bool:
    """An expression of AND and OR over names; `WITH …` adds rights and may be left out."""
    text = re.sub(r" WITH [\w.-]+", "", expression.upper())
    text = LONG_NAMES.get(text, text)
    if " OR " in text:
        return any(allowed(part.strip("() ")) for part in text.split(" OR "))
    return all(LONG_NAMES.get(part.strip("() "), part.strip("() ")) in ALLOWED for part in text.split(" AND "))


def test_expressions_are_understood() -> None:
    assert allowed("BSD-2-Clause AND Apache-2.0 WITH LLVM-exception")
    assert allowed("GPL-3.0-only OR MIT")
    assert not allowed("GPL-3.0-only AND MIT")
    assert not allowed("GNU Lesser General Public License v2 or later (LGPLv2+)")


def test_the_licences_of_what_is_installed_are_permissive() -> None:
    found = {name: licence(package) for name, package in installed("").items()}
    assert len(found) >= 10
    assert {name: said for name, said in found.items() if not allowed(said)} == {}


def test_the_licences_of_extras_are_permissive_or_let_use_a_library() -> None:
    found = {name: licence(package) for name, package in installed(*extras()).items()}
    assert len(found) >= 10
    assert {name: said for name, said in found.items() if not allowed(said) and LIBRARIES.get(name) != said} == {}


def test_whatever_is_imported_is_required() -> None:
    """By the package itself, and not by luck through another package."""
    required = {_plain(Requirement(text).name) for group in ("", *extras()) for text in declared(group)}
    providers = {module: {_plain(d) for d in names} for module, names in packages_distributions().items()}
    known = set(sys.stdlib_module_names) | {"data_sanitizer"} | {module for module, names in providers.items() if names & required}
    imported = [(where, module) for where, node in nodes(*package()) for module in _imported(node)]
    assert [(where, module) for where, module in imported if module not in known] == []


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [(node.module or "").split(".")[0]] if isinstance(node, ast.ImportFrom) and not node.level else []


@pytest.mark.parametrize(("lock", "groups"), [("requirements.lock", ["", "build"]), ("requirements-dev.lock", ["", "dev"])])
def test_every_requirement_is_locked_at_a_version_it_allows(lock: str, groups: list[str]) -> None:
    versions = locked(lock)
    needs = [Requirement(text) for group in groups for text in declared(group)]
    assert [str(n) for n in needs if n.name.lower() not in versions] == [], "run `make lock`"
    assert [str(n) for n in needs if not all(map(n.specifier.contains, versions[n.name.lower()]))] == [], "run `make lock`"


def test_both_locks_agree() -> None:
    runtime, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {name: (v, dev.get(name)) for name, v in runtime.items() if v != dev.get(name)} == {}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_no_host_and_every_file_by_its_hash(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    entries = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
