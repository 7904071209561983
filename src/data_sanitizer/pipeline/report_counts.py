"""Counts what the finished files of a run say: the ledger, the duplicates and the rows that were put aside, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

EXAMPLES = 8  # ledger entries held for each column, rule and action; the report shows the different ones among them
SLICE = 500_000  # ledger entries looked at together when examples are picked
CLUSTERS_AT_ONCE = 4_000_000  # rows of duplicates.parquet whose groups are counted in one pass, about 200 MB
LARGEST = 10  # duplicate groups listed
MEMBERS = 8  # rows listed of one such group
REASONS = 20  # reasons for quarantine listed
TEXT = 1_000  # characters of a cell that are read for an example

_KEY = ("column", "rule", "action")
CONFIDENCE_UNIT = 10_000  # confidences are added as whole numbers, so that no order of addition shows in the mean
_EMPTYING = ("null_tokens", "trim_blanks")  # the profile counts the cells that these empty as missing already

_LEDGER = {
    "source": pl.String(),
    "row": pl.UInt64(),
    "column": pl.String(),
    "action": pl.String(),
    "old": pl.String(),
    "new": pl.String(),
    "rule": pl.String(),
    "evidence": pl.String(),
    "confidence": pl.Float32(),
    "sensitive": pl.Boolean(),
}
_DUPLICATES = {
    "source": pl.String(),
    "row": pl.UInt64(),
    "cluster": pl.String(),
    "survivor_source": pl.String(),
    "survivor_row": pl.UInt64(),
    "kind": pl.String(),
    "decision": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Group:
    """All ledger entries of one column, one combination of rules and one action."""

    column: str | None
    rules: tuple[str, ...]
    action: str
    entries: int
    wide: int  # entries for the whole column
    filled: int  # set: was missing, has a value now
    emptied: int  # set: had a value, is missing now
    sensitive: bool
    confidence_sum: int  # in ten-thousandths
    confidence_min: float | None

    @property
    def cells(self) -> int:
        """Entries that speak of one cell or one row, not of a whole column."""
        return self.entries - self.wide

    @property
    def fill_doubt(self) -> float:
        """How many of the filled cells are expected to be wrong: those filled × (1 − mean confidence)."""
        return self.filled * (1 - self.confidence_sum / CONFIDENCE_UNIT / self.entries)


def count_ledger(folder: Path) -> list[Group]:
    """Every group of the ledger, ordered by column, rule and action; memory grows with the groups, not with the entries."""
    old, new = pl.col("old").is_null(), pl.col("new").is_null()
    groups = (
        _scan(folder / "ledger.parquet", _LEDGER)
        .group_by(_KEY)
        .agg(
            entries=pl.len(),
            wide=pl.col("row").null_count(),
            given=(~new).sum(),
            given_anew=(~new & old).sum(),
            taken=(new & ~old).sum(),
            sensitive=pl.col("sensitive").any(),
            confidence_sum=(pl.col("confidence") * CONFIDENCE_UNIT).round().cast(pl.Int64).sum(),
            confidence_min=pl.col("confidence").min(),
        )
    )
    rows = groups.collect(engine="streaming").sort(_KEY, nulls_last=True).iter_rows(named=True)
    return [_group(row) for row in rows]


def pick_examples(folder: Path, groups: list[Group]) -> list[dict[str, Any]]:
    """The first entries of every group of changes and flags, in ledger order; reads no further than needed."""
    ledger = _scan(folder / "ledger.parquet", _LEDGER)
    wanted = ledger.select(*_KEY, "source", "row", pl.col("old", "new", "evidence").str.slice(0, TEXT), "confidence", "sensitive")
    shown = [group for group in groups if group.action in ("set", "convert", "flag")]
    needed = sum(min(EXAMPLES, group.entries) for group in shown)
    held = pl.DataFrame(schema=wanted.collect_schema())
    for start in range(0, sum(group.entries for group in groups), SLICE):
        if held.height == needed:
            break
        part = wanted.slice(start, SLICE).filter(pl.col("action").is_in(["set", "convert", "flag"]))
        held = _first(pl.concat([held, _first(part.collect(engine="streaming"))]))
    return held.sort(_KEY, nulls_last=True, maintain_order=True).to_dicts()


def count_duplicates(folder: Path) -> dict[str, Any]:
    """How many groups and rows are duplicates of each kind, what was decided, and the largest groups."""
    table = _scan(folder / "duplicates.parquet", _DUPLICATES)
    itself = (pl.col("row") == pl.col("survivor_row")) & (pl.col("source") == pl.col("survivor_source"))
    counts = table.group_by("kind", "decision", itself.alias("itself")).agg(rows=pl.len()).collect(engine="streaming")

    def rows(*conditions: pl.Expr) -> int:
        return int(counts.filter(*conditions)["rows"].sum())

    total = rows()
    copy, removed = ~pl.col("itself"), pl.col("decision") == "removed"
    kinds = {
        kind: {
            "removed": rows(copy, removed, pl.col("kind") == kind),
            "review": rows(copy, ~removed, pl.col("kind") == kind),
        }
        for kind in ("exact", "near")
    }
    largest, asked, groups = _largest(table, total)
    kinds["near"]["review_groups"] = asked
    return {
        "groups": groups,
        "rows": total,
        **kinds,
        "remaining": rows(copy, ~removed),
        "largest": [_members(table, cluster, size) for cluster, size in largest],
    }


def count_reasons(path: Path) -> list[dict[str, Any]]:
    """The most frequent reasons in quarantine.parquet or removed.parquet, with the number of rows and the first row of each."""
    table = _scan(path, {"source": pl.String(), "row": pl.UInt64(), "reason": pl.String()})
    found = table.group_by("reason").agg(rows=pl.len(), first_row=pl.col("row").min())
    top = found.sort("rows", "reason", descending=[True, False], nulls_last=True).head(REASONS)
    return top.collect(engine="streaming").to_dicts()


def _scan(path: Path, schema: dict[str, Any]) -> pl.LazyFrame:
    if not path.exists():
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(path, glob=False).select(pl.col(name).cast(kind) for name, kind in schema.items())


def _group(row: dict[str, Any]) -> Group:
    rules = tuple((row["rule"] or "unnamed").split("+"))
    changed = row["action"] == "set"
    filled = row["given"] if "fill_missing" in rules else row["given_anew"]
    emptied = 0 if set(rules) & set(_EMPTYING) else row["taken"]
    return Group(
        column=row["column"],
        rules=rules,
        action=row["action"],
        entries=row["entries"],
        wide=row["wide"],
        filled=filled if changed else 0,
        emptied=emptied if changed else 0,
        sensitive=bool(row["sensitive"]),
        confidence_sum=row["confidence_sum"],
        confidence_min=row["confidence_min"],
    )


def _first(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.group_by(_KEY, maintain_order=True).head(EXAMPLES)


def _largest(table: pl.LazyFrame, rows: int) -> tuple[list[tuple[str, int]], int, int]:
    """The clusters with most rows, in how many some row waits for review, and how many there are.

    Groups are counted by partition of their hash, so that memory does not grow with the file.
    """
    parts, asked, count = max(1, -(-rows // CLUSTERS_AT_ONCE)), 0, 0
    best = pl.DataFrame(schema={"cluster": pl.String, "rows": pl.UInt32})
    waits = (pl.col("decision") == "review").any()
    for part in range(parts):
        mine = table.filter(pl.col("cluster").hash() % parts == part).group_by("cluster").agg(rows=pl.len().cast(pl.UInt32), waits=waits)
        groups = mine.collect(engine="streaming")
        asked += int(groups["waits"].sum())
        count += groups.height
        top = groups.sort("rows", "cluster", descending=[True, False]).head(LARGEST).drop("waits")
        best = pl.concat([best, top]).sort("rows", "cluster", descending=[True, False]).head(LARGEST)
    return list(best.iter_rows()), asked, count


def _members(table: pl.LazyFrame, cluster: str, size: int) -> dict[str, Any]:
    first = table.filter(pl.col("cluster") == cluster).sort("source", "row").head(MEMBERS).collect(engine="streaming")
    return {
        "cluster": cluster,
        "rows": size,
        "survivor": {"source": first["survivor_source"][0], "row": first["survivor_row"][0]},
        "members": first.select("source", "row", "kind", "decision").to_dicts(),
    }
