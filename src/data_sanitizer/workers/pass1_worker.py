"""The first stage of a job: read every row once, profile, hash and sign, and plan the cleaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_sanitizer.pipeline.sanitize import Run
    from data_sanitizer.workers.channel import Channel

STAGE = "pass1"


def work(run: Run, channel: Channel) -> None:
    """Take a run through pass 1, and have the job put into the stage that follows."""
    run.survey()
    channel.advance()
