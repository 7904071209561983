"""The Python library: clean a file or a frame, look at what was done, take it back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from data_sanitizer import publication, run_folder, settings
from data_sanitizer.errors import UsageError
from data_sanitizer.explanation import Explanation, explain
from data_sanitizer.model import Delivery, EntityEvent
from data_sanitizer.pipeline import report
from data_sanitizer.pipeline.sanitize import RunOptions, profiled, read_cleaned, sanitize
from data_sanitizer.pipeline.undo_run import undo_run
from data_sanitizer.recipe import Recipe, load_recipe
from data_sanitizer.stores import Location
from data_sanitizer.verification import Verification, verify

if TYPE_CHECKING:
    from data_sanitizer.storage_backend import StorageBackend

FRAME = "frame"  # the name of a source that was given as a frame


class Result:
    """A finished run: its table, its ledger, its report. Lives in `folder`; a temporary one goes with the object.

    A run in a store is brought into a temporary folder when something of it is asked for.
    """

    def __init__(self, place: Path | Location, inputs: list[str], kind: type, keep: object = None, database: str | None = None) -> None:
        self._place, self._inputs, self._kind, self._keep, self._database = place, inputs, kind, keep, database

    @cached_property
    def folder(self) -> Path:
        """The folder of the run on this machine."""
        if isinstance(self._place, Path):
            return self._place
        keep = tempfile.TemporaryDirectory(prefix="data-sanitizer-")
        self._keep = (self._keep, keep)
        publication.fetch(self._place, Path(keep.name))
        return Path(keep.name)

    @cached_property
    def data(self) -> Any:
        """The cleaned table, as the kind of frame that was given (Polars for a path)."""
        return _as_given(read_cleaned(self.folder).collect(), self._kind)

    @cached_property
    def report(self) -> dict[str, Any]:
        """report.json."""
        content: dict[str, Any] = json.loads((self.folder / "report.json").read_text("utf-8"))
        return content

    @cached_property
    def ledger(self) -> pl.DataFrame:
        """One row for every changed cell, removed row, conversion and flag."""
        return pl.read_parquet(self.folder / "ledger.parquet")

    @cached_property
    def entities(self) -> pl.DataFrame:
        """The entity of every row; only of a run that delivered to a dataset."""
        return pl.read_parquet(self.folder / "entities.parquet")

    @cached_property
    def duplicates(self) -> pl.DataFrame:
        """Every row that belongs to a cluster."""
        return pl.read_parquet(self.folder / "duplicates.parquet")

    def explain(self, row: int, column: str | None = None, source: str | None = None) -> Explanation:
        """What happened to a row or a cell, and why."""
        return explain(self.folder, row, column, source)

    def verify(self) -> Verification:
        """Prove that input + ledger = output and output - ledger = input; raises VerificationFailed."""
        return verify(self.folder, self._inputs, stores=settings.stores())

    def undo(self, *, row: int | None = None, column: str | None = None, rule: str | None = None, cluster: str | None = None,
             source: str | None = None, output: str | Path | None = None) -> Result:  # fmt: skip
        """A new result in which the chosen changes are taken back; the filters combine."""
        from data_sanitizer.bootstrap import opened_storage

        target, keep = _target(output)
        with ExitStack() as resources:

            def deciding(tenant: str, name: str) -> Any:
                return resources.enter_context(opened_storage(self._database)).known_dataset(tenant, name)

            undo_run(self.folder, target, row=row, column=column, rule=rule, cluster=cluster, source=source, deciding=deciding)
        return Result(target, self._inputs, self._kind, (keep, self._keep), self._database)

    def save(self, output: str | Path, force: bool = False) -> Path | Location:
        """Copy the run to a folder of your own, or to a URL."""
        import shutil

        place = _place(output)
        with run_folder.written_aside(place, force) as folder:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return place

    def __repr__(self) -> str:
        rows = self.report["rows"]
        return f"<Result of {rows['in']} rows: {rows['kept']} kept, {rows['merged']} merged, {rows['quarantined']} quarantined>"

    def _repr_html_(self) -> str:
        return report.summary_html(self.report)


def clean(data: Any, recipe: str | Path | Mapping[str, Any] | Recipe | None = None, *, output: str | Path | None = None,
          options: RunOptions | None = None, dataset: str | None = None, tenant: str = "default",
          database: str | None = None) -> Result:  # fmt: skip
    """Clean a path, a URL, a pattern, or anything with `__arrow_c_stream__` (Polars, pandas, pyarrow, DuckDB).

    `recipe` is `careful` (default), `complete`, a YAML file or a mapping; `output` a folder or URL to keep the run in. With
    `dataset` the run is a delivery to it: rows that came before are recognised, and entities keep their ids; `database` says where it is
    kept, where the environment does not. Raises the errors of `data_sanitizer.errors`.
    """
    target, keep = _target(output)
    inputs, kind = _inputs(data, Path(keep.name))
    options = options or RunOptions(stores=settings.stores())
    with ExitStack() as resources:
        if dataset is not None:
            from data_sanitizer.bootstrap import opened_storage

            options = replace(options, dataset=resources.enter_context(opened_storage(database)).dataset(tenant, dataset))
        sanitize(inputs, target, load_recipe(recipe), options)
    return Result(target, inputs, kind, keep, database)


class Dataset:
    """A dataset to which files were delivered: what it got, and what became of its entities."""

    def __init__(self, name: str, *, tenant: str = "default", database: str | None = None) -> None:
        self.name, self.tenant, self.database = name, tenant, database

    def deliveries(self) -> list[Delivery]:
        """All deliveries, in order; raises NotStored where there is no such dataset."""
        with self._storage() as storage:
            return storage.deliveries(self.tenant, storage.find_dataset(self.tenant, self.name))

    def events(self) -> list[EntityEvent]:
        """What happened to the ids of entities, in order."""
        with self._storage() as storage:
            return storage.entity_events(self.tenant, storage.find_dataset(self.tenant, self.name))

    def split(self, delivery: int, rows: Sequence[int], source: str | None = None, *, actor: str = "library") -> tuple[EntityEvent, ...]:
        """Decide that rows are not the same entity as the others of theirs: no later delivery joins them again."""
        from data_sanitizer.pipeline.entity_split import Delivered, split

        with self._storage() as storage:
            return split(storage.known_dataset(self.tenant, self.name), [Delivered(delivery, source, row) for row in rows], actor)

    def _storage(self) -> AbstractContextManager[StorageBackend]:
        from data_sanitizer.bootstrap import opened_storage

        return opened_storage(self.database)


def profile(data: Any) -> dict[str, Any]:
    """What pass 1 learns of a path, a URL or a frame: the content of profile.json."""
    with tempfile.TemporaryDirectory(prefix="data-sanitizer-") as keep:
        inputs, _ = _inputs(data, Path(keep))
        return profiled(inputs, RunOptions(stores=settings.stores()))


def compare(old: Any, new: Any, recipe: str | Path | Mapping[str, Any] | Recipe | None = None, *, dataset: str | None = None,
            tenant: str = "default", database: str | None = None) -> dict[str, Any]:  # fmt: skip
    """What changed from one delivery to the next: what `data-sanitizer compare --json` prints.

    `old` and `new` are each a Result, the folder or URL of a run, a file with a profile, a table, or a frame; with `dataset` the numbers of
    two deliveries to it. `recipe` has the contract of the columns. Raises the errors of `data_sanitizer.errors`.
    """
    from data_sanitizer.pipeline import compared

    rules = load_recipe(recipe)
    if dataset is not None:
        from data_sanitizer.bootstrap import opened_storage

        with opened_storage(database) as storage:
            return compared.of_deliveries(storage.known_dataset(tenant, dataset), old, new, rules)
    with tempfile.TemporaryDirectory(prefix="data-sanitizer-") as keep:
        sides = [_side(data, Path(keep) / name) for name, data in (("old", old), ("new", new))]
        return compared.of_places(sides[0], sides[1], rules, RunOptions(stores=settings.stores()))


def _side(data: Any, folder: Path) -> str:
    """One side of a comparison, as a place."""
    if isinstance(data, Result):
        return str(data.folder)
    folder.mkdir()
    return _inputs(data, folder)[0][0]


def _target(output: str | Path | None) -> tuple[Path | Location, tempfile.TemporaryDirectory[str]]:
    keep = tempfile.TemporaryDirectory(prefix="data-sanitizer-")
    return (_place(output) if output is not None else Path(keep.name) / "run"), keep


def _place(output: str | Path) -> Path | Location:
    """Where a run is or goes: a folder, or a place in a store."""
    return settings.stores().place(output) if isinstance(output, str) else output


def _inputs(data: Any, folder: Path) -> tuple[list[str], type]:
    if isinstance(data, str | Path):
        return [str(data)], pl.DataFrame
    if not hasattr(data, "__arrow_c_stream__"):
        raise UsageError(why=f"A {type(data).__name__} is not a table. Give a path, or a frame of Polars, pandas, pyarrow or DuckDB.")
    path = folder / FRAME
    pl.DataFrame(data).write_ipc(path, compression="lz4")
    return [str(path)], type(data)


def _as_given(frame: pl.DataFrame, kind: type) -> Any:
    """The frame as the library that it came from knows it."""
    home = kind.__module__.split(".")[0]
    if home == "pandas":
        return frame.to_pandas()
    return frame.to_arrow() if home == "pyarrow" else frame
