"""Takes chosen changes back, from the tables of a run alone: nothing is cleaned again, and every other change stays.

A cell that several rules changed is taken back whole. A conversion is taken back for its whole column, and also where a cell that was taken
back cannot live in the type of its column. Masked cells stay: what was in them is kept nowhere. Quarantined rows stay where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from data_sanitizer import ledger
from data_sanitizer.errors import NotInRun, RunUnreadable, UsageError
from data_sanitizer.model import Action
from data_sanitizer.replay import Replay, Run, Source, Stretch, slices


@dataclass(frozen=True, slots=True)
class Choice:
    """Which changes to take back: those that fit every filter given; `everything` stands for no filter at all."""

    row: int | None = None
    column: str | None = None
    rule: str | None = None
    cluster: str | None = None
    source: str | None = None
    everything: bool = False

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None and value is not False}  # row 0 is a filter


@dataclass(frozen=True, slots=True)
class Count:
    """What an undo takes back."""

    cells: int = 0
    rows: int = 0
    flags: int = 0
    columns: tuple[str, ...] = ()  # whose conversion is taken back
    masked: int = 0  # chosen, but their old values are kept nowhere


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A stretch of the new run."""

    cleaned: pl.DataFrame
    entries: pl.DataFrame
    removed: pl.DataFrame  # rows of removed.parquet that stay there
    returned: pl.DataFrame  # source, row: those that are kept again


@dataclass(frozen=True)
class Undoing:
    """A choice applied to a run: which entries go, and which columns become text again."""

    run: Run
    choice: Choice
    chosen: pl.Expr  # over ledger entries
    reverted: frozenset[str]
    count: Count

    @cached_property
    def taken(self) -> pl.Expr:
        """The entries that go: the chosen ones, and in columns that become text those that their conversion made."""
        by_conversion = pl.lit(value=False)
        for column in sorted(self.reverted):
            made = pl.col("action").is_in([ledger.CONVERT, ledger.SET]) & ledger.made_by(self.run.converted[column].step)
            by_conversion |= (pl.col("column") == column).fill_null(value=False) & made
        return (self.chosen | (by_conversion & ~_masked())).fill_null(value=False)

    @property
    def converted(self) -> dict[str, Action]:
        """The conversions that stay."""
        return {c: a for c, a in self.run.converted.items() if c not in self.reverted}

    @property
    def cleaned_schema(self) -> dict[str, pl.DataType]:
        """The types of the new cleaned table."""
        return ledger.cleaned_schema(self.run.schema, self.converted)

    def described(self) -> dict[str, Any]:
        """The choice and its extent, for manifest.json."""
        return {"filters": self.choice.filters, **asdict(self.count), "columns": list(self.count.columns)}


def plan(run: Run, choice: Choice) -> Undoing:
    """Find what fits the choice; raises UsageError where nothing is chosen or a row is ambiguous, NotInRun where nothing fits."""
    _check(run, choice)
    chosen = _chosen(run, choice)
    reverted = _reverted(run, chosen)
    undoing = Undoing(run, choice, chosen, reverted, Count())
    count = _counted(run, undoing.taken, _fits(run, choice), reverted)
    if not (count.cells or count.rows or count.flags or count.columns or choice.everything):
        raise NotInRun(what=_named(choice), run=run.folder, cure=_cure(run, choice, count.masked))
    return Undoing(run, choice, chosen, reverted, count)


def _check(run: Run, choice: Choice) -> None:
    if not choice.filters:
        raise UsageError(why="Nothing is chosen. Say what to take back: a row, a column, a rule, a cluster, a source, or everything.")
    if choice.everything and len(choice.filters) > 1:
        raise UsageError(why="Everything and a filter together are not clear. Give one or the other.")
    if choice.row is not None and choice.source is None and len(run.sources) > 1:
        names = ", ".join(s.name for s in run.sources)
        raise UsageError(why=f"Row {choice.row} may stand in several sources. Name one: {names}.")


def _masked() -> pl.Expr:
    return (pl.col("action") == ledger.SET) & ledger.made_by(ledger.MASKING)


def _chosen(run: Run, choice: Choice) -> pl.Expr:
    return _fits(run, choice) & ~_masked()


def _fits(run: Run, choice: Choice) -> pl.Expr:
    """Entries that fit every filter; what the reader set aside cannot be taken back."""
    fits = pl.col("action") != ledger.QUARANTINE
    for name in ("row", "column", "source"):
        if (wanted := getattr(choice, name)) is not None:
            fits &= (pl.col(name) == wanted).fill_null(value=False)
    if choice.rule is not None:
        fits &= ledger.made_by(choice.rule)
    if choice.cluster is not None:
        fits &= (pl.col("action") == ledger.REMOVE) & _place().is_in(_members(run, choice.cluster).implode())
    return fits


def _place() -> pl.Expr:
    return pl.concat_str("row", "source", separator=" ")


def _members(run: Run, cluster: str) -> pl.Series:
    rows = run.table("duplicates").filter((pl.col("cluster") == cluster) & (pl.col("decision") == "removed"))
    return rows.select(_place().alias("place")).collect()["place"]


def _reverted(run: Run, chosen: pl.Expr) -> frozenset[str]:
    """Converted columns that become text: chosen themselves, or because a chosen cell cannot live in their type."""
    found = set(run.table("ledger").filter(chosen & (pl.col("action") == ledger.CONVERT)).select("column").collect()["column"])
    for entries in slices(run.table("ledger")):
        cells = entries.filter(chosen & (pl.col("action") == ledger.SET) & pl.col("column").is_in([*run.converted]))
        for part in cells.partition_by("column"):
            name = part["column"][0]
            if name not in found and not ledger.lives(part["old"].unique(), run.converted[name]).all():
                found.add(name)
    return frozenset(found)


def _counted(run: Run, taken: pl.Expr, fits: pl.Expr, reverted: frozenset[str]) -> Count:
    kinds = pl.col("action").filter(taken)
    number = {name: (kinds == action).sum() for name, action in (("cells", ledger.SET), ("rows", ledger.REMOVE), ("flags", ledger.FLAG))}
    found = run.table("ledger").select(**number, masked=(fits & _masked()).sum()).collect().row(0, named=True)
    return Count(columns=tuple(c for c in run.schema if c in reverted), **found)


def _named(choice: Choice) -> str:
    return "A change with " + " and ".join(f"{name} {value}" for name, value in choice.filters.items())


def _cure(run: Run, choice: Choice, masked: int) -> str:
    """What could have been meant."""
    if masked:
        return f"{masked} masked cells fit, but what was in them is kept nowhere; take it from the input."
    if choice.source is not None and run.source_named(choice.source) is None:
        return f"Its sources are: {', '.join(s.name for s in run.sources)}."
    if choice.column is not None and choice.column not in run.schema:
        return f"Its columns are: {', '.join(run.schema)}."
    if choice.rule is not None:
        rules = run.table("ledger").select(pl.col("rule").str.split("+").explode().unique().sort()).collect()["rule"]
        return f"Rules that changed something: {', '.join(rules.drop_nulls())}."
    if choice.cluster is not None:
        return "The clusters with removed rows stand in duplicates.parquet."
    return "See all changes in ledger.parquet, or those of a row with `data-sanitizer explain`."


def rewritten(undoing: Undoing) -> Iterator[Rewritten]:
    """The new run, stretch by stretch in the order of its rows; columns of entries about whole columns come first for each source."""
    run, replay = undoing.run, Replay(undoing.run)
    nothing = pl.DataFrame(schema=undoing.cleaned_schema)
    removed = run.table("removed").head(0).collect()
    for source in run.sources:
        whole = replay.columns(source).filter(~undoing.taken)
        yield Rewritten(nothing, whole, removed, _rows_of(source, np.empty(0, np.uint64)))
        for stretch in replay.stretches(source):
            try:
                yield _rewritten(undoing, stretch)
            except ValueError as error:
                raise RunUnreadable(path=run.folder, why="an entry of its ledger is about a row that is not there") from error
    replay.end()


def _rewritten(undoing: Undoing, old: Stretch) -> Rewritten:
    goes = old.entries.select(undoing.taken.alias("goes"))["goes"]
    stay, go = old.entries.filter(~goes), old.entries.filter(goes)
    back = np.isin(old.gone, go.filter(pl.col("action") == ledger.REMOVE)["row"].to_numpy())
    rows = np.sort(np.concatenate([old.kept, old.gone]))
    table = _table(undoing, old, rows, stay, go)
    kept = ~np.isin(rows, old.gone[~back])
    cleaned = table.filter(pl.Series(kept)) if not kept.all() else table
    entries, removed = _retold(undoing, table, rows, stay, go), old.removed.filter(pl.Series(~back))
    return Rewritten(cleaned, entries, removed, _rows_of(old.source, old.gone[back]))


def _rows_of(source: Source, rows: ledger.Rows) -> pl.DataFrame:
    return pl.DataFrame({"source": pl.repeat(source.name, len(rows), dtype=pl.String, eager=True), "row": pl.Series(rows, dtype=pl.UInt64)})


def _table(undoing: Undoing, old: Stretch, rows: ledger.Rows, stay: pl.DataFrame, go: pl.DataFrame) -> pl.DataFrame:
    """All readable rows as they stand after the undo, those that stay removed among them."""
    table = old.cleaned
    if len(old.gone):
        about = old.entries.filter(pl.col("row").is_in(pl.Series(old.gone).implode()))
        removed = ledger.applied(old.removed.select(list(undoing.run.schema)), old.gone, about, undoing.run.converted)
        order = np.argsort(np.concatenate([old.kept, old.gone]), kind="stable")
        table = pl.concat([table, removed])[order]
    columns = {c: ledger.written(table[c], undoing.run.converted[c]) for c in undoing.run.schema if c in undoing.reverted}
    for name, index, cells in ledger.changed_cells(rows, go):
        column = columns.get(name, table[name])
        action = undoing.converted.get(name)
        values = ledger.from_text(cells["old"], column.dtype) if action is None else ledger.parsed(cells["old"], action)
        columns[name] = ledger.replaced(column, index, values)
    return table.with_columns(**columns)


def _retold(undoing: Undoing, table: pl.DataFrame, rows: ledger.Rows, stay: pl.DataFrame, go: pl.DataFrame) -> pl.DataFrame:
    """The entries that stay, with the values that now stand in their cells: the text of a column that is text again, the flagged value."""
    touched = undoing.reverted | set(go.filter(pl.col("action") == ledger.SET)["column"])
    told: Mapping[str, str] = {ledger.SET: "new", ledger.FLAG: "old"}
    of_cell = pl.col("row").is_not_null() & pl.col("column").is_in(sorted(touched)).fill_null(value=False)
    columns: dict[str, pl.Series] = {}
    for action, field in told.items():
        for name in sorted(touched):
            index = stay.select((of_cell & (pl.col("action") == action) & (pl.col("column") == name)).alias("it"))["it"].arg_true()
            if len(index):
                now = ledger.as_text(table[name].gather(ledger.places(rows, stay["row"].gather(index)).astype(np.uint32)))
                columns[field] = ledger.replaced(columns.get(field, stay[field]), index.to_numpy().astype(np.int64), now)
    return stay.with_columns(**columns)
