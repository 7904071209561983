"""One attempt at a job: its inputs and options, its two stages, and what it published, read again."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from data_sanitizer import bootstrap, run_folder, settings
from data_sanitizer.errors import InputChanged, InputNotFound, StoreUnavailable
from data_sanitizer.faults import crashpoint
from data_sanitizer.pipeline.sanitize import RunOptions, begun, versions
from data_sanitizer.publication import MANIFEST
from data_sanitizer.settings import ServiceSettings
from data_sanitizer.stores import Location
from data_sanitizer.stores._stream import StoredSource
from data_sanitizer.workers import pass1_worker, pass2_worker
from data_sanitizer.workers.channel import Channel
from data_sanitizer.workers.child import recipe_of
from data_sanitizer.workers.delivery import Delivering, opened
from data_sanitizer.workers.kept import Kept

_BESIDE = ("report.json", "report.html")
_PIECE = 4 << 20


def work(task: Mapping[str, Any], service: ServiceSettings, channel: Channel) -> dict[str, Any]:
    """Work on a job to its end; gives what the supervisor is to store: where the files lie, their digests, and the rows."""
    root, folder = bootstrap.object_store(service), f"{task['tenant']}/jobs/{task['job']}"
    with opened(task) as dataset:
        earlier = range(task["attempt"] - 1, 0, -1) if dataset is None else ()  # a delivery was made for a dataset that may have changed
        for number in earlier:  # it may have published without the job being told
            if (published := _verified(root, f"{folder}/attempt-{number}")) is not None:
                return published
        prefix = f"{folder}/attempt-{task['attempt']}"
        seconds = _cleaned(task, service, channel, root, prefix, dataset)
        crashpoint("publish.manifest_put")
        found = _verified(root, prefix)
        if found is None:
            raise StoreUnavailable(path=root / prefix, why="it does not give back what was written", tries=1)
        crashpoint("publish.verified")
        result = {**found, "seconds": seconds}
        return result if dataset is None else {**result, "ended": _finished(dataset, result, channel)}


def _finished(dataset: Delivering, result: Mapping[str, Any], channel: Channel) -> str:
    """End the job from here, together with its delivery; the supervisor leaves the job's row alone meanwhile."""
    channel.ask("finishing")
    channel.must_go_on()
    return dataset.finish(result)


def _cleaned(task: Mapping[str, Any], service: ServiceSettings, channel: Channel, root: Location, prefix: str,
             dataset: Delivering | None) -> dict[str, float]:  # fmt: skip
    """Clean the inputs of a job into an attempt's own place; gives the seconds of each stage."""
    options = task["options"]
    recipe, reading = recipe_of(options.get("recipe")), run_folder.reading_from(options.get("reading") or {})
    basis = {"inputs": task["source"]["objects"], "recipe": recipe.described(), "versions": versions(),
             "reading": run_folder.reading_told(reading), **({"dataset": dataset.basis()} if dataset else {})}  # fmt: skip
    work_folder = root / task["tenant"] / "jobs" / task["job"] / "work"
    kept = Kept(work_folder, basis, task["chunks"], channel, service.checkpoint_seconds)

    def progress(stage: str, rows: int, total: int | None) -> None:
        crashpoint(stage.replace(" ", "") + ".mid")
        channel.progress(stage, rows, total)
        channel.must_go_on()

    how = RunOptions(options.get("output_format", "parquet"), threads=service.job_threads or os.cpu_count() or 1,
                     memory=service.job_memory, reading=reading, stores=settings.stores(), progress=progress, kept=kept,
                     shown=f"job {task['job']}", dataset=dataset, accept_changes=options.get("accept_changes", False))  # fmt: skip
    with begun(_inputs(task["source"]["objects"], root), root / prefix, recipe, how) as run:
        crashpoint("pass1.begin")
        first = task["stage"] == pass1_worker.STAGE
        if first:
            pass1_worker.work(run, channel)
        crashpoint("pass2.begin")
        report = pass2_worker.work(run, surveyed=first)
        crashpoint("publish.begin")
    return {name.replace(" ", ""): round(float(spent), 3) for name, spent in report["stages"].items()}


def _inputs(objects: Sequence[Mapping[str, Any]], root: Location) -> list[str | StoredSource]:
    """The uploads under the names that they had; raises InputChanged where one is not what was uploaded."""
    inputs: list[str | StoredSource] = []
    names = Counter[str]()
    for told in objects:
        place = root / told["key"]
        found = place.store.find(place.key)
        if found.size != told["bytes"]:
            raise InputChanged(path=told["name"])
        names[told["name"]] += 1
        again = f" ({names[told['name']]})" if names[told["name"]] > 1 else ""  # two uploads of one name are two sources
        inputs.append(StoredSource(place, found, told["name"] + again))
    return inputs


def _verified(root: Location, prefix: str) -> dict[str, Any] | None:
    """What is published at a place, with every byte of it read again; None where something is missing or other than its manifest says."""
    output = root / prefix
    with suppress(InputNotFound, InputChanged):
        manifest = _digest(output / MANIFEST, keep=True)
        told = json.loads(manifest.pop("data"))
        files = {MANIFEST: manifest}
        for name, said in told["outputs"].items():
            files[name] = _digest(output / name)
            if files[name] != said:
                return None
        files |= {name: _digest(output / name) for name in _BESIDE}
        if told["rows"]["in"] != sum(told["rows"][where] for where in ("kept", "merged", "quarantined")):
            return None
        delivery = {"delivery": told["dataset"]["delivery"]} if "dataset" in told else {}
        return {"prefix": prefix, "manifest_sha256": manifest["sha256"], "rows": told["rows"], "files": files, **delivery}
    return None


def _digest(place: Location, *, keep: bool = False) -> dict[str, Any]:
    found, total, data = place.store.find(place.key), hashlib.sha256(), b""
    for start in range(0, found.size, _PIECE):
        piece = place.store.read(found, start, min(_PIECE, found.size - start))
        total.update(piece)
        data += piece if keep else b""
    return {"sha256": total.hexdigest(), "bytes": found.size} | ({"data": data} if keep else {})
