"""The whole path of a table: read, profile, plan, find duplicates, clean and write, report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from data_sanitizer import inputs as given
from data_sanitizer import kernels, run_folder
from data_sanitizer.errors import InputChanged
from data_sanitizer.model import ReadOptions
from data_sanitizer.pipeline import comparison, deliveries, duplicates, first_run, golden, pass1, pass2, report
from data_sanitizer.pipeline import output as outputs
from data_sanitizer.pipeline.comparison import Before
from data_sanitizer.ports import Dataset, Reading
from data_sanitizer.profile.column_profile import described
from data_sanitizer.recipe import Recipe, make_plan
from data_sanitizer.sandbox.reading import Sandbox
from data_sanitizer.stores import Location, Stores


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run; nothing here changes the result, but that too little memory for near-duplicates leaves them unsought."""

    output_format: str = "parquet"
    force: bool = False
    threads: int = 2
    block: int | None = None  # how much is read at a time, where it shall not be the usual
    memory: int = 1 << 30  # bytes that a run may take
    reading: ReadOptions = field(default_factory=ReadOptions)
    stores: Stores = field(default_factory=Stores)
    tell: Callable[[str], None] = lambda message: None  # gets what a user who waits should know
    dataset: Dataset | None = None  # what this run delivers to
    before: Before | None = None  # what it is compared with, in place of the delivery before of the dataset
    accept_changes: bool = False  # publish what differs from it, whatever the contract says


@dataclass(slots=True)
class Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block under a name."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def sanitize(inputs: Sequence[str], output: Path | Location, recipe: Recipe, options: RunOptions | None = None) -> dict[str, Any]:
    """Clean the inputs as one table into the folder `output`; returns the report. Raises the errors of errors.py.

    What differs from the delivery before, that of the options or the newest of the dataset, and breaks the contract raises ContractBroken.
    """
    options, clock, started = options or RunOptions(), Clock(), datetime.now(UTC).isoformat(timespec="seconds")
    places = given.found(inputs, options.stores)
    new, known = kernels.never_compiled(), None
    dataset = deliveries.opened(options.dataset, recipe) if options.dataset else None
    with run_folder.written_aside(output, options.force) as folder, ThreadPoolExecutor(1) as beside, ExitStack() as resources:
        scratch = folder / "scratch"
        scratch.mkdir()
        with clock.stage("open"):
            reader = resources.enter_context(Sandbox(scratch, keep=True))
            stamps = [given.first_stamp(place) for place in places]
            hashes = beside.submit(lambda: [given.sha256(place) for place in places if isinstance(place, str)])
            before = options.before or (deliveries.before(dataset, len(places), hashes.result) if dataset else None)
            rules = comparison.rules(recipe, before)
            readings = comparison.held(open_all(places, options, reader), rules)
        if new:
            resources.enter_context(first_run.compiling(options.tell))
        with clock.stage("pass 1"):
            survey = pass1.survey(readings, recipe, scratch, options.threads)
            reader.close()
            learned = described_profile(survey)
            compared = comparison.checked(learned, recipe, before, options.accept_changes)
            plan = make_plan(recipe, survey.profiles)
            if dataset:
                dataset.remember(survey)
        with clock.stage("pass 2"):
            blocks = pass2.clean(survey, plan, recipe, options.threads)
        with clock.stage("duplicates"):
            told = _inputs(places, iter(hashes.result()), survey)
            search = blocks, survey, plan, recipe, scratch, options.memory, options.threads
            made = deliveries.find(dataset, told, *search) if dataset else None
            found = made.found if made else duplicates.find(*search)
        with clock.stage("write"):
            filled = golden.fill(blocks, survey, plan, found, scratch) if recipe.duplicates.golden else None
            written = outputs.write(blocks, survey, plan, found, filled, folder, scratch, options.output_format,
                                    options.threads)  # fmt: skip
            if made:
                deliveries.write(known := deliveries.entities(made), blocks, folder)
        _check_unchanged(places, stamps)
        with clock.stage("report"):
            profile = {**learned, "near_duplicates": duplicates.described(found)}
            run_folder.write_json(folder / "profile.json", profile)
            sources = _sources(readings, survey, places)
            facts = report.RunFacts(
                sources=sources, rows_in=survey.rows, rows_kept=written.kept, rows_merged=written.removed,
                rows_quarantined=written.quarantined,
                columns=list(survey.schema), profile=profile, recipe=recipe.described(), stages=clock.seconds, versions=versions(),
                started=started, output=str(output), comparison=compared, dataset=deliveries.reported(known),
            )  # fmt: skip
            result = report.write_report(folder, facts)
            rows = {"in": survey.rows, "kept": written.kept, "merged": written.removed, "quarantined": written.quarantined}
            more = {"dataset": known.told} if known else {}
            more |= {"contract": rules} if rules else {}
            write_manifest(folder, told, recipe.described(), rows, reading=run_folder.reading_told(options.reading), **more)
        if made and known:
            deliveries.commit(made, known, survey, folder, _place(output), rows, profile)
        _clear(scratch)
    return result


def open_all(places: Sequence[given.Place], options: RunOptions, reader: Sandbox) -> list[Reading]:
    """Look at every input and decide how to read it."""
    return [reader.open(place, options.reading, options.block) for place in places]


def described_profile(survey: pass1.Survey) -> dict[str, Any]:
    """The content of profile.json: what was learned of every column."""
    columns = {name: described(p) for name, p in survey.profiles.items()}
    return {"schema": "data-sanitizer.profile/1", "rows": survey.rows - sum(s.quarantined for s in survey.sources), "columns": columns}


def profiled(inputs: Sequence[str], options: RunOptions) -> dict[str, Any]:
    """Pass 1 alone: the content of profile.json."""
    with tempfile.TemporaryDirectory(prefix="data-sanitizer-") as scratch, Sandbox(Path(scratch), keep=True) as reader:
        readings = open_all(given.found(inputs, options.stores), options, reader)
        return described_profile(pass1.survey(readings, Recipe(), Path(scratch), options.threads))


def write_manifest(
    folder: Path, inputs: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any], rows: Mapping[str, int], **more: Any
) -> None:
    """manifest.json, the last file: without times and paths, so that equal runs have equal manifests."""
    kept = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("report."))
    manifest = {
        "schema": "data-sanitizer.manifest/1", "versions": versions(), "recipe": recipe, "inputs": list(inputs), "rows": dict(rows),
        "outputs": {p.name: {"sha256": run_folder.sha256(p), "bytes": p.stat().st_size} for p in kept}, **more,
    }  # fmt: skip
    run_folder.write_json(folder / run_folder.MANIFEST, manifest)


def versions() -> dict[str, str]:
    """The program and the libraries whose versions can matter for the result."""
    return {name: version(name) for name in ("data-sanitizer", "polars", "numpy", "ftfy", "phonenumbers", "rapidfuzz")}


def _place(output: Path | Location) -> str:
    """Where the run can be found from anywhere on this machine."""
    return str(output.absolute() if isinstance(output, Path) else output)


def _sources(readings: Sequence[Reading], survey: pass1.Survey, places: Sequence[given.Place]) -> list[dict[str, Any]]:
    told = []
    for reading, rows, place in zip(readings, survey.sources, places, strict=True):
        decisions = [{"subject": d.subject, "choice": d.choice, "evidence": d.evidence} for d in reading.decisions]
        told.append({"name": rows.name, "format": reading.format, "bytes": given.size(place),
                     "rows": rows.rows, "quarantined": rows.quarantined,
                     "decisions": decisions})  # fmt: skip
    return told


def _inputs(places: Sequence[given.Place], hashes: Iterator[str | None], survey: pass1.Survey) -> list[dict[str, Any]]:
    """What the manifest says of the inputs; the hash of an object in a store was taken while it was read."""
    told = []
    for place, rows in zip(places, survey.sources, strict=True):
        digest = next(hashes) if isinstance(place, str) else given.sha256(place)
        told.append({"name": Path(given.name(place)).name, "sha256": digest, "rows": rows.rows, "quarantined": rows.quarantined})
    return told


def _check_unchanged(places: Sequence[given.Place], stamps: Sequence[object]) -> None:
    for place, stamp in zip(places, stamps, strict=True):
        if given.stamp(place) != stamp:
            raise InputChanged(path=given.name(place))


def _clear(scratch: Path) -> None:
    import shutil

    shutil.rmtree(scratch)


def read_cleaned(run: Path) -> pl.LazyFrame:
    """The cleaned table of a finished run."""
    path = run_folder.cleaned_file(run)
    if path.suffix == ".parquet":
        return pl.scan_parquet(path)
    return pl.scan_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.scan_ndjson(path, infer_schema_length=None)
