"""What an undo means for the entities of a dataset: a near-duplicate that comes back was no duplicate, and stays apart from now on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from data_sanitizer import ledger
from data_sanitizer.errors import UsageError
from data_sanitizer.pipeline.deliveries import ENTITIES
from data_sanitizer.pipeline.entity_split import Decided, apart
from data_sanitizer.replay import Run

ACTOR = "undo"


def write_entities(old: Run, returned: Sequence[pl.DataFrame], folder: Path, deciding: Callable[[str, str], Decided] | None) -> None:
    """entities.parquet of the new run, where the old one has one: the dataset is told which rows are apart, and their new ids are written.

    Raises UsageError where there is a decision to keep and no way to the dataset.
    """
    told = old.manifest.get("dataset")
    if not told:
        return
    back = pl.concat(returned)
    near = old.table("duplicates").filter((pl.col("kind") == "near") & (pl.col("decision") == "removed"))
    rows = back.lazy().join(near.select("source", "row"), on=["source", "row"], how="semi", maintain_order="left").collect()
    moved: dict[tuple[str, int], str] = {}
    if rows.height:
        if deciding is None:
            raise UsageError(why=f"The run belongs to dataset {told['name']}, which must know that rows are apart. Name its database.")
        names = [s.name for s in old.sources]
        moved = apart(deciding(told["tenant"], told["name"]), rows, told["delivery"], names, ACTOR)
    table = pl.read_parquet(old.folder / ENTITIES)
    _renamed(table, _with_copies(old, moved)).write_parquet(folder / ENTITIES, compression="zstd")


def _with_copies(old: Run, moved: dict[tuple[str, int], str]) -> pl.DataFrame:
    """The rows that have another entity now, those that say the same as one of them too."""
    new = [{"source": source, "row": row, "moved": entity} for (source, row), entity in moved.items()]
    table = pl.DataFrame(new, schema={"source": pl.String, "row": pl.UInt64, "moved": pl.String})
    same = old.table("matches").filter(pl.col("evidence") == ledger.SAME_ROWS)
    copies = same.join(table.lazy(), left_on=["source_a", "row_a"], right_on=["source", "row"])
    return pl.concat([table, copies.select("moved", source="source_b", row="row_b").select("source", "row", "moved").collect()])


def _renamed(table: pl.DataFrame, moved: pl.DataFrame) -> pl.DataFrame:
    found = table.join(moved, on=["source", "row"], how="left", maintain_order="left")
    return found.select("source", "row", entity=pl.coalesce("moved", "entity"))
