"""The signatures of the rows of one dataset, as `ports.RowIndex`: in the database, and in the vector index where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.model import Candidates, Samples
from data_sanitizer.storage import _deliveries
from data_sanitizer.storage._vectors import Run, Signatures


class StoredIndex:
    """Rows by what they are like. Without `keep` nothing is stored."""

    def __init__(self, run: Run, tenant: str, dataset: UUID, signatures: Signatures, keep: bool) -> None:
        self._run, self._tenant, self._dataset, self._signatures, self._keep = run, tenant, dataset, signatures, keep

    def opened(self, columns: Sequence[str]) -> tuple[tuple[str, ...], Mapping[tuple[int, int], int] | None]:
        """The columns that are signed, and how many rows of each part are; None for the second where nothing is stored."""
        if not self._keep:
            return tuple(columns), None
        signed = self._run(self._tenant, lambda c: _deliveries.signed_columns(c, self._tenant, self._dataset, columns))
        return signed, self._signatures.held(self._tenant, self._dataset)

    def add(self, samples: Samples) -> None:
        """Store the signatures of a part, once; the vector index follows."""
        if self._keep:
            self._signatures.store(self._tenant, replace(samples, dataset=str(self._dataset)))

    def similar(self, signatures: NDArray[np.uint32], limit: int, threshold: float, before: int) -> Candidates:
        """Rows of earlier deliveries with similar signatures."""
        return self._signatures.query(self._tenant, self._dataset, signatures, limit, threshold, before)
