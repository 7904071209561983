"""Datasets: what was delivered to them, what became of their entities, decisions about these, and forgetting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query

from data_sanitizer import retention, settings
from data_sanitizer.api import _cursors
from data_sanitizer.api.access import Caller, Found, needs
from data_sanitizer.api.problems import refused
from data_sanitizer.api.schemas import (
    DATASET,
    DatasetList,
    DatasetTold,
    DeliveryList,
    DeliveryTold,
    EntityEventTold,
    EventPage,
    Forgotten,
    SplitRows,
    SplitTold,
)
from data_sanitizer.api.service import Service
from data_sanitizer.errors import DatasetBusy, NotInDataset, NotStored
from data_sanitizer.storage_backend import Target

router = APIRouter(prefix="/datasets/{tenant_id}", tags=["datasets"])
Name = Annotated[str, Path(pattern=DATASET)]
Reader = Annotated[Caller, needs("jobs:read")]
Looker = Annotated[Caller, needs("reports:read")]
Writer = Annotated[Caller, needs("jobs:write")]
Owner = Annotated[Caller, needs("admin")]


def _dataset(found: Service, caller: Caller, tenant_id: str, name: str) -> UUID:
    """The dataset; raises not-found, for another tenant's as well."""
    if tenant_id != caller.tenant:
        raise refused("not-found")
    try:
        return found.storage.find_dataset(caller.tenant, name)
    except NotStored as error:
        raise refused("not-found") from error


@router.get("", response_model=DatasetList)
def datasets(tenant_id: str, found: Found, caller: Reader) -> DatasetList:
    """The datasets of the tenant, by name."""
    if tenant_id != caller.tenant:
        raise refused("not-found")
    known = found.storage.datasets(caller.tenant)
    return DatasetList(datasets=[DatasetTold(name=n, deliveries=len(found.storage.deliveries(caller.tenant, d))) for n, d in known])


@router.get("/{name}/deliveries", response_model=DeliveryList)
def deliveries(tenant_id: str, name: Name, found: Found, caller: Reader) -> DeliveryList:
    """What was delivered to a dataset, in order."""
    made = found.storage.deliveries(caller.tenant, _dataset(found, caller, tenant_id, name))
    shown = ("no", "row_count", "counts", "manifest_sha256", "created_at")
    told = ("name", "sha256", "rows", "quarantined")
    inputs: dict[int, list[Mapping[str, Any]]] = {d.no: [{k: i.get(k) for k in told} for i in d.inputs] for d in made}
    return DeliveryList(deliveries=[DeliveryTold(**{k: getattr(d, k) for k in shown}, inputs=inputs[d.no]) for d in made])


@router.get("/{name}/events", response_model=EventPage)
def events(
    tenant_id: str, name: Name, found: Found, caller: Looker,
    kind: Annotated[Literal["created", "merged", "split"] | None, Query()] = None,
    entity: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")] = None,
    delivery: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200, cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> EventPage:  # fmt: skip
    """What happened to the ids of entities, in order; of one kind, entity or delivery where that is given."""
    start = _cursors.read(cursor, int, name, kind, entity, delivery) or 0
    every = found.storage.entity_events(caller.tenant, _dataset(found, caller, tenant_id, name))
    fit = [e for e in every if kind in (None, e.kind) and entity in (None, e.entity, e.other) and delivery in (None, e.delivery)]
    page = [EntityEventTold(**asdict(event)) for event in fit[start : start + limit]]
    more = _cursors.made(start + limit, name, kind, entity, delivery) if start + limit < len(fit) else None
    return EventPage(events=page, next=more)


@router.post("/{name}/split", response_model=SplitTold)
def split(tenant_id: str, name: Name, decision: SplitRows, found: Found, caller: Writer) -> SplitTold:
    """Decide that rows are not the same entity as the others of theirs: takes a merge back. No later delivery joins them again."""
    from data_sanitizer.pipeline.entity_split import Delivered
    from data_sanitizer.pipeline.entity_split import split as decide

    _dataset(found, caller, tenant_id, name)
    rows = [Delivered(row.delivery, row.source, row.row) for row in decision.rows]
    try:
        with found.heavy:
            told = decide(found.storage.known_dataset(caller.tenant, name), rows, caller.actor)
    except NotInDataset as error:
        raise refused("not-in-dataset") from error
    except DatasetBusy as error:
        raise refused("dataset-busy", headers={"Retry-After": "2"}) from error
    return SplitTold(events=[EntityEventTold(**asdict(event)) for event in told])


@router.delete("/{name}", response_model=Forgotten)
def forget_dataset(tenant_id: str, name: Name, found: Found, caller: Owner) -> Forgotten:
    """Delete a dataset: its deliveries with their jobs, inputs and results, its entities and what was decided. The audit log stays."""
    return _forgotten(found, Target(caller.tenant, _dataset(found, caller, tenant_id, name)), caller)


@router.delete("/{name}/deliveries/{no}", response_model=Forgotten)
def forget_delivery(
    tenant_id: str, name: Name, no: Annotated[int, Path(ge=1, le=2**31 - 1)], found: Found, caller: Owner
) -> Forgotten:  # fmt: skip
    """Delete a delivery: its rows in the dataset, and the jobs that made it with their inputs and results. The audit log stays."""
    dataset = _dataset(found, caller, tenant_id, name)
    if no not in {made.no for made in found.storage.deliveries(caller.tenant, dataset)}:
        raise refused("not-found")
    return _forgotten(found, Target(caller.tenant, dataset, delivery=no), caller)


def _forgotten(found: Service, target: Target, caller: Caller) -> Forgotten:
    if found.storage.delivering(target.tenant, target.dataset):
        raise refused("dataset-busy", headers={"Retry-After": "2"})
    told: Any = retention.forget(found.storage, target, caller.actor, settings.stores(), root=found.root)
    return Forgotten(rows=told.rows, runs=len(told.runs))
