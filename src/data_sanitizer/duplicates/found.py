"""What a search for near-duplicates finds: scored pairs, and clusters with the row that is kept for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.model import Figures

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """What was found in n rows. Pairs are ascending by row a and then b; only those that are duplicate or related at or above 0.5."""

    a: Rows
    b: Rows
    confidences: NDArray[np.float32]  # that the pair is one entity
    related: NDArray[np.float32]  # that it is related but distinct
    levels: NDArray[np.int8]  # (pairs, all columns) 0 a cell is empty or not compared, 1 differ, 2… alike, the highest equal
    bits: NDArray[np.float32]  # (pairs, all columns) weight of evidence for one entity
    rows: int  # n
    members: Rows  # (members,) rows that are not alone in their cluster, ascending
    labels: Rows  # (members,) the least row of each one's cluster
    keepers: Rows  # (members,) the row kept for each: another one only where that is sure
    figures: Figures

    @property
    def clusters(self) -> Rows:
        """The least row of each row's cluster, its own number where it is alone, of shape (n,)."""
        return self.cluster_of(np.arange(self.rows))

    @property
    def kept(self) -> Rows:
        """The row kept for each row, of shape (n,)."""
        return self.kept_for(np.arange(self.rows))

    def cluster_of(self, rows: Rows) -> Rows:
        """The least row of the cluster of each of some rows."""
        return self._told(rows, self.labels)

    def kept_for(self, rows: Rows) -> Rows:
        """The row kept for each of some rows."""
        return self._told(rows, self.keepers)

    def _told(self, rows: Rows, answers: Rows) -> Rows:
        place = np.searchsorted(self.members, rows).clip(0, max(len(self.members) - 1, 0))
        return np.where(self.members[place] == rows, answers[place], rows) if len(self.members) else rows
