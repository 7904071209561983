"""Every schema of a request or an answer of the API. Fields that are not known are refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 20.0 is the whole number 20."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
DATASET: Final = r"^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,199}$"  # it is a part of addresses


class _Given(BaseModel):
    """What a caller sends: no unknown field, no field of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Reading(_Given):
    """How to read the input; what is left out is found out."""

    format: Literal["csv", "json", "jsonl", "parquet", "arrow", "excel"] | None = None
    encoding: str | None = Field(None, max_length=40)
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    header: Whole | None = Field(None, ge=0, le=20, description="How many rows name the columns; 0 for none.")
    sheet: str | None = Field(None, max_length=200)
    quote: str | None = Field(None, max_length=1)
    escape: str | None = Field(None, max_length=1)
    skip_lines: Whole | None = Field(None, ge=0, le=1_000_000)


class IngestOptions(_Given):
    """What is to be done with an upload."""

    dataset_name: str | None = Field(None, min_length=1, max_length=200, description="A name to find the job by.")
    recipe: str | dict[str, Any] | None = Field(None, description="`careful`, `complete`, or a recipe as a mapping.")
    output_format: Literal["parquet", "csv", "jsonl"] = "parquet"
    reading: Reading = Field(default_factory=lambda: Reading.model_validate({}))
    priority: Whole = Field(0, ge=-9, le=9, description="Among the jobs of the tenant: larger ones first.")
    dataset: str | None = Field(None, pattern=DATASET, description="The dataset that this is a delivery to; made where it is not there.")
    accept_changes: bool = Field(False, description="For a delivery: publish what differs from the one before, whatever the contract says.")


class IngestFromSource(IngestOptions):
    """A table of an allowed bucket, copied into the service before it is read."""

    source_url: str = Field(min_length=1, max_length=2000)


class Problem(BaseModel):
    """An answer that is no success (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None
    errors: list[dict[str, str]] | None = None
    limit: int | None = None
    setting: str | None = None
    scope: str | None = None


class Accepted(BaseModel):
    """The job that an upload has become."""

    job_id: UUID
    status: str


class Progress(BaseModel):
    """How far a job is."""

    stage: str | None = None
    rows_done: int | None = None
    rows: int | None = None
    rows_per_second: float | None = None
    seconds_left: float | None = None
    percent: float | None = None


class Fault(BaseModel):
    """Why a job failed."""

    code: str
    title: str
    retryable: bool = False


class InputFile(BaseModel):
    """One file of a job's input."""

    name: str
    bytes: int
    sha256: str


class JobStatus(BaseModel):
    """A job as its tenant sees it."""

    id: UUID
    status: Literal["queued", "running", "success", "failed", "cancelled"]
    progress: Progress
    error: Fault | None
    degraded: list[str]
    inputs: list[InputFile]
    output_format: str
    dataset_name: str | None
    dataset: str | None = Field(description="The dataset that the job delivers to.")
    delivery: int | None = Field(description="The number of the delivery there; when the job has succeeded.")
    attempt: int
    cancel_requested: bool
    rows: Mapping[str, int] | None = Field(description="in, kept, merged, quarantined; when the job has succeeded")
    manifest_sha256: str | None
    created_at: dt.datetime
    finished_at: dt.datetime | None


class JobPage(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobStatus]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class LedgerEntry(BaseModel):
    """One thing that was done, or noticed, and why."""

    source: str | None
    row: int | None
    column: str | None
    action: str
    old: str | None
    new: str | None
    rule: str
    rule_version: int | None
    evidence: str | None
    confidence: float | None
    sensitive: bool


class LedgerPage(BaseModel):
    """Entries in the order of the ledger."""

    entries: list[LedgerEntry]
    next: str | None


class ClusterRow(BaseModel):
    """A row that belongs to a cluster."""

    source: str
    row: int
    survivor_source: str | None
    survivor_row: int | None
    kind: str
    confidence: float | None
    decision: str


class Cluster(BaseModel):
    """Rows believed to be one entity, and what somebody decided about them."""

    id: str
    rows: list[ClusterRow]
    decided: str | None


class ClusterPage(BaseModel):
    """Clusters in the order of their ids."""

    clusters: list[Cluster]
    next: str | None


class Decision(_Given):
    """What a person decided about a cluster. `not_a_duplicate` is carried out by `undo` with that cluster."""

    decision: Literal["duplicate", "not_a_duplicate", "skip"]


class Decided(BaseModel):
    """A decision that is kept."""

    cluster: str
    decision: str


class Undo(_Given):
    """Which changes to take back; the filters combine."""

    row: Whole | None = Field(None, ge=0, le=2**53 - 1)
    column: str | None = Field(None, max_length=512)
    rule: str | None = Field(None, max_length=100)
    cluster: str | None = Field(None, max_length=63)
    source: str | None = Field(None, max_length=1000)
    everything: bool = False


class NewEntry(_Given):
    """An entry for the audit log of the tenant about a job. No values of cells here."""

    action: str = Field(pattern=r"^[a-z][a-z0-9._-]{0,62}$", description="It is stored with `note.` before it.")
    detail: dict[str, str | int | float | bool | None] = Field(default_factory=dict, max_length=20)


class AuditEntry(BaseModel):
    """One entry of the audit log."""

    seq: int
    id: UUID
    at: str
    actor: str
    action: str
    subject: str
    detail: Any
    hash: str


class AuditPage(BaseModel):
    """Entries in their order."""

    entries: list[AuditEntry]
    next: str | None


class AuditHead(BaseModel):
    """The number and the hash of an entry: kept elsewhere, they show later that nothing was cut off."""

    seq: int
    hash: str


class Cell(_Given):
    """A cell by its row, from 0, and its column."""

    row: Whole = Field(ge=0, le=2**53 - 1)
    column: str = Field(min_length=1, max_length=512)
    source: str | None = Field(None, max_length=1000)


class Cells(_Given):
    """Cells to be told the confidence of."""

    cells: list[Cell] = Field(min_length=1, max_length=1000)


class Score(BaseModel):
    """How sure the change of a cell is; `action` is null for a cell that nothing was said about."""

    source: str | None
    row: int | None
    column: str | None
    action: str | None
    rule: str | None
    confidence: float | None


class Scores(BaseModel):
    """Confidences, in the order of the ledger, or of the cells asked for."""

    scores: list[Score]
    next: str | None = None


class Usage(BaseModel):
    """What a tenant uses, and may use."""

    tenant_id: str
    jobs: Mapping[str, int]
    open_jobs: int
    open_jobs_limit: int
    input_bytes: int
    input_bytes_limit: int


class Health(BaseModel):
    """Whether the service can work, and which parts cannot."""

    status: Literal["ok", "degraded", "unavailable"]
    degraded: list[str] = []


class DatasetTold(BaseModel):
    """A dataset, with the number of its deliveries."""

    name: str
    deliveries: int


class DatasetList(BaseModel):
    """All datasets of a tenant, by name."""

    datasets: list[DatasetTold]


class DeliveryTold(BaseModel):
    """One delivery: its inputs, its rows and what became of entities."""

    no: int
    row_count: int
    counts: Mapping[str, Any] = Field(description="rows: in, kept, merged, quarantined, seen, new; entities: created, merged, split")
    inputs: list[Mapping[str, Any]]
    manifest_sha256: str
    created_at: dt.datetime


class DeliveryList(BaseModel):
    """All deliveries of a dataset, in their order."""

    deliveries: list[DeliveryTold]


class EntityEventTold(BaseModel):
    """What happened to the id of an entity: created, merged into another, split from another."""

    no: int
    kind: str
    entity: str
    other: str | None
    delivery: int
    actor: str
    evidence: Mapping[str, Any]


class EventPage(BaseModel):
    """Events in their order."""

    events: list[EntityEventTold]
    next: str | None


class DeliveredRow(_Given):
    """A row as it was first delivered."""

    delivery: Whole = Field(ge=1, le=2**31 - 1)
    row: Whole = Field(ge=0, le=2**53 - 1)
    source: str | None = Field(None, max_length=1000, description="The input it is of, where the delivery had several.")


class SplitRows(_Given):
    """Rows that are not the same entity as the others of theirs; several become one."""

    rows: list[DeliveredRow] = Field(min_length=1, max_length=1000)


class SplitTold(BaseModel):
    """What followed from the decision."""

    events: list[EntityEventTold]


class Forgotten(BaseModel):
    """What was deleted: rows by table, and runs of deliveries."""

    rows: Mapping[str, int]
    runs: int


class NewWebhook(_Given):
    """An address that is told when a job ends."""

    url: str = Field(min_length=1, max_length=2000)


class Webhook(BaseModel):
    """An address that is told; the secret is shown once, when it is made."""

    id: UUID
    url: str
    secret: str | None = None


class Webhooks(BaseModel):
    """All addresses of a tenant."""

    webhooks: list[Webhook]
