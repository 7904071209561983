"""How far a job is, as its row tells: rows, their speed, the time left, percent."""

from __future__ import annotations

import time
from typing import Any, Final

_SHARES: Final = {"pass 1": (0, 35), "pass 2": (35, 45), "duplicates": (45, 80), "write": (80, 100)}  # of the time of a run, in percent


class Progress:
    """What was heard of a job's work."""

    def __init__(self) -> None:
        self._stage, self._rows = "start", 0
        self._total: int | None = None
        self._percent = 0.0
        self._begun = self._stage_begun = time.monotonic()

    def heard(self, stage: str, rows: int, total: int | None) -> None:
        """The work is at this stage and has done these rows of it."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_begun = stage, now
        self._rows, self._total = rows, total
        start, end = _SHARES[stage]
        self._percent = start + (end - start) * (rows / total if total else 0)

    def told(self) -> dict[str, Any]:
        """As the job's row holds it."""
        now = time.monotonic()
        speed = self._rows / max(now - self._stage_begun, 0.001)
        left = (now - self._begun) * (100 / self._percent - 1) if self._percent >= 1 else None
        return {"stage": self._stage.replace(" ", ""), "rows_done": self._rows, "rows": self._total, "rows_per_second": round(speed, 1),
                "seconds_left": None if left is None else round(left, 1), "percent": round(self._percent, 1)}  # fmt: skip

    def finished(self, rows: int) -> dict[str, Any]:
        """The same at the end."""
        speed = rows / max(time.monotonic() - self._begun, 0.001)
        return {"stage": "done", "rows_done": rows, "rows": rows, "rows_per_second": round(speed, 1), "seconds_left": 0.0, "percent": 100.0}
