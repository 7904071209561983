"""What the report says of near-duplicates: whether rows can be told apart, by what, and some matches with what spoke for each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from data_sanitizer.ledger import SAME_ROWS
from data_sanitizer.pipeline import report_counts
from data_sanitizer.pipeline.duplicate_tables import MATCHES

SHOWN = 5  # matches drawn
_BANDS = (0.9999, 0.99, 0.9, 0.7, 0.5)  # of confidence; one match of each is shown, if there is one
_MERGED, _REVIEW, _APART = "merged", "review", "apart"


def duplicates(folder: Path, profile: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The part `duplicates` of the report, from the files of the run, what profile.json says of the search, and the recipe."""
    copies, figures = report_counts.count_duplicates(folder), profile.get("near_duplicates")
    rules = recipe.get("duplicates") or {}
    copies["near"] |= _near(figures, rules)
    identifying = sorted(({"column": c["name"], "bits": c["bits"]} for c in (figures or {}).get("columns", [])), key=_least_bits)
    return {**copies, "identifying": identifying, "matches": _matches(folder, (figures or {}).get("prior_bits", 0.0))}


def _least_bits(column: Mapping[str, Any]) -> float:
    return -float(column["bits"])


def _near(figures: Mapping[str, Any] | None, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Whether near-duplicates were sought, and if not, or if none may be removed, why."""
    if figures is None or not figures.get("sought", True):
        reason = _unsought(rules) if figures is None else figures["reason"]
        return {"sought": False, "identifiable": None, "kind": None, "reason": reason, "related_pairs": 0}
    reason = figures.get("reason") or (None if rules.get("remove", True) else "the recipe keeps duplicates")
    return {
        "sought": True,
        "identifiable": bool(figures.get("identifiable")),
        "kind": figures.get("kind") or None,
        "reason": reason,
        "related_pairs": figures.get("related_pairs", 0),
    }


def _unsought(rules: Mapping[str, Any]) -> str:
    if not rules.get("near", True):
        return "the recipe says so"
    if rules.get("key"):
        return "the recipe names the columns in which duplicates are equal"
    return "there are no two rows to compare"


def _matches(folder: Path, prior: float) -> list[dict[str, Any]]:
    """Some matches, the surest first: one of each band of confidence, and if that are few, more from the first bands."""
    path = folder / "matches.parquet"
    if not path.exists():
        return []
    table = pl.scan_parquet(path, glob=False).select(pl.col(name).cast(kind) for name, kind in MATCHES.items())
    found = [_band(table, low, high) for low, high in zip(_BANDS, (2.0, *_BANDS[:-1]), strict=True)]
    chosen = pl.concat([*(band.head(1) for band in found), *(band.slice(1) for band in found)]).head(SHOWN)
    rows = chosen.sort("confidence", "source_a", "row_a", "source_b", "row_b", descending=[True, *[False] * 4]).to_dicts()
    kept = _kept_for(folder, rows)
    return [_match(row, prior, kept) for row in rows]


def _band(table: pl.LazyFrame, low: float, high: float) -> pl.DataFrame:
    """The first matches of a band; exact ones, of which there is nothing to tell, are as sure as a match can be."""
    inside = (pl.col("confidence") >= low) & (pl.col("confidence") < high)
    near = inside & (pl.col("evidence") != SAME_ROWS) if high > 1 else inside
    return table.filter(near).head(SHOWN).collect(engine="streaming")


def _kept_for(folder: Path, matches: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], tuple[str, Any]]:
    """For the rows of these matches what was decided, and the row that now stands for each."""
    rows = pl.Series([row for m in matches for row in (m["row_a"], m["row_b"])], dtype=pl.UInt64)
    table = pl.scan_parquet(folder / "duplicates.parquet", glob=False).filter(pl.col("row").is_in(rows.implode()))
    found = {}
    for one in table.collect(engine="streaming").iter_rows(named=True):
        itself = (one["source"], one["row"])
        found[itself] = one["decision"], (one["survivor_source"], one["survivor_row"]) if one["decision"] == "removed" else itself
    return found


def _match(row: Mapping[str, Any], prior: float, kept: Mapping[tuple[str, int], tuple[str, Any]]) -> dict[str, Any]:
    evidence = json.loads(row["evidence"])
    columns = [{"column": name, "level": said["level"], "bits": said.get("bits", 0.0)} for name, said in evidence.items()]
    ends = [kept.get((row[f"source_{end}"], row[f"row_{end}"])) for end in "ab"]
    return {
        **{name: row[name] for name in ("source_a", "row_a", "source_b", "row_b", "confidence")},
        "outcome": _outcome(*ends),
        "prior_bits": prior,
        "bits": round(prior + sum(c["bits"] for c in columns), 2),
        "columns": sorted(columns, key=_least_bits),
    }


def _outcome(a: tuple[str, Any] | None, b: tuple[str, Any] | None) -> str:
    """`merged` where one row stands for both, `review` where that is asked, else `apart`."""
    if a is None or b is None:
        return _APART
    if a[1] == b[1]:
        return _MERGED
    return _REVIEW if _REVIEW in (a[0], b[0]) else _APART
