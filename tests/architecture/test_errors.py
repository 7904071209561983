"""Every error can be shown to a user: it has a place in the tree, an exit code and a message that offers a cure."""

from __future__ import annotations

import inspect
import pickle
import re
import string

import pytest

from data_sanitizer import errors

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.DataSanitizerError)]
LEAVES = [c for c in CLASSES if not c.__subclasses__()]
EXIT_CODES = {"GateFailed": 1, "UsageError": 2, "InputError": 3, "EnvironmentFailed": 4, "SettingUnusable": 78}


def example(kind: type[errors.DataSanitizerError]) -> errors.DataSanitizerError:
    """The error with every fact its message asks for."""
    fields = [field for _, field, _, _ in string.Formatter().parse(kind.__doc__ or "") if field]
    return kind(**{re.split(r"[.\[]", field)[0]: f"<{field}>" for field in fields})


def drawn() -> list[tuple[str, str | None]]:
    """(class, parent) of every class in the tree in the module's docstring."""
    path: list[str] = []
    found: list[tuple[str, str | None]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^ {4}((?:[│ ]   )*)(?:[├└]── )?([A-Z][A-Za-z]+(?:, [A-Z][A-Za-z]+)*)\b", line):
            depth = len(match.group(1)) // 4 + ("── " in line)
            siblings = match.group(2).split(", ")
            path[depth:] = siblings[-1:]
            found += [(name, path[depth - 1] if depth else None) for name in siblings]
    return found


def test_the_drawing_is_the_tree() -> None:
    parents = [(c.__name__, None if c is errors.DataSanitizerError else c.__mro__[1].__name__) for c in CLASSES]
    assert sorted(drawn(), key=str) == sorted(parents, key=str)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_docstring_is_the_message(kind: type[errors.DataSanitizerError]) -> None:
    error = example(kind)
    assert error.facts.keys() >= set(re.findall(r"\{(\w+)", kind.__doc__ or ""))
    assert str(error)
    assert "{" not in str(error)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.code)


@pytest.mark.parametrize("kind", LEAVES)
def test_a_message_says_what_happened_and_what_to_do(kind: type[errors.DataSanitizerError]) -> None:
    assert len(re.findall(r"[.}](?=\s|$)", " ".join((kind.__doc__ or "").split()))) >= 2, kind.__doc__


@pytest.mark.parametrize("kind", CLASSES)
def test_the_exit_code_is_that_of_the_branch(kind: type[errors.DataSanitizerError]) -> None:
    branch = next((EXIT_CODES[c.__name__] for c in kind.__mro__ if c.__name__ in EXIT_CODES), 5)
    assert kind.exit_code == branch


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_the_way_back_from_a_worker(kind: type[errors.DataSanitizerError]) -> None:
    error = example(kind)
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.facts) == (type(error), str(error), error.facts)
