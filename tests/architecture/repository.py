"""The repository as the architecture tests see it: its files, its modules, its functions."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "data_sanitizer"
MEASURED = "COVERAGE", "COV_CORE", "PYTEST"  # what makes a child process measure itself; it would spoil timings


class Function(NamedTuple):
    """A function or method, and the lines it takes: from `def` to its end, without its docstring."""

    where: str
    lines: int


@cache
def files() -> tuple[Path, ...]:
    """Every file that is, or would be, committed; in an unpacked archive without git, every file that was not made by a tool."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
        return tuple(sorted(path for name in listed if name and (path := ROOT / name).is_file()))
    return tuple(sorted(p for p in ROOT.rglob("*") if p.is_file() and not _is_made(p.relative_to(ROOT))))


def _is_made(path: Path) -> bool:
    """By the folders that .gitignore names."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
    return bool(ignored & set(path.parts)) or path.suffix == ".pyc" or path.name.startswith(".coverage")


def sources(*folders: str) -> list[Path]:
    """The Python files in these folders of the repository."""
    return [p for p in files() if p.suffix == ".py" and p.relative_to(ROOT).as_posix().startswith(folders)]


def package() -> list[Path]:
    """The Python files of the package."""
    return sources("src/data_sanitizer/")


def name(path: Path) -> str:
    """A path as a message shows it."""
    return path.relative_to(ROOT).as_posix()


def module_names() -> list[str]:
    """The dotted names of all modules of the package."""
    parts = (p.relative_to(ROOT / "src").with_suffix("").parts for p in package())
    return sorted({".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts} - {"data_sanitizer.__main__"})


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def nodes(*paths: Path) -> Iterator[tuple[str, ast.AST]]:
    """Every node of the syntax trees, with its place as `file:line`."""
    for path in paths:
        for node in ast.walk(tree(path)):
            yield f"{name(path)}:{getattr(node, 'lineno', 0)}", node


def functions(*paths: Path) -> list[Function]:
    """Every function and method, nested ones included."""
    found = ((where, n) for where, n in nodes(*paths) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return [Function(f"{where} {node.name}", _length(node)) for where, node in found]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0)


def fresh_environment() -> Mapping[str, str]:
    """The environment for a child process that is neither measured nor configured by the tests."""
    return {k: v for k, v in os.environ.items() if not k.startswith(MEASURED)}


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a new interpreter, which writes no bytecode: an import that nobody made before would leave files."""
    command = [sys.executable, "-B", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=fresh_environment(), timeout=120, check=False)
