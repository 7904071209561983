"""The golden record: empty cells of a row that is kept, filled from the near-duplicates that are removed for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from data_sanitizer import ledger
from data_sanitizer.pipeline.duplicates import Found, Rows, inventing, own_words
from data_sanitizer.pipeline.pass1 import Survey
from data_sanitizer.pipeline.pass2 import CleanBlock
from data_sanitizer.pipeline.spool import Spool
from data_sanitizer.recipe import Plan

RULE = "golden_record"
_INTO, _FROM, _CELL = "\0into", "\0from", "\0cell"  # no column of a table has such a name


def fill(blocks: Sequence[CleanBlock], survey: Survey, plan: Plan, found: Found, scratch: Path) -> pl.DataFrame:
    """The entries of the filled cells, in order of rows (column `ordinal`: rows counted over all sources) and columns.

    A cell gets the value that most of the removed rows have, of equally frequent ones that of the first row. Masked columns are left alone.
    """
    masked = {a.column for a in plan.actions("clean") if a.step == ledger.MASKING}
    columns = [c for c in survey.schema if c not in masked]
    rows, survivors, sure = found.rows[found.alike], found.survivors[found.alike], found.confidences[found.alike]
    members = Spool(scratch, "golden", {_INTO: pl.Int64(), _FROM: pl.Int64(), **dict.fromkeys(columns, pl.String())})
    for block in blocks if len(rows) and columns else ():
        members.add(_members(block, columns, plan, rows, survivors))
    filled = [_filled(members, column) for column in columns] if members.height else []
    cells = pl.concat([_cells_schema(), *filled])
    donors = found.places.of(cells["from"].to_numpy())
    said = donors.select(pl.format("from row {} of {}", "row", "source"))[:, 0]
    confidence = pl.Series(sure[np.searchsorted(rows, cells["from"].to_numpy())])
    place = pl.col("column").replace_strict(columns, range(len(columns)), return_dtype=pl.Int64)
    return cells.with_columns(evidence=said, confidence=confidence).sort("ordinal", place).drop("from")


def _cells_schema() -> pl.DataFrame:
    return pl.DataFrame(schema={"ordinal": pl.Int64, "column": pl.String, "new": pl.String, "from": pl.Int64})


def _members(block: CleanBlock, columns: Sequence[str], plan: Plan, rows: Rows, survivors: Rows) -> pl.DataFrame:
    """The removed rows and those kept for them: which row each is to go into, which it is, and its cells."""
    ordinals = block.ordinals()
    place = np.searchsorted(rows, ordinals).clip(0, len(rows) - 1)
    removed = rows[place] == ordinals
    into = np.where(removed, survivors[place], ordinals)
    index = np.flatnonzero(removed | np.isin(ordinals, survivors))
    frame = own_words(block, columns, plan)[index]
    return frame.with_columns(pl.Series(_INTO, into[index]), pl.Series(_FROM, ordinals[index])).select(_INTO, _FROM, *columns)


def _filled(members: Spool, column: str) -> pl.DataFrame:
    """The empty cells of one column that get a value."""
    table = members.lazy().select(_INTO, _FROM, pl.col(column).alias(_CELL)).collect()
    empty = table.filter((pl.col(_INTO) == pl.col(_FROM)) & pl.col(_CELL).is_null()).select(_INTO)
    given = table.filter((pl.col(_INTO) != pl.col(_FROM)) & pl.col(_CELL).is_not_null()).join(empty, on=_INTO, how="semi")
    votes = given.group_by(_INTO, _CELL).agg(count=pl.len(), first=pl.col(_FROM).min())
    best = votes.sort(_INTO, "count", "first", descending=[False, True, False]).group_by(_INTO, maintain_order=True).first()
    return best.select(ordinal=_INTO, column=pl.lit(column), new=_CELL, **{"from": "first"})


def joined(entries: pl.DataFrame, filled: pl.DataFrame, block: CleanBlock, survey: Survey, plan: Plan) -> pl.DataFrame:
    """The entries of a block with those of its filled cells: still one for each cell, of all rules that had to do with it."""
    mine = filled.filter(pl.col("ordinal").is_in(pl.Series(block.ordinals()).implode()))
    if not mine.height:
        return entries
    mine = mine.with_columns(row=(pl.col("ordinal") - block.source.first).cast(pl.UInt64))
    cells = entries.filter(pl.col("action") == ledger.SET).select("row", "column", "old", before="rule", said="evidence")
    told = mine.join(cells, on=["row", "column"], how="left", maintain_order="left")
    other = pl.col("before").str.split("+").list.eval(pl.element().filter(~pl.element().is_in(inventing(plan)))).list.join("+")
    rule = pl.when(other.fill_null("") == "").then(pl.lit(RULE)).otherwise(other + f"+{RULE}")
    evidence = pl.concat_str("said", "evidence", separator="; ", ignore_nulls=True)
    told = told.with_columns(rule=rule, evidence=pl.when(rule == RULE).then("evidence").otherwise(evidence))
    new = ledger.entries(told["row"], source=block.source.name, action=ledger.SET, rule_version=1,
                         **told.select("column", "old", "new", "rule", "evidence", "confidence").to_dict())  # fmt: skip
    new = new.with_columns(sensitive=pl.col("column").is_in(list(survey.sensitive)))
    known = entries.join(told.select("row", "column", action=pl.lit(ledger.SET)), on=["row", "column", "action"], how="anti",
                         maintain_order="left")  # fmt: skip
    place = pl.col("column").replace_strict(list(survey.schema), range(len(survey.schema)), return_dtype=pl.UInt32)
    order = ["row", place, pl.col("action") == ledger.FLAG]
    return pl.concat([known, new]).sort(order, maintain_order=True, nulls_last=True)
