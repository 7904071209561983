"""Figures of the service for Prometheus, from the database: any process can tell them, and no crash loses or doubles a count.

No label grows with jobs: tenants, states, stages, lanes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from data_sanitizer.storage_backend import StorageBackend

_P: Final = "data_sanitizer_"
_COUNTERS: Final = {  # name of the count -> name of the figure, its label, what it says
    "jobs": ("jobs_total", "status", "Jobs that ended."),
    "rows": ("rows_processed_total", "", "Rows of the inputs of jobs that succeeded."),
    "leases_lost": ("lease_losses_total", "", "Jobs whose worker was lost."),
    "retries": ("job_retries_total", "", "Attempts that failed for a reason that may pass."),
    "crashes": ("job_crashes_total", "", "Attempts whose process died."),
    "degraded": ("degraded_jobs_total", "part", "Jobs that ended without a part of the service."),
}
_STATES: Final = ("accepted", "queued", "running")
_Counts = Mapping[str, Mapping[tuple[str, str], float]]


def exposition(backend: StorageBackend) -> str:
    """All figures in the text format of Prometheus, version 0.0.4."""
    counts: defaultdict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for tenant, name, label, total in backend.counts():
        counts[name][tenant, label] = total
    lines = [*_counters(counts), *_durations(counts), *_stages(counts), *_queue(backend.queue_state())]
    return "\n".join(lines) + "\n"


def _counters(counts: _Counts) -> Iterator[str]:
    for name, (figure, label, about) in _COUNTERS.items():
        yield from _head(figure, "counter", about)
        for (tenant, value), total in counts.get(name, {}).items():
            yield _line(figure, {"tenant_id": tenant} | ({label: value} if label else {}), total)


def _durations(counts: _Counts) -> Iterator[str]:
    from data_sanitizer.storage._tallies import BOUNDS

    figure, found = "job_duration_seconds", counts.get("duration_le", {})
    yield from _head(figure, "histogram", "From the first attempt at a job to its end.")
    for tenant in sorted({tenant for tenant, _ in found}):
        total = 0.0
        for bound in (*map(str, BOUNDS), "+Inf"):
            total += found.get((tenant, bound), 0)
            yield _line(f"{figure}_bucket", {"tenant_id": tenant, "le": bound}, total)
        yield _line(f"{figure}_sum", {"tenant_id": tenant}, counts["duration_sum"][tenant, ""])
        yield _line(f"{figure}_count", {"tenant_id": tenant}, total)


def _stages(counts: _Counts) -> Iterator[str]:
    figure = "stage_duration_seconds"
    yield from _head(figure, "summary", "What the stages of jobs that succeeded took.")
    for ending in ("sum", "count"):
        stages: defaultdict[str, float] = defaultdict(float)
        for (_, stage), total in counts.get(f"stage_{'seconds' if ending == 'sum' else 'count'}", {}).items():
            stages[stage] += total
        for stage in sorted(stages):
            yield _line(f"{figure}_{ending}", {"stage": stage}, stages[stage])


def _queue(found: Iterable[tuple[str, str, int, int, float]]) -> Iterator[str]:
    state = list(found)
    yield from _head("active_jobs_count", "gauge", "Jobs that have not ended.")
    for status in _STATES:
        yield _line("active_jobs_count", {"status": status}, sum(jobs for _, there, jobs, _, _ in state if there == status))
    yield from _head("expired_leases", "gauge", "Running jobs of which nothing is heard, which any worker may take over.")
    yield _line("expired_leases", {}, sum(lost or 0 for _, there, _, lost, _ in state if there == "running"))
    yield from _head("queue_age_seconds", "gauge", "How long the oldest job waits for a worker.")
    waiting = {lane: age for lane, there, _, _, age in state if there == "queued"}
    for lane in ("large", "small"):
        yield _line("queue_age_seconds", {"lane": lane}, round(max(0.0, float(waiting.get(lane) or 0)), 3))


def _head(figure: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {_P}{figure} {about}", f"# TYPE {_P}{figure} {kind}"


def _line(figure: str, labels: Mapping[str, str], value: float) -> str:
    told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
    return f"{_P}{figure}{{{told}}} {value:.15g}" if told else f"{_P}{figure} {value:.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
