"""What a run says of cells and rows, from its own files: ledger, confidences, clusters; a page at a time, in bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import polars as pl
from fastapi import APIRouter, Query, Request

from data_sanitizer.api import _cursors
from data_sanitizer.api.access import Caller, Found, needs
from data_sanitizer.api.downloads import Reader, file_of, finished
from data_sanitizer.api.problems import refused
from data_sanitizer.api.schemas import Cells, ClusterPage, Decided, Decision, LedgerPage, Scores
from data_sanitizer.api.service import Service
from data_sanitizer.storage_backend import Job

router = APIRouter(tags=["results"])
_SCORE: Final = ("source", "row", "column", "action", "rule", "confidence")
_ENTRY: Final = ("source", "row", "column", "action", "old", "new", "rule", "rule_version", "evidence", "confidence", "sensitive")
Writer = Annotated[Caller, needs("jobs:write")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=500)]
Row = Annotated[int | None, Query(ge=0, le=2**53 - 1)]
Column = Annotated[str | None, Query(max_length=512)]
Rule = Annotated[str | None, Query(max_length=100)]
Source = Annotated[str | None, Query(max_length=1000)]
Confidence = Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)]
Act = Annotated[Literal["set", "convert", "remove", "quarantine", "flag"] | None, Query()]


@router.get("/jobs/{job_id}/ledger", response_model=LedgerPage)
def ledger(
    request: Request, job_id: UUID, found: Found, caller: Reader, row: Row = None, column: Column = None, rule: Rule = None,
    action: Act = None, source: Source = None, min_confidence: Confidence = None, max_confidence: Confidence = None,
    reveal: Annotated[bool, Query(description="Show values that are personal data; needs `personal:read`.")] = False,
    limit: Limit = 100, cursor: Cursor = None,
) -> Any:  # fmt: skip
    """Every change, removal and flag, in the order of the ledger."""
    job = finished(found, caller, job_id, request)
    if reveal:
        caller.must_have("personal:read")
        found.storage.insert_audit_log(caller.tenant, caller.actor, "personal.revealed", str(job_id))
    equal = {"row": row, "column": column, "rule": rule, "action": action, "source": source}
    entries, next_ = _page(found, job, equal, (min_confidence, max_confidence), limit, cursor)
    shown = entries if reveal else _masked(entries)
    return {"entries": shown.select(_ENTRY).to_dicts(), "next": next_}


@router.get("/jobs/{job_id}/confidence-scores", response_model=Scores)
def confidence_scores(
    request: Request, job_id: UUID, found: Found, caller: Reader, row: Row = None, column: Column = None, rule: Rule = None,
    min_confidence: Confidence = None, max_confidence: Confidence = None, limit: Limit = 100, cursor: Cursor = None,
) -> Any:  # fmt: skip
    """How sure each change is, without the values."""
    job = finished(found, caller, job_id, request)
    equal = {"row": row, "column": column, "rule": rule, "action": None, "source": None}
    entries, next_ = _page(found, job, equal, (min_confidence, max_confidence), limit, cursor)
    return {"scores": entries.select(_SCORE).to_dicts(), "next": next_}


@router.post("/jobs/{job_id}/confidence-scores", response_model=Scores)
def confidence_of_cells(request: Request, job_id: UUID, cells: Cells, found: Found, caller: Reader) -> Any:
    """How sure the changes of chosen cells are; a cell that nothing was said about has nulls."""
    job = finished(found, caller, job_id, request)
    asked = pl.DataFrame(
        [(n, c.source, c.row, c.column) for n, c in enumerate(cells.cells)],
        {"n": pl.Int64, "asked_source": pl.String, "row": pl.UInt64, "column": pl.String}, orient="row",
    )  # fmt: skip
    with _file(found, job, "ledger.parquet") as path:
        table = pl.scan_parquet(path).filter(pl.col("row").is_in(asked["row"].implode())).select(_SCORE).collect(engine="streaming")
    both = asked.join(table, on=["row", "column"], how="left", maintain_order="left_right")
    fitting = both.filter(pl.col("asked_source").is_null() | pl.col("source").is_null() | (pl.col("source") == pl.col("asked_source")))
    return {"scores": fitting.select(_SCORE).to_dicts(), "next": None}


def _file(found: Service, job: Job, name: str) -> Any:
    return found.cache.file(*file_of(found, job, name))


def _page(found: Service, job: Job, equal: dict[str, Any], between: tuple[float | None, float | None], limit: int,
          cursor: str | None) -> tuple[pl.DataFrame, str | None]:  # fmt: skip
    """Entries behind the cursor, and the cursor of the next page. A row of the file is named by its number, which never changes."""
    bound = ("ledger", str(job.id), job.manifest_sha256, equal, between)
    start = _cursors.read(cursor, int, *bound) or 0
    wanted = [pl.col(name) == value for name, value in equal.items() if value is not None]
    low, high = between
    wanted += [pl.col("confidence") >= low] if low is not None else []
    wanted += [pl.col("confidence") <= high] if high is not None else []
    with _file(found, job, "ledger.parquet") as path:
        table = pl.scan_parquet(path, row_index_name="no").slice(start)
        table = table.filter(*wanted) if wanted else table
        entries = table.head(limit + 1).collect(engine="streaming")
    more = entries.height > limit
    return entries.head(limit), (_cursors.made(int(entries["no"][limit]), *bound) if more else None)


def _masked(entries: pl.DataFrame) -> pl.DataFrame:
    """Values that are personal data become `[hidden]`."""
    hide = pl.col("sensitive")
    return entries.with_columns(
        pl.when(hide & pl.col(name).is_not_null()).then(pl.lit("[hidden]")).otherwise(pl.col(name)).alias(name) for name in ("old", "new")
    )


@router.get("/jobs/{job_id}/clusters", response_model=ClusterPage)
def clusters(
    request: Request, job_id: UUID, found: Found, caller: Reader, kind: Annotated[Literal["exact", "near"] | None, Query()] = None,
    decision: Annotated[Literal["kept", "removed", "review"] | None, Query()] = None, max_confidence: Confidence = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: Cursor = None,
) -> Any:  # fmt: skip
    """Clusters of duplicates that hold a row of this kind and decision, in the order of their ids."""
    job = finished(found, caller, job_id, request)
    bound = ("clusters", str(job.id), job.manifest_sha256, kind, decision, max_confidence)
    after = _cursors.read(cursor, str, *bound)
    wanted = [pl.col(name) == value for name, value in (("kind", kind), ("decision", decision)) if value]
    wanted += [pl.col("confidence") <= max_confidence] if max_confidence is not None else []
    wanted += [pl.col("cluster") > after] if after is not None else []
    with _file(found, job, "duplicates.parquet") as path:
        ids, rows = _clusters(path, wanted, limit)
    decided = found.storage.cluster_decisions(caller.tenant, job_id, ids[:limit])
    told = [{"id": name, "rows": rows.get(name, []), "decided": decided.get(name)} for name in ids[:limit]]
    return {"clusters": told, "next": _cursors.made(ids[limit - 1], *bound) if len(ids) > limit else None}


def _clusters(path: Path, wanted: list[pl.Expr], limit: int) -> tuple[list[str], dict[str, list[dict[str, Any]]]]:
    table = pl.scan_parquet(path)
    found = (table.filter(*wanted) if wanted else table).select(pl.col("cluster").unique()).bottom_k(limit + 1, by="cluster")
    ids = sorted(found.collect(engine="streaming")["cluster"].to_list())
    members = table.filter(pl.col("cluster").is_in(ids[:limit])).sort("source", "row").collect(engine="streaming")
    return ids, {str(key[0]): part.drop("cluster").to_dicts() for key, part in members.group_by("cluster", maintain_order=True)}


@router.post("/jobs/{job_id}/clusters/{cluster}/decision", response_model=Decided)
def decide(request: Request, job_id: UUID, cluster: str, decision: Decision, found: Found, caller: Writer) -> Any:
    """Keep what a person decided about a cluster; the last decision counts. To bring its rows back, `undo` with this cluster."""
    job = finished(found, caller, job_id, request)
    with _file(found, job, "duplicates.parquet") as path:
        there = pl.scan_parquet(path).filter(pl.col("cluster") == cluster).head(1).collect(engine="streaming").height
    if not there:
        raise refused("not-found")
    found.storage.decide_cluster(caller.tenant, job_id, cluster, decision.decision, caller.actor)
    found.storage.insert_audit_log(caller.tenant, caller.actor, "cluster.decided", str(job_id),
                                   {"cluster": cluster, "decision": decision.decision})  # fmt: skip
    return {"cluster": cluster, "decision": decision.decision}
