"""What works on the jobs of the service: claims them, runs them in processes of their own, publishes what they give."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`app`, for `celery -A data_sanitizer.workers worker`; made when it is asked for."""
    if name != "app":
        raise AttributeError(name)
    from data_sanitizer.workers import celery_worker

    return celery_worker.made()
