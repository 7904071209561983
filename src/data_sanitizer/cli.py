"""The command `data-sanitizer`: parses, calls, prints. Data goes to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from data_sanitizer import __doc__ as _about
from data_sanitizer import settings
from data_sanitizer.errors import ChangesFound, DataSanitizerError, UsageError

if TYPE_CHECKING:
    from data_sanitizer.model import ReadOptions
    from data_sanitizer.pipeline.comparison import Before
    from data_sanitizer.pipeline.sanitize import RunOptions
    from data_sanitizer.stores import Location

_MIXED = (
    "JSON keys with values of several kinds: evolve makes the column text, freeze keeps the first kind and quarantine the commonest, and "
    "both set the other records aside. [default: evolve]"
)
_SIGNS = {"tab": "\t", "\\t": "\t", "space": " ", "pipe": "|", "nul": "\0", "none": ""}
_ELSEWHERE = {"generate": ("benchmark_generator", "generate_command"), "benchmark": ("pipeline.benchmark", "benchmark_command"),
              "migrate": ("administration", "migrate_command"), "audit": ("administration", "audit_commands"),
              "doctor": ("administration", "doctor_command"), "compare": ("comparing", "compare_command"),
              "backup": ("administration", "backup_command"), "restore": ("administration", "restore_command"),
              "forget": ("administration", "forget_command"), "dataset": ("dataset_commands", "dataset_commands"),
              "keys": ("administration", "keys_commands"), "serve": ("serving", "serve_command"),
              "worker": ("workers.command", "worker_command"), "job": ("job_commands", "job_commands"),
              "pilot-report": ("piloting", "pilot_report_command"), "roi": ("piloting", "roi_command")}  # fmt: skip


class _Commands(click.Group):
    """Loads the commands that live with their own module only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            module, name = _ELSEWHERE[cmd_name]
            command: click.Command = getattr(import_module(f"data_sanitizer.{module}"), name)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, help=(_about or "").split("\n\n")[0])
@click.version_option(package_name="data-sanitizer")
def commands() -> None:
    """All commands."""


def _reading(command: Any) -> Any:
    """The options that say how to read the input; what is not given is found out."""
    for option in (
        click.option("--sheet", help="The sheet of a workbook. [default: the first with data]"),
        click.option("--no-header", is_flag=True, help="The first row is data, not names; as --header none."),
        click.option("--header", callback=_header, metavar="N|none", help="How many rows name the columns. [default: found out]"),
        click.option("--skip-lines", type=click.IntRange(0), metavar="N", help="Lines at the top of a text file to leave out."),
        click.option("--escape", callback=_sign, help="The sign that takes its meaning from a quote in a text file, as '\\', or none."),
        click.option("--quote", callback=_sign, help="The sign around fields of a text file, as '\"', or none."),
        click.option("--delimiter", callback=_sign, help="The sign between fields of a text file, as ',' or tab."),
        click.option("--encoding", help="The encoding of a text file, as utf-8 or cp1252."),
        click.option("--mixed", multiple=True, metavar="[KEY=]POLICY", help=_MIXED),
        click.option("--limit", multiple=True, metavar="NAME=N", help="A limit that protects from hostile files, as columns=50000."),
        click.option(
            "--input-format", type=click.Choice(["csv", "json", "jsonl", "parquet", "arrow", "excel"]), help="Read as this format."
        ),
    ):
        command = option(command)
    return command


def _of_dataset(command: Any) -> Any:
    """The options that say whose a dataset is, and where it is kept."""
    url = "sqlite:///FILE or postgresql://user@host:port/database. [default: DATA_SANITIZER_DATABASE_URL]"
    command = click.option("--tenant", default="default", show_default=True, help="Whose dataset it is.")(command)
    return click.option("--database", metavar="URL", help=f"Where datasets are kept: {url}")(command)


def _sign(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A sign as it can be typed: tab, space, pipe, nul by name, empty for none."""
    return value if value is None else _SIGNS.get(value.lower(), value)


def _header(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A number of rows, or none."""
    if value is None or value.isdecimal():
        return None if value is None else int(value)
    if value.lower() == "none":
        return 0
    raise click.BadParameter("give the number of header rows, or none")


def _read_options(input_format: str | None, no_header: bool, header: int | None, mixed: tuple[str, ...], limit: tuple[str, ...],
                  **given: Any) -> ReadOptions:  # fmt: skip
    from data_sanitizer.model import ReadOptions

    if no_header and header:
        raise UsageError(why=f"--no-header and --header {header} contradict each other. Give one of them.")
    policies = tuple((key, policy) for key, _, policy in (text.rpartition("=") for text in mixed))
    return ReadOptions(format=input_format, header=0 if no_header else header, mixed=policies, limits=settings.read_limits(limit), **given)


class _Place(click.ParamType):  # type: ignore[type-arg]
    """A path of this machine or the URL of a place in a store."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | Location:
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        return settings.stores().place(value) if "://" in value else Path(value)


PLACE = _Place()


def _bytes(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """A size such as 500MB or 2GB in bytes."""
    units = {"kb": 10, "mb": 20, "gb": 30, "": 0}
    number, unit = value.strip().lower().rstrip("kmgb"), value.strip().lower().lstrip("0123456789.")
    try:
        return int(float(number) * (1 << units[unit]))
    except (ValueError, KeyError) as error:
        raise click.BadParameter("write it as 500MB or 2GB") from error


@commands.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT…")
@click.option("-o", "--output", type=PLACE, metavar="RUN_DIR", help="The folder or URL to write; it must not exist.")
@click.option("--format", "output_format", type=click.Choice(["parquet", "csv", "jsonl"]), default="parquet", show_default=True)
@click.option("--recipe", default="careful", show_default=True, metavar="NAME|FILE", help="careful, complete, or a YAML file.")
@click.option("--keep-duplicates", is_flag=True, help="Report duplicates, remove none.")
@click.option("--dry-run", is_flag=True, help="Do everything, write nothing, print the summary.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if anything would be changed.")
@click.option(
    "--memory-limit",
    default="1GB",
    show_default=True,
    callback=_bytes,
    help="Memory that a run is reckoned with. Where it is too little, near-duplicates are not sought; the report says so.",
)
@click.option("--threads", type=click.IntRange(1), help="Threads to use. [default: one a core]")
@click.option("--previous", metavar="RUN|FILE", help="The delivery before: what differs from it is told, and may stop this one.")
@click.option("--accept-changes", is_flag=True, help="Publish although differences from the delivery before would stop it.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--force", is_flag=True, help="Replace the output folder.")
@click.option("--dataset", metavar="NAME", help="Deliver to this dataset: rows that came before are recognised, entities keep their ids.")
@_of_dataset
@_reading
def clean(inputs: tuple[str, ...], output: Path | Location | None, output_format: str, recipe: str, keep_duplicates: bool, dry_run: bool,
          check: bool,
          memory_limit: int, threads: int | None, previous: str | None, accept_changes: bool, as_json: bool, quiet: bool, force: bool,
          dataset: str | None, tenant: str, database: str | None, **reading: Any) -> None:  # fmt: skip
    """Clean tables: repair what is certain, remove duplicates, flag the rest, record everything.

    INPUT is a CSV, TSV, JSON, JSONL, Parquet, Arrow or Excel file, also compressed or alone in a ZIP archive, or - for standard input; a
    path, a URL (s3://bucket/key, gs://bucket/key), a pattern ('s3://bucket/in/*.csv') or everything below a URL that ends with /. Several
    inputs are cleaned as one table.
    """
    if output is None and not (dry_run or check):
        raise UsageError(why="Where to? Name the folder to write with -o RUN_DIR, or try --dry-run.")
    _start_reader()
    from data_sanitizer.pipeline.sanitize import RunOptions
    from data_sanitizer.recipe import load_recipe

    resolved = load_recipe(recipe)
    options = RunOptions(output_format, force, threads or os.cpu_count() or 1, memory=memory_limit, reading=_read_options(**reading),
                         stores=settings.stores(), tell=_ignore if quiet else _tell)  # fmt: skip
    options = replace(options, before=_before(previous, options), accept_changes=accept_changes)
    options = replace(options, dataset=_delivered_to(dataset, tenant, database, dry_run or check)) if dataset else options
    report = _clean(list(inputs), output, resolved.keep_duplicates() if keep_duplicates else resolved, options, dry_run or check)
    if not quiet:
        _print_report(report, as_json, None if dry_run or check else output)
    if check and (changes := _changes(report)):
        raise ChangesFound(count=changes)


def _delivered_to(name: str, tenant: str, database: str | None, dry: bool) -> Any:
    """The dataset of this name; its storage is closed at the end of the command."""
    from data_sanitizer.bootstrap import opened_storage

    storage = click.get_current_context().with_resource(opened_storage(database))
    return storage.known_dataset(tenant, name, keep=False) if dry else storage.dataset(tenant, name)


def _start_reader() -> None:
    """Start the process that will read the input now, so that its libraries load while ours do."""
    from data_sanitizer.sandbox import process

    click.get_current_context().call_on_close(process.discard)
    process.prepare()


def _tell(message: str) -> None:
    click.echo(message, err=True)


def _ignore(message: str) -> None:
    """Say nothing."""


def _before(place: str | None, options: RunOptions) -> Before | None:
    from data_sanitizer.pipeline import previous

    return previous.before(place, options) if place is not None else None


def _clean(inputs: list[str], output: Path | Location | None, recipe: Any, options: RunOptions, dry: bool) -> dict[str, Any]:
    from data_sanitizer.pipeline.sanitize import sanitize

    if not dry and output is not None:
        return sanitize(inputs, output, recipe, options)
    with tempfile.TemporaryDirectory(prefix="data-sanitizer-") as folder:
        return sanitize(inputs, Path(folder) / "run", recipe, options)


def _print_report(report: dict[str, Any], as_json: bool, output: Path | Location | None) -> None:
    from data_sanitizer.pipeline.report import summary_text

    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    click.echo(summary_text(report), err=True)
    if output is not None:
        click.echo(f"Report: {output / 'report.html'}", err=True)


def _changes(report: dict[str, Any]) -> int:
    rows, cells = report["rows"], report["totals"]["cells_changed"]
    return int(cells) + int(rows["merged"]) + int(rows["quarantined"])


@commands.command()
@click.argument("input_", metavar="INPUT")
@_reading
def profile(input_: str, **reading: Any) -> None:
    """Print what a table holds, column by column, as JSON."""
    _start_reader()
    from data_sanitizer.pipeline.sanitize import RunOptions, profiled

    click.echo(
        json.dumps(profiled([input_], RunOptions(reading=_read_options(**reading), stores=settings.stores())), ensure_ascii=False, indent=2)
    )


@commands.command()
@click.argument("input_", metavar="INPUT")
@click.option("-o", "--output", type=PLACE, required=True, metavar="FILE")
@click.option("--force", is_flag=True, help="Replace the output file.")
@_reading
def convert(input_: str, output: Path | Location, force: bool, **reading: Any) -> None:
    """Read a table well and write it plainly; no cell is changed. The ending of FILE names the format."""
    _start_reader()
    from data_sanitizer.pipeline.conversion import convert as run

    for line in run(input_, output, _read_options(**reading), force, settings.stores()):
        click.echo(line, err=True)


@commands.command()
@click.argument("run", metavar="RUN_DIR", type=PLACE)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT…")
def verify(run: Path | Location, inputs: tuple[str, ...]) -> None:
    """Prove a run: input + ledger = output, and output - ledger = input."""
    _start_reader()
    from data_sanitizer.verification import verify as check

    click.echo(str(check(run, list(inputs), stores=settings.stores())), err=True)


@commands.command()
@click.argument("run", metavar="RUN_DIR", type=PLACE)
@click.argument("row", type=click.IntRange(0))
@click.argument("column", required=False)
@click.option("--source", help="The input the row is of, where there were several.")
@click.option("--show", is_flag=True, help="Show personal data too.")
def explain(run: Path | Location, row: int, column: str | None, source: str | None, show: bool) -> None:
    """Tell what happened to a row, or to one cell of it, and why. Rows count from 0."""
    from data_sanitizer.explanation import explain as tell

    click.echo(tell(run, row, column, source, show=show).text)


@commands.command()
@click.argument("run", metavar="RUN_DIR", type=PLACE)
@click.option("-o", "--output", type=PLACE, required=True, metavar="NEW_RUN_DIR")
@click.option("--row", type=click.IntRange(0), help="Only changes of this row.")
@click.option("--column", help="Only changes in this column.")
@click.option("--rule", help="Only changes by this rule, as trim_blanks or near_duplicate.")
@click.option("--cluster", help="Bring back the removed rows of this cluster of duplicates.")
@click.option("--source", help="Only changes in this input.")
@click.option("--everything", is_flag=True, help="Take back all changes.")
@click.option("--force", is_flag=True, help="Replace the output folder.")
@click.option("--database", metavar="URL", help="Where the run's dataset is kept. [default: DATA_SANITIZER_DATABASE_URL]")
def undo(run: Path | Location, output: Path | Location, row: int | None, column: str | None, rule: str | None, cluster: str | None,
         source: str | None, everything: bool, force: bool, database: str | None) -> None:  # fmt: skip
    """Write a new run in which chosen changes are taken back. Filters combine.

    In a run that belongs to a dataset, a near-duplicate that comes back is an entity of its own from then on.
    """
    from data_sanitizer.bootstrap import opened_storage
    from data_sanitizer.pipeline.undo_run import undo_run

    def deciding(tenant: str, name: str) -> Any:
        return click.get_current_context().with_resource(opened_storage(database)).known_dataset(tenant, name)

    undo_run(run, output, row=row, column=column, rule=rule, cluster=cluster, source=source, everything=everything, force=force,
             deciding=deciding)  # fmt: skip
    click.echo(f"Report: {output / 'report.html'}", err=True)


def _stop(signum: int, frame: FrameType | None) -> None:
    """Interrupt the work, and again every three seconds: an exception that meets a callback from compiled code is swallowed there."""
    signal.setitimer(signal.ITIMER_REAL, 3, 3)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command; turns every error into one message and an exit code.

    1 check failed, 2 usage, 3 input, 4 outside, 5 our bug, 78 a setting of the service.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _stop)
    settings.spare_memory()
    try:
        code = commands.main(standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        code = 2
    except DataSanitizerError as error:
        click.echo(f"Error: {error}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        signal.setitimer(signal.ITIMER_REAL, 0)
        click.echo("Interrupted: nothing incomplete was left under the final name.", err=True)
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # noqa: BLE001  the last resort: no traceback, and no text of a library that may quote a cell
        click.echo(f"Error: this is a bug in Data Sanitizer ({type(error).__name__} at {_place(error)}). Please report it.", err=True)
        raise SystemExit(5) from None
    sys.exit(int(code))


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and "data_sanitizer" in trace.tb_next.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "unknown place"


if __name__ == "__main__":
    main()
