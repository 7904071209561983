"""Rules of the house that a syntax tree can show."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from repository import PACKAGE, nodes, package

BROAD = {"Exception", "BaseException"}
# Errors of the caller's program, not of the user's data: these may be raised as Python has them. Users meet errors.py.
PROGRAMMING_ERRORS = {
    "AssertionError",
    "AttributeError",
    "IndexError",
    "KeyError",
    "KeyboardInterrupt",
    "NotImplementedError",
    "StopIteration",
    "SystemExit",
    "TypeError",
    "ValueError",
}


def test_no_broad_except_goes_on() -> None:
    broad = [(where, n) for where, n in nodes(*package()) if isinstance(n, ast.ExceptHandler) and _is_broad(n.type)]
    assert [where for where, n in broad if not _ends(n.body[-1])] == []


def test_no_exception_is_swallowed() -> None:
    silent = [where for where, n in nodes(*package()) if isinstance(n, ast.ExceptHandler) and all(map(_is_nothing, n.body))]
    suppressed = [w for w, n in nodes(*package()) if isinstance(n, ast.Call) and _called(n) == "suppress" and any(map(_is_broad, n.args))]
    assert silent + suppressed == []


def test_errors_are_defined_in_one_file() -> None:
    classes = ((where, n) for where, n in nodes(*package()) if isinstance(n, ast.ClassDef))
    found = [f"{w} {n.name}" for w, n in classes if any(_last(b).endswith(("Error", "Exception")) for b in n.bases)]
    assert [f for f in found if not f.startswith("src/data_sanitizer/errors.py:")] == []


def test_errors_come_from_the_tree() -> None:
    known = PROGRAMMING_ERRORS | {n.name for _, n in nodes(PACKAGE / "errors.py") if isinstance(n, ast.ClassDef)}
    raised = [(w, _called(n.exc)) for w, n in nodes(*package()) if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call)]
    assert [(w, error) for w, error in raised if error[:1].isupper() and error not in known and not _of_click(error)] == []


def test_only_settings_reads_the_environment() -> None:
    found = list(_environment_reads())
    assert [w for w in found if not w.startswith("src/data_sanitizer/settings.py:")] == []


def test_nothing_depends_on_a_clock_but_the_report() -> None:
    """Same input, same bytes: a wall clock may be read where times are reported, and nowhere in what cleans."""
    cleaning = [p for p in package() if p.parent.name in {"steps", "pii", "duplicates", "profile"} or p.stem == "data_cleaning"]
    calls = ((w, n) for w, n in nodes(*cleaning) if isinstance(n, ast.Call))
    assert [
        w for w, n in calls if _called(n) in {"now", "today", "utcnow", "time", "time_ns", "random", "uuid4", "urandom"} and _of_clock(n)
    ] == []


def _environment_reads() -> Iterator[str]:
    for where, node in nodes(*package()):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"} and _last(node.value) == "os":
            yield where
        if isinstance(node, ast.ImportFrom) and node.module == "os" and {a.name for a in node.names} & {"environ", "environb", "getenv"}:
            yield where
        if isinstance(node, ast.keyword) and node.arg in {"envvar", "auto_envvar_prefix"}:
            yield where


def _is_broad(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Tuple):
        return any(map(_is_broad, node.elts))
    return node is None or _last(node) in BROAD


def _ends(node: ast.stmt) -> bool:
    """The statement leaves for good: it raises, or ends the process."""
    stops = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _called(node.value) in {"exit", "_exit"}
    return isinstance(node, ast.Raise) or stops


def _is_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _called(node: ast.expr | None) -> str:
    return _last(node.func) if isinstance(node, ast.Call) else ""


def _of_click(error: str) -> bool:
    return error in {"UsageError", "BadParameter", "ClickException", "Abort", "Exit"}


def _of_clock(node: ast.Call) -> bool:
    """`datetime.now()` and `random()` count, `series.dt.time()` does not."""
    return not isinstance(node.func, ast.Attribute) or _last(node.func.value) in {"datetime", "date", "time", "random", "uuid", "os", "np"}


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
