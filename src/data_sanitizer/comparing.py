"""The command that tells what changed from one delivery to the next."""

from __future__ import annotations

import json

import click

from data_sanitizer import settings
from data_sanitizer.errors import UsageError


@click.command("compare")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option("--recipe", default="careful", show_default=True, metavar="NAME|FILE", help="The recipe with the contract of the columns.")
@click.option("--dataset", metavar="NAME", help="OLD and NEW are the numbers of two deliveries to this dataset.")
@click.option("--tenant", default="default", show_default=True, help="Whose dataset it is.")
@click.option("--database", metavar="URL", help="Where the dataset is kept. [default: DATA_SANITIZER_DATABASE_URL]")
@click.option("--check", is_flag=True, help="Exit with 1 where a difference would stop a delivery.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare_command(old: str, new: str, recipe: str, dataset: str | None, tenant: str, database: str | None, check: bool,
                    as_json: bool) -> None:  # fmt: skip
    """Tell what changed from one delivery to the next: columns, kinds, units, distributions, dates, values, entities.

    OLD and NEW are each a run directory, a file that holds a profile (profile.json, or what `data-sanitizer profile` prints), or a table,
    which is read for it. A table that needs options to be read is profiled with them first.
    """
    from data_sanitizer.bootstrap import opened_storage
    from data_sanitizer.comparison.contract import summary
    from data_sanitizer.pipeline import compared, comparison
    from data_sanitizer.pipeline.sanitize import RunOptions
    from data_sanitizer.recipe import load_recipe

    rules = load_recipe(recipe)
    if dataset:
        numbers = _numbers(old, new)
        with opened_storage(database) as storage:
            found = compared.of_deliveries(storage.known_dataset(tenant, dataset), *numbers, rules)
    else:
        found = compared.of_places(old, new, rules, RunOptions(stores=settings.stores()))
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else summary(found))
    if check and found["stopping"]:
        raise comparison.broken(found, f"delivery {old} of {dataset}" if dataset else old)


def _numbers(old: str, new: str) -> tuple[int, int]:
    if not (old.isdecimal() and new.isdecimal()):
        raise UsageError(why="With --dataset, OLD and NEW are numbers of deliveries, as `dataset deliveries` lists them.")
    return int(old), int(new)
