"""Metrics, logs and the places at which a worker can be made to fail."""

from __future__ import annotations

import json
import logging
import re

import pytest

from data_sanitizer import errors, faults, logs, metrics
from data_sanitizer.workers.progress import Progress


class Told:
    """As much of the storage as the metrics ask."""

    def counts(self) -> list[tuple[str, str, str, float]]:
        return [("a", "jobs", "success", 2.0), ('b"\\', "jobs", "dead", 1.0), ("a", "duration_le", "5", 1.0),
           ("a", "duration_le", "+Inf", 1.0),
                ("a", "duration_sum", "", 9000.5), ("a", "stage_seconds", "pass1", 1.5), ("a", "stage_count", "pass1", 2.0)]  # fmt: skip

    def queue_state(self) -> list[tuple[str, str, int, int, float]]:
        return [("small", "queued", 3, 0, 12.5), ("large", "running", 1, 1, -3.0)]


def test_the_exposition_is_what_prometheus_reads() -> None:
    told = metrics.exposition(Told())  # type: ignore[arg-type]
    lines = told.splitlines()
    line = re.compile(r"data_sanitizer_[a-z_]+(\{([a-z_]+=\"([^\"\\]|\\.)*\",?)*\})? -?[0-9.e+]+")
    assert [text for text in lines if not text.startswith("# ") and not line.fullmatch(text)] == []
    assert 'data_sanitizer_jobs_total{tenant_id="a",status="success"} 2' in lines
    assert 'data_sanitizer_jobs_total{tenant_id="b\\"\\\\",status="dead"} 1' in lines
    buckets = [text.rsplit(" ", 1)[1] for text in lines if text.startswith("data_sanitizer_job_duration_seconds_bucket")]
    assert buckets == sorted(buckets, key=float)
    assert buckets[-1] == "2"
    assert 'data_sanitizer_queue_age_seconds{lane="small"} 12.5' in lines
    assert "data_sanitizer_expired_leases 1" in lines
    for name in {re.split(r"[{ ]", text)[0] for text in lines if not text.startswith("#")}:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert told.count(f"# TYPE {family} ") + told.count(f"# TYPE {name} ") >= 1


def test_a_log_line_is_json_with_what_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up()
    with logs.bound(job="1", tenant="a"), logs.bound(attempt=2):
        logs.tell("begins", rows=3)
    logs.tell("ends")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["job"], first["tenant"], first["attempt"], first["rows"]) == ("begins", "1", "a", 2, 3)
    assert "job" not in second


def test_a_log_line_never_has_the_text_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up()
    try:
        raise ValueError("the content of a cell")
    except ValueError:
        logging.getLogger(logs.LOGGER).exception("failed")
    told = capsys.readouterr().err
    assert "ValueError" in told
    assert "cell" not in told


def test_a_fault_happens_at_its_place_and_time_alone() -> None:
    faults.arm("here:2:dbdrop")
    try:
        faults.crashpoint("there")
        faults.crashpoint("here")
        with pytest.raises(errors.DatabaseUnreachable):
            faults.crashpoint("here")
        faults.crashpoint("here")
    finally:
        faults.arm(":1:")


def test_progress_only_rises_and_ends_at_a_hundred() -> None:
    progress = Progress()
    seen = [progress.told()["percent"]]
    for stage, rows, total in (("pass 1", 10, None), ("pass 1", 20, None), ("pass 2", 10, 20), ("pass 2", 20, 20), ("duplicates", 0, 20)):
        progress.heard(stage, rows, total)
        seen.append(progress.told()["percent"])
    assert seen == sorted(seen)
    assert (
        set(progress.told()) == set(progress.finished(20)) == {"stage", "rows_done", "rows", "rows_per_second", "seconds_left", "percent"}
    )
    assert progress.finished(20)["percent"] == 100
