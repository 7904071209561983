"""Finished runs for the tests of the report: small ones with known counts, made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from data_sanitizer import ledger
from data_sanitizer.pipeline.report import RunFacts

ROWS = {"source": pl.String, "row": pl.UInt64}
LEDGER = {
    **ROWS,
    "column": pl.String,
    "action": pl.String,
    "old": pl.String,
    "new": pl.String,
    "rule": pl.String,
    "rule_version": pl.UInt16,
    "evidence": pl.String,
    "confidence": pl.Float32,
    "sensitive": pl.Boolean,
}
DUPLICATES = {
    **ROWS,
    "cluster": pl.String,
    "survivor_source": pl.String,
    "survivor_row": pl.UInt64,
    "kind": pl.String,
    "confidence": pl.Float32,
    "decision": pl.String,
}
MATCHES = {
    "source_a": pl.String,
    "row_a": pl.UInt64,
    "source_b": pl.String,
    "row_b": pl.UInt64,
    "confidence": pl.Float32,
    "evidence": pl.String,
}
COLUMNS = ["id", "name", "email", "amount", "day", "born"]


def entry(row: int | None, column: str | None, action: str, old: Any, new: Any, rule: str, **more: Any) -> dict[str, Any]:
    first = {"source": "in.csv", "row": row, "column": column, "action": action, "old": old, "new": new, "rule": rule}
    return {**first, "rule_version": 1, "evidence": "because", "confidence": 1.0, "sensitive": False, **more}


def copy(row: int, of: int, kind: str = "exact", decision: str = "removed") -> dict[str, Any]:
    decided = "kept" if row == of else decision
    where = {"source": "in.csv", "row": row, "cluster": f"in.csv:{of}", "survivor_source": "in.csv", "survivor_row": of}
    return {**where, "kind": kind, "confidence": 1.0, "decision": decided}


LEDGER_ROWS = [
    entry(None, "day", "convert", "%d/%m/%Y", "Date", "dates"),
    entry(None, "email", "flag", None, None, "flag_personal_data", evidence="all values are addresses"),
    entry(None, "born", "flag", None, None, "dates", evidence="two readings", confidence=0.5),
    entry(0, "name", "set", " Ann", "Ann", "trim_blanks"),
    entry(1, "name", "set", "N/A", None, "null_tokens"),
    entry(1, "email", "set", " Jane.Secret@Example.com", "jane.secret@example.com", "trim_blanks+category_spelling", sensitive=True),
    entry(2, "amount", "set", None, "7", "fill_missing", confidence=0.8),
    entry(3, "amount", "flag", "99999", None, "outliers", confidence=0.9),
    entry(4, "email", "flag", "secret@", None, "outliers", evidence="secret@ is odd", sensitive=True),
    entry(5, None, "flag", None, None, "reader"),
    entry(6, "name", "set", "x", "y", "someones_own_rule"),
    entry(7, None, "remove", None, None, "exact_duplicate"),
    entry(9, None, "quarantine", None, None, "reader"),
]
COPIES = [copy(0, 0), copy(7, 0), copy(2, 2, "near"), copy(8, 2, "near", "review")]
NEAR: dict[str, Any] = {
    "kind": "clear", "duplicates": 0.1, "related": 0.2, "ambiguity": 0.01, "identifiable": True, "reason": "",
    "columns": [{"name": "name", "bits": 4.5}, {"name": "email", "bits": 11.0}, {"name": "id", "bits": 0.0}],
    "rows": 8, "prior_bits": -3.5, "related_pairs": 6,
}  # fmt: skip


def match(a: int, b: int, confidence: float, **bits: float | None) -> dict[str, Any]:
    """A near-duplicate; a column without bits was not compared."""
    said = {name: {"level": "not compared" if b is None else "close", "bits": b or 0.0} for name, b in bits.items()}
    return {"source_a": "in.csv", "row_a": a, "source_b": "in.csv", "row_b": b, "confidence": confidence, "evidence": json.dumps(said)}


SAME = {**match(0, 7, 1.0), "evidence": ledger.SAME_ROWS}
PAIRS = [SAME, match(2, 8, 0.75, name=3.25, email=8.5, id=None, amount=-2.0)]
PROFILE: dict[str, Any] = {
    "id": {"kind": "identifier", "missing": 0, "distinct": 9, "unique": True, "candidate_key": True},
    "name": {"kind": "text", "missing": 1, "null_tokens": {"N/A": 1}, "frequent": [["Ann", 4], ["Bob", 2]], "patterns": [["Aaa", 6]]},
    "email": {
        "kind": "email",
        "missing": 0,
        "sensitive": "email",
        "frequent": [["jane.secret@example.com", 2]],
        "patterns": [["jane@aa", 1]],
    },
    "amount": {
        "kind": "integer",
        "missing": 2,
        "number": {
            "count": 7,
            "min": 1,
            "max": float("inf"),
            "mean": float("nan"),
            "histogram": [[1, 5, 6], [5, 9, 1]],
            "quantiles": {"0.5": 3},
        },
    },
    "day": {"kind": "date", "missing": 0, "date": {"format": "%d/%m/%Y", "min": "2020-01-01", "max": "2021-01-01"}},
    "born": {"kind": "text", "missing": 3},
}


def make_folder(
    folder: Path, entries: list[dict[str, Any]], copies: list[dict[str, Any]], pairs: Sequence[dict[str, Any]] | None = None
) -> Path:
    folder.mkdir(exist_ok=True)
    pl.DataFrame(entries, schema=LEDGER).write_parquet(folder / "ledger.parquet")
    pl.DataFrame(PAIRS if pairs is None else pairs, schema=MATCHES).write_parquet(folder / "matches.parquet")
    pl.DataFrame(copies, schema=DUPLICATES).write_parquet(folder / "duplicates.parquet")
    schema = {**ROWS, "reason": pl.String, "name": pl.String}
    for name, action in (("quarantine", "quarantine"), ("removed", "remove")):
        rows = [{"source": "in.csv", "row": e["row"], "reason": "too many fields", "name": "x"} for e in entries if e["action"] == action]
        pl.DataFrame(rows, schema=schema).write_parquet(folder / f"{name}.parquet")
    return folder


def make_facts(**more: Any) -> RunFacts:
    decisions = [{"subject": "encoding", "choice": "utf-8", "evidence": "all bytes are valid"}]
    known: dict[str, Any] = {
        "sources": [{"name": "in.csv", "format": "csv", "bytes": 1234, "rows": 10, "quarantined": 1, "decisions": decisions}],
        "rows_in": 10,
        "rows_kept": 8,
        "rows_merged": 1,
        "rows_quarantined": 1,
        "columns": COLUMNS,
        "profile": {"schema": "data-sanitizer.profile/1", "rows": 9, "columns": PROFILE, "near_duplicates": NEAR},
        "recipe": {"name": "careful", "steps": [{"step": "trim_blanks", "options": {}}, {"step": "outliers", "options": {"limit": 6}}]},
        "stages": {"pass 1": 0.25, "pass 2": 0.5},
        "versions": {"data-sanitizer": "0.1.0", "polars": "2.1.0"},
        "started": "2026-05-04T09:12:44+00:00",
        "output": "out/my run",
        "dataset": {"tenant": "default", "name": "customers", "delivery": 2, "rows": {"seen": 4, "new": 5},
                    "entities": {"created": 3, "merged": 1, "split": 0},
                    "changes": {"since": 1, "new": 3, "back": 0, "gone": 1, "changed": 2, "same": 0},
                    "index": {"rows": 9, "candidates": 4, "reach": 0.9, "degraded": False}},
        "comparison": {
            "schema": "data-sanitizer.comparison/1", "before": "out/last", "accepted": True, "stopping": 1,
            "old": {"rows": 8, "columns": 2}, "new": {"rows": 9, "columns": 3},
            "differences": [{"kind": "renamed_column", "column": "b", "was": "a", "what": "column has another name", "evidence": "the same",
                             "policy": "freeze", "stops": True}],
        },
    }  # fmt: skip
    return RunFacts(**{**known, **more})
