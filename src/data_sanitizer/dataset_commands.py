"""What can be asked of datasets, and decided about them, as commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import click

from data_sanitizer.bootstrap import opened_storage

_tenant: Callable[[Any], Any] = click.option("--tenant", default="default", show_default=True, help="Whose dataset it is.")
_database: Callable[[Any], Any] = click.option(
    "--database", metavar="URL", help="sqlite:///FILE or postgresql://user@host:port/database. [default: DATA_SANITIZER_DATABASE_URL]"
)


@click.group("dataset")
def dataset_commands() -> None:
    """Datasets: what was delivered to them, and what became of their entities. Answers are JSON, one object a line."""


def _say(told: Mapping[str, Any]) -> None:
    click.echo(json.dumps(told, ensure_ascii=False, default=str))


@dataset_commands.command("list")
@_tenant
@_database
def list_command(tenant: str, database: str | None) -> None:
    """List the datasets of a tenant, with the number of their deliveries."""
    with opened_storage(database) as storage:
        for name, dataset in storage.datasets(tenant):
            _say({"dataset": name, "deliveries": len(storage.deliveries(tenant, dataset))})


@dataset_commands.command("deliveries")
@click.argument("name")
@_tenant
@_database
def deliveries_command(name: str, tenant: str, database: str | None) -> None:
    """List the deliveries of a dataset: their inputs, how many rows were new, and where their runs were written."""
    with opened_storage(database) as storage:
        for delivery in storage.deliveries(tenant, storage.find_dataset(tenant, name)):
            told = asdict(delivery)
            _say({**told, "inputs": [{k: v for k, v in i.items() if k != "columns"} for i in told["inputs"]]})


@dataset_commands.command("events")
@click.argument("name")
@click.option("--kind", type=click.Choice(["created", "merged", "split"]), help="Only events of this kind.")
@click.option("--entity", metavar="ID", help="Only events of this entity.")
@click.option("--delivery", type=click.IntRange(1), help="Only events of this delivery.")
@_tenant
@_database
def events_command(name: str, kind: str | None, entity: str | None, delivery: int | None, tenant: str, database: str | None) -> None:
    """List what happened to the ids of entities: created, merged into another, split."""
    with opened_storage(database) as storage:
        for event in storage.entity_events(tenant, storage.find_dataset(tenant, name)):
            if kind in (None, event.kind) and entity in (None, event.entity, event.other) and delivery in (None, event.delivery):
                _say(asdict(event))


@dataset_commands.command("split")
@click.argument("name")
@click.option("--delivery", type=click.IntRange(1), required=True, help="The delivery that brought the rows first.")
@click.option("--source", help="The input the rows are of, where that delivery had several.")
@click.option("--row", "rows", type=click.IntRange(0), multiple=True, required=True, help="A row, from 0; several become one entity.")
@click.option("--actor", default="command", show_default=True, help="Who decided it.")
@_tenant
@_database
def split_command(
    name: str, delivery: int, source: str | None, rows: tuple[int, ...], actor: str, tenant: str, database: str | None
) -> None:
    """Decide that rows are not the same entity as the others of theirs. No later delivery joins them again."""
    from data_sanitizer.pipeline.entity_split import Delivered, split

    with opened_storage(database) as storage:
        chosen = [Delivered(delivery, source, row) for row in rows]
        for event in split(storage.known_dataset(tenant, name), chosen, actor):
            _say(asdict(event))
