"""The commands of a pilot: what runs on a sample came to, and what cleaning returns."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_sanitizer import settings
from data_sanitizer.errors import OutputExists, UsageError

if TYPE_CHECKING:
    from data_sanitizer.pipeline.pilot_return import Outlay

_SHARE, _AMOUNT = click.FloatRange(0, 1), click.FloatRange(0)


def _money(command: Any) -> Any:
    """The options that say what the work costs its owner."""
    options: list[Callable[[Any], Any]] = [
        click.option("--setup", type=_AMOUNT, default=0.0, show_default=True, help="What setting it up costs, once."),
        click.option("--price", type=_AMOUNT, default=0.0, show_default=True, help="What software and machines cost a month."),
        click.option("--minutes", type=_AMOUNT, help="Minutes of work for a bad record, or for an answer."),
        click.option("--hour-cost", type=_AMOUNT, help="What an hour of work costs; all amounts are in one currency."),
        click.option("--rows-a-month", type=_AMOUNT, help="Rows that arrive in a month."),
    ]
    return reduce(lambda made, option: option(made), options, command)


def _outlay(rows_a_month: float | None, hour_cost: float | None, minutes: float | None, price: float, setup: float) -> Outlay | None:
    """None where none of the three was given; raises UsageError where one is missing."""
    from data_sanitizer.pipeline.pilot_return import Outlay

    needed = {"--rows-a-month": rows_a_month, "--hour-cost": hour_cost, "--minutes": minutes}
    missing = [name for name, value in needed.items() if value is None]
    if missing and (len(missing) < len(needed) or price or setup):
        raise UsageError(why=f"The return cannot be reckoned without {' and '.join(missing)}. Give them too.")
    if rows_a_month is None or hour_cost is None or minutes is None:
        return None
    return Outlay(rows_a_month, hour_cost, minutes, price, setup)


@click.command("pilot-report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@click.option("--truth", "truths", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Labelled rows (row, entity) or pairs (row_a, row_b), CSV or Parquet: one for each run, in order.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="The page to write, as pilot.html.")
@click.option("--json", "as_json", is_flag=True, help="Print the measures as JSON.")
@click.option("--force", is_flag=True, help="Replace the page.")
@_money
def pilot_report_command(runs: tuple[str, ...], truths: tuple[Path, ...], output: Path | None, as_json: bool, force: bool,
                         **money: Any) -> None:  # fmt: skip
    """Tell what runs on a sample came to: duplicates found and share false, rows an hour, repairs, questions, and what it returns.

    Without a truth file the shares are estimates from the confidence of the merges, and are named so.
    """
    from data_sanitizer.pipeline import pilot, pilot_page

    if truths and len(truths) != len(runs):
        raise UsageError(why=f"There are {len(runs)} runs and {len(truths)} truth files. Give one for each run, in their order, or none.")
    if output is not None and output.exists() and not force:
        raise OutputExists(path=output)
    places = [settings.stores().place(run) for run in runs]
    found = pilot.measured(list(zip(places, truths or [None] * len(runs), strict=True)), _outlay(**money))
    click.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else pilot_page.text(found))
    if output is not None:
        _write(output, pilot_page.page(found))
        click.echo(f"Report: {output}", err=True)


def _write(output: Path, text: str) -> None:
    """Write aside and rename, so that the page is whole or absent."""
    from data_sanitizer import run_folder

    aside = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        with run_folder.translated(output):
            aside.write_text(text, "utf-8")
            aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)


@click.command("roi")
@click.option("--bad-share", type=_SHARE, required=True, help="Share of rows that are bad, as 0.03; pilot-report measures it.")
@click.option("--asked-share", type=_SHARE, default=0.0, show_default=True, help="Share of rows that are asked about.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_money
def roi_command(bad_share: float, asked_share: float, as_json: bool, **money: Any) -> None:
    """Reckon what cleaning returns in money, and print the formula with the figures in it."""
    from data_sanitizer.pipeline import pilot_return

    outlay = _outlay(**money)
    if outlay is None:
        raise UsageError(why="Give --rows-a-month, --hour-cost and --minutes.")
    found = pilot_return.returned(outlay, bad_share, asked_share)
    click.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else pilot_return.told(found))
