"""The near-duplicates of a finished run against the truth: which row is which entity, and which rows were planted as near copies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

EXACT = '{"all columns":{"level":"exact"}}'  # the evidence of rows that are equal in every column


@dataclass(frozen=True, slots=True)
class Planted:
    """Of the planted near copies, how many are with another row of their entity; of the near-duplicates, how many are with a stranger.

    Once for rows that were removed, once for those removed or proposed for review.
    """

    planted: int
    found_removed: int
    found: int
    removed: int
    wrong_removed: int
    proposed: int
    wrong: int

    @property
    def recall(self) -> float:
        """The share of the planted near copies that was removed or proposed."""
        return self.found / max(self.planted, 1)

    @property
    def wrongness(self) -> float:
        """The share of strangers among the near-duplicates that were removed or proposed."""
        return self.wrong / max(self.proposed, 1)


def read_truth(path: Path) -> pl.DataFrame:
    """row, entity of a CSV or Parquet file; without a column `row`, line by line from row 0; a column `source` is kept."""
    table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    if "row" not in table.columns:
        table = table.with_row_index("row")
    kept = ["source"] if "source" in table.columns else []
    return table.select(*kept, pl.col("row").cast(pl.UInt64), pl.col("entity").cast(pl.String))


def judged_matches(run: Path, truth: pl.DataFrame) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Confidence of every match of near-duplicates of a run, and whether it is right. Rows equal in every column are left out."""
    matches = pl.read_parquet(run / "matches.parquet").filter(pl.col("evidence") != EXACT)
    for side in ("a", "b"):
        on = ["source", "row"] if "source" in truth.columns else ["row"]
        known = truth.rename({name: f"{name}_{side}" for name in (*on, "entity")})
        matches = matches.join(known, on=[f"{name}_{side}" for name in on], how="left", maintain_order="left")
    missing = matches.select(pl.any_horizontal(pl.col("entity_a", "entity_b").is_null()).sum()).item()
    if missing:
        raise SystemExit(f"The truth does not know the rows of {missing} matches.")
    return matches["confidence"].to_numpy(), (matches["entity_a"] == matches["entity_b"]).to_numpy()


def planted(run: Path, truth: Path) -> Planted:
    """The near copies of a generated table (its folder has truth.parquet and entities.parquet) in a finished run."""
    entity = pl.scan_parquet(truth / "entities.parquet").select("entity").collect()["entity"].to_numpy()
    near = pl.scan_parquet(truth / "truth.parquet").filter(pl.col("kind") == "near_duplicate").select("row").collect()["row"].to_numpy()
    members = pl.read_parquet(run / "duplicates.parquet").select("row", "survivor_row", "cluster", "kind", "decision")
    removed = members.filter(pl.col("decision") == "removed")
    kept = members.filter(pl.col("row").is_in(removed["survivor_row"].unique().implode()))
    sure = pl.concat([removed, kept.filter(pl.col("decision") != "removed").with_columns(survivor_row="row")])
    counts = (_counted(table, group, entity, near) for table, group in ((sure, "survivor_row"), (members, "cluster")))
    (found_removed, gone, wrong_gone), (found, proposed, wrong) = counts
    return Planted(len(near), found_removed, found, gone, wrong_gone, proposed, wrong)


def _counted(members: pl.DataFrame, group: str, entity: NDArray[np.uint64], near: NDArray[np.uint64]) -> tuple[int, int, int]:
    """Near copies that are with a row of their entity; near-duplicates removed or proposed; those whose survivor is a stranger."""
    rows, survivors = members["row"].to_numpy(), members["survivor_row"].to_numpy()
    table = members.select("row", group=pl.col(group).cast(pl.String)).with_columns(entity=pl.Series(entity[rows]))
    company = table.filter(pl.len().over("group", "entity") > 1)["row"].to_numpy()
    said = ((members["kind"] == "near") & members["decision"].is_in(["removed", "review"])).to_numpy()
    return int(np.isin(near, company).sum()), int(said.sum()), int((entity[rows] != entity[survivors])[said].sum())
