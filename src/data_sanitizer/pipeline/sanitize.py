"""The whole path of a table: read, profile, plan, find duplicates, clean and write, report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
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
from data_sanitizer.ports import Checkpoints, Dataset, Reading
from data_sanitizer.profile.column_profile import described
from data_sanitizer.recipe import Recipe, make_plan
from data_sanitizer.sandbox.reading import Sandbox
from data_sanitizer.stores import Location, Stores
from data_sanitizer.stores._stream import StoredSource


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
    progress: Callable[[str, int, int | None], None] = lambda stage, rows, total: None  # rows done, of how many where that is known
    shown: str = ""  # what the report calls the output, where that is not its place
    kept: Checkpoints | None = None  # what an earlier attempt at the same run has done


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


def sanitize(
    inputs: Sequence[str | StoredSource], output: Path | Location, recipe: Recipe, options: RunOptions | None = None
) -> dict[str, Any]:
    """Clean the inputs as one table into the folder `output`; returns the report. Raises the errors of errors.py.

    What differs from the delivery before, that of the options or the newest of the dataset, and breaks the contract raises ContractBroken.
    """
    with begun(inputs, output, recipe, options or RunOptions()) as run:
        run.survey()
        return run.finish()


@contextmanager
def begun(inputs: Sequence[str | StoredSource], output: Path | Location, recipe: Recipe, options: RunOptions) -> Iterator[Run]:
    """A run to be taken through its two halves; the output is there when the block ends without an error."""
    places = given.found(inputs, options.stores)
    with run_folder.written_aside(output, options.force) as folder, ThreadPoolExecutor(1) as beside, ExitStack() as resources:
        yield Run(places, output, recipe, options, folder, beside, resources)


class Run:
    """One run at work: `survey` is pass 1, `finish` all that comes after it."""

    def __init__(self, places: Sequence[given.Place], output: Path | Location, recipe: Recipe, options: RunOptions, folder: Path,
                 beside: ThreadPoolExecutor, resources: ExitStack) -> None:  # fmt: skip
        self._places, self._output, self._recipe, self._options, self._folder = places, output, recipe, options, folder
        self._beside, self._resources, self._scratch = beside, resources, folder / "scratch"
        self._clock, self._started = Clock(), datetime.now(UTC).isoformat(timespec="seconds")

    def survey(self) -> None:
        """Read all rows once, and plan what to do with them."""
        new, options, places, clock = kernels.never_compiled(), self._options, self._places, self._clock
        self._dataset = dataset = deliveries.opened(options.dataset, self._recipe) if options.dataset else None
        self._scratch.mkdir()
        with clock.stage("open"):
            reader = self._resources.enter_context(Sandbox(self._scratch, keep=True))
            readings = open_all(places, options, reader)
            self._stamps = [given.first_stamp(place) for place in places]
            self._hashes = self._beside.submit(lambda: [given.sha256(place) for place in places if given.is_here(place)])
            before = options.before or (deliveries.before(dataset, len(places), self._hashes.result) if dataset else None)
            self._rules = comparison.rules(self._recipe, before)
            self._readings = comparison.held(readings, self._rules)
        if new:
            self._resources.enter_context(first_run.compiling(options.tell))
        with clock.stage("pass 1"):
            tell = partial(self._tell, "pass 1", total=None)
            self._survey = pass1.survey(self._readings, self._recipe, self._scratch, options.threads, options.kept, tell)
            reader.close()
            self._profile = described_profile(self._survey)
            self._compared = comparison.checked(self._profile, self._recipe, before, options.accept_changes)
            self._plan = make_plan(self._recipe, self._survey.profiles)
            if dataset:
                dataset.remember(self._survey)

    def finish(self) -> dict[str, Any]:
        """Clean, find duplicates, write and report; returns the report."""
        survey, plan, recipe, scratch, options, clock = (
            self._survey, self._plan, self._recipe, self._scratch, self._options, self._clock
        )  # fmt: skip
        with clock.stage("pass 2"):
            blocks = pass2.clean(survey, plan, recipe, options.threads, options.kept, partial(self._tell, "pass 2", total=survey.rows))
        with clock.stage("duplicates"):
            self._tell("duplicates", 0, survey.rows)
            told = _inputs(self._places, iter(self._hashes.result()), survey)
            search = blocks, survey, plan, recipe, scratch, options.memory, options.threads
            made = deliveries.find(self._dataset, told, *search) if self._dataset else None
            found = made.found if made else duplicates.kept_or_found(*search, options.kept)
        with clock.stage("write"):
            self._tell("write", 0, survey.rows)
            filled = golden.fill(blocks, survey, plan, found, scratch) if recipe.duplicates.golden else None
            written = outputs.write(blocks, survey, plan, found, filled, self._folder, scratch, options.output_format,
                                    options.threads)  # fmt: skip
            known = deliveries.entities(made) if made else None
            if known:
                deliveries.write(known, blocks, self._folder)
        _check_unchanged(self._places, self._stamps)
        with clock.stage("report"):
            result = self._report(told, found, written, known)
        if made and known:
            rows = _counted(survey, written)
            deliveries.commit(made, known, survey, self._folder, _place(self._output), rows, self._profile)
        _clear(scratch)
        return result

    def _report(
        self, told: list[dict[str, Any]], found: duplicates.Found, written: outputs.Written, known: deliveries.Known | None
    ) -> dict[str, Any]:
        survey, folder, recipe, options = self._survey, self._folder, self._recipe.described(), self._options
        self._profile = {**self._profile, "near_duplicates": duplicates.described(found)}
        run_folder.write_json(folder / "profile.json", self._profile)
        facts = report.RunFacts(
            sources=_sources(self._readings, survey, self._places), rows_in=survey.rows, rows_kept=written.kept,
            rows_merged=written.removed, rows_quarantined=written.quarantined, columns=list(survey.schema), profile=self._profile,
            recipe=recipe, stages=self._clock.seconds, versions=versions(), started=self._started,
            output=options.shown or str(self._output), comparison=self._compared, dataset=deliveries.reported(known),
        )  # fmt: skip
        result = report.write_report(folder, facts)
        more = ({"dataset": known.told} if known else {}) | ({"contract": self._rules} if self._rules else {})
        write_manifest(folder, told, recipe, _counted(survey, written), reading=run_folder.reading_told(options.reading), **more)
        return result

    def _tell(self, stage: str, rows: int, total: int | None) -> None:
        self._options.progress(stage, rows, total)


def _counted(survey: pass1.Survey, written: outputs.Written) -> dict[str, int]:
    return {"in": survey.rows, "kept": written.kept, "merged": written.removed, "quarantined": written.quarantined}


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
        digest = next(hashes) if given.is_here(place) else given.sha256(place)
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
