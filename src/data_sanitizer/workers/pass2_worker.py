"""The second stage of a job: clean, find duplicates, write. What pass 1 has learned is found again where another worker learned it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_sanitizer.pipeline.sanitize import Run

STAGE = "pass2"


def work(run: Run, *, surveyed: bool) -> dict[str, Any]:
    """Take a run through pass 2 and to its end; returns the report."""
    if not surveyed:
        run.survey()
    return run.finish()
