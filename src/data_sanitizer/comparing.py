"""The command that tells what changed from one delivery to the next."""

from __future__ import annotations

import json

import click

from data_sanitizer import settings


@click.command("compare")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option("--recipe", default="careful", show_default=True, metavar="NAME|FILE", help="The recipe with the contract of the columns.")
@click.option("--check", is_flag=True, help="Exit with 1 where a difference would stop a delivery.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare_command(old: str, new: str, recipe: str, check: bool, as_json: bool) -> None:
    """Tell what changed from one delivery to the next: columns, kinds, units, distributions, dates, values.

    OLD and NEW are each a run directory, a file that holds a profile (profile.json, or what `data-sanitizer profile` prints), or a table,
    which is read for it. A table that needs options to be read is profiled with them first.
    """
    from data_sanitizer.comparison.contract import summary
    from data_sanitizer.pipeline import comparison, previous
    from data_sanitizer.pipeline.sanitize import RunOptions
    from data_sanitizer.recipe import load_recipe

    rules, options = load_recipe(recipe), RunOptions(stores=settings.stores())
    before, now = previous.profile_of(old, options), previous.profile_of(new, options)
    comparison.check_names(rules.contract, now, before, rules.name)
    found = comparison.against(before, now, rules.contract)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else summary(found))
    if check and found["stopping"]:
        raise comparison.broken(found, old)
