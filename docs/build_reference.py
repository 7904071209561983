"""Writes the reference pages from the code, so that the two cannot disagree; a test compares them.

python docs/build_reference.py           write cli.md, steps.md, formats.md, detectors.md, errors.md, …
python docs/build_reference.py --check   change nothing; fail where a page is not what the code says
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from data_sanitizer import errors, extensions
from data_sanitizer.model import ReadLimits

DOCS = Path(__file__).parent
NOTE = "<!-- Written by build_reference.py from the code: change the code, then run `make docs`. -->"


def cli() -> str:
    """Every command as `--help` prints it."""
    pages = [f"## {name}\n\n```text\n{_help(name, command)}\n```" for name, command in _commands("data-sanitizer", _root_command())]
    return _page("The command", "Every command, exactly as its `--help` prints it.", pages)


def steps() -> str:
    """Every cleaning step with its options."""
    intro = "Every cleaning step, in alphabetical order. The order in which a recipe runs them, and their options, stand in the recipe."
    return _page("Steps", intro, [_step(name) for name in extensions.names("steps")])


def formats() -> str:
    """Every file format."""
    intro = "A file is recognised by its content first, then by its ending; gzip, Zstandard, bzip2 and xz "
    intro += "compression, and a ZIP archive that holds one file, are unwrapped on the way."
    return _page("Formats", intro, [_format(name) for name in extensions.names("formats")])


def stores() -> str:
    """Every store with its settings."""
    intro = (
        "Where tables and runs can be, by the scheme of the URL. Settings come from the environment alone; where several variables are\n"
        "named, the first that is set counts. How to use them: [Object stores](object-stores.md)."
    )
    return _page("Stores", intro, [_store(name) for name in extensions.names("stores")])


def limits() -> str:
    """Every limit of reading, with its default."""
    intro = (
        "What a source may ask of the program before it is refused. A limit protects; it changes no row of a source that is read. Set one "
        "for a call with `--limit NAME=N`, for a machine with the environment variable `DATA_SANITIZER_LIMIT_NAME` (the name in capitals), "
        "in Python with `ReadOptions(limits=ReadLimits(NAME=N))`. Limits other than these defaults are kept in `manifest.json`, so that "
        "`verify` reads with the same ones. The error that names a limit is in [errors](errors.md)."
    )
    rows = [f"| `{f.name}` | {f.default:,} | {f.metadata['about']} |" for f in fields(ReadLimits)]
    return _page("Limits", intro, ["\n".join(["| limit | default | what it bounds |", "|---|---|---|", *rows])])


def detectors() -> str:
    """Every kind of personal data that is recognised."""
    intro = "A value counts as personal data of a kind when the whole of it fits the pattern and, where there is one, passes the check."
    return _page("Detectors of personal data", intro, [_detector(name) for name in extensions.names("pii")])


def error_tree() -> str:
    """Every error, its code, its exit code and its message."""
    tree = inspect.cleandoc((errors.__doc__ or "").split("\n", 1)[1]).split("\n\nThe docstring")[0]
    intro = f"Every error is one of these, and so are the exit codes of the command.\n\n```text\n{inspect.cleandoc(tree)}\n```\n"
    rows = [
        f"| `{_code(kind)}` | `{kind.__name__}` | {kind.exit_code} | {_cell(_doc(kind))} |" for kind in _classes(errors.DataSanitizerError)
    ]
    table = "\n".join(["| code | class | exit | message (the braces hold the facts of the case) |", "|---|---|---|---|", *rows])
    return _page("Errors", intro, [table])


def settings_page() -> str:
    """Every setting of the service, the variable that sets it, and its default."""
    from data_sanitizer.settings import ApiSettings, ServiceSettings, StorageSettings, variable

    intro = "The service is set up by environment variables, read once at its start. Times are in seconds. Nobody has to set any of them."
    known = (*fields(StorageSettings), *fields(ServiceSettings), *fields(ApiSettings))
    rows = [f"| `{variable(f.name)}` | {_default(f.default)} | {f.metadata['doc']} |" for f in known]
    return _page("Settings", intro, ["\n".join(["| variable | default | what it says |", "|---|---|---|", *rows])])


def env_example() -> str:
    """Every setting as a line of an environment file, commented out, with its default."""
    from data_sanitizer.settings import ApiSettings, ServiceSettings, StorageSettings, variable

    lines = ["# Every setting of the service, with its default. Written by docs/build_reference.py from the code: run `make docs`."]
    for kind in (StorageSettings, ServiceSettings, ApiSettings):
        lines += ["", f"# {_doc(kind)}"]
        for f in fields(kind):
            default = str(f.default).lower() if isinstance(f.default, bool) else f.default
            lines += ["", f"# {f.metadata['doc']}", f"# {variable(f.name)}={default}"]
    return "\n".join(lines) + "\n"


def api() -> str:
    """Every operation of the API, with its parameters, and every refusal."""
    from data_sanitizer.api.documentation import ABOUT, described
    from data_sanitizer.api.problems import PROBLEMS
    from data_sanitizer.api_server import create_app

    found = described(create_app())
    parts = [_operation(path, method, facts) for path, methods in found["paths"].items() for method, facts in methods.items()]
    rows = [f"| `{code}` | {p.status} | {_cell(p.title)} | {_cell(p.detail)} |" for code, p in PROBLEMS.items()]
    refusals = "\n".join(["## Refusals", "", "| code | status | title | what helps (the braces hold facts) |", "|---|---|---|---|", *rows])
    more = "Errors of reading and of recipes have the codes of [the errors](errors.md) and the status 422. How to run the service: "
    return _page("The API", f"{ABOUT}\n\n{more}[The service](service.md).", [*parts, refusals])


def _operation(path: str, method: str, facts: dict[str, Any]) -> str:
    rows = [f"| `{p['name']}` | {p['in']} | {_cell(p.get('description', ''))} |" for p in facts.get("parameters", []) if p["in"] != "path"]
    table = "\n".join(["", "", "| parameter | where | meaning |", "|---|---|---|", *rows]) if rows else ""
    return f"## {method.upper()} {path}\n\n{facts.get('description', '')}{table}"


def schema_page() -> str:
    """The relational schema as a picture and as tables."""
    from data_sanitizer.storage.schema import metadata

    intro = "The tables of the service, the same on Postgres and SQLite; [Storage](storage.md) says more. Every key holds the tenant."
    tables = sorted(metadata.tables.values(), key=lambda t: t.name)
    boxes = [f"    {t.name} {{\n" + "".join(f"        {_kind(c)} {c.name}{_role(c)}\n" for c in t.columns) + "    }" for t in tables]
    keys = [(k, t) for t in tables for k in sorted(t.foreign_key_constraints, key=lambda k: str(k.name))]
    lines = [f"    {k.referred_table.name} ||--o{{ {t.name} : {_link(k.column_keys)}" for k, t in keys]
    return _page("The schema", intro, ["\n".join(["```mermaid", "erDiagram", *lines, *boxes, "```"])])


def _kind(column: Any) -> str:
    return str(column.type.__class__.__name__).lower()


def _role(column: Any) -> str:
    found = [name for name, true in (("PK", column.primary_key), ("FK", bool(column.foreign_keys))) if true]
    return f" {', '.join(found)}" if found else ""


def _link(columns: Sequence[str]) -> str:
    return next((c for c in columns if c != "tenant_id"), "tenant_id")


def _default(value: object) -> str:
    return f"`{value}`" if value != "" else ""


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli,
    "steps.md": steps,
    "formats.md": formats,
    "stores.md": stores,
    "limits.md": limits,
    "detectors.md": detectors,
    "errors.md": error_tree,
    "schema.md": schema_page,
    "settings.md": settings_page,
    "api.md": api,
    "../.env.example": env_example,
}


def main(arguments: list[str]) -> int:
    """Write or compare all pages; the number of pages that differ is the exit code of `--check`."""
    stale = [name for name, build in PAGES.items() if not (DOCS / name).exists() or (DOCS / name).read_text(encoding="utf-8") != build()]
    if arguments == ["--check"]:
        print(*(f"docs/{name} is not what the code says: run `make docs`" for name in stale), sep="\n", end="")
        return len(stale)
    for name in stale:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/{name} written")
    return 0


def _page(title: str, intro: str, parts: list[str]) -> str:
    return "\n\n".join([f"# {title}", NOTE, intro.rstrip(), *parts]) + "\n"


def _root_command() -> click.Group:
    """The one group of the command-line module that belongs to no other."""
    from data_sanitizer import cli as module

    groups = [g for g in vars(module).values() if isinstance(g, click.Group)]
    return next(g for g in groups if not any(g in other.commands.values() for other in groups))


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for child in sorted(command.list_commands(context)):  # also those that are loaded only when they are asked for
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from _commands(f"{name} {child}", found)


def _help(name: str, command: click.Command) -> str:
    """The help as on a terminal of 100 columns, whatever the terminal of this run."""
    with click.Context(command, info_name=name, terminal_width=100, max_content_width=100) as context:
        return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def _step(name: str) -> str:
    module = extensions.load("steps", name)
    options = [
        f"| `{option}` | `{json.dumps(default, ensure_ascii=False)}` |" for option, default in getattr(module, "OPTIONS", {}).items()
    ]
    table = "\n".join(["| option | default |", "|---|---|", *options]) if options else "No options."
    return f"## {name}\n\n{_doc(module)}\n\nVersion {getattr(module, 'VERSION', 1)}.\n\n{table}"


def _format(name: str) -> str:
    module = extensions.load("formats", name)
    return f"## {name}\n\n{_doc(module)}\n\nUsual endings: {', '.join(f'`{suffix}`' for suffix in module.SUFFIXES)}."


def _store(name: str) -> str:
    module = extensions.load("stores", name)
    rows = [
        f"| {', '.join(f'`{v}`' for v in f.metadata['variables'])} | {_cell(f.metadata['meaning'])} | {_default(f.default)} |"
        for f in fields(module.Settings)
    ]
    table = "\n".join(["| variable | meaning | default |", "|---|---|---|", *rows]) if rows else "No settings."
    return f"## {name}\n\n{_doc(module)}\n\n{table}"


def _default(value: object) -> str:
    return "" if value is None else "no" if value is False else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _detector(name: str) -> str:
    module = extensions.load("pii", name)
    check = "Pattern and check." if hasattr(module, "valid") else "Pattern."
    pattern = f"```text\n{module.PATTERN}\n```" if len(module.PATTERN) <= 300 else "The pattern is long: it stands in the module."
    return f"## {name}\n\n{_doc(module)}\n\n{check}\n\n{pattern}"


def _classes(kind: type[errors.DataSanitizerError]) -> Iterator[type[errors.DataSanitizerError]]:
    """A class and all below it, in the order in which the file defines them."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _classes(child)


def _code(kind: type[errors.DataSanitizerError]) -> str:
    code = kind.code.fget
    return str(code(kind.__new__(kind))) if code else ""


def _doc(thing: object) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
