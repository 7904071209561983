"""How long the cells of a column are, in characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from data_sanitizer.profile._cells import Cells


@dataclass(slots=True)
class Lengths:
    """Of the cells that are not missing."""

    least: int = 1 << 32
    most: int = 0
    total: int = 0
    cells: int = 0

    def update(self, cells: Cells) -> None:
        """Add the cells of one block."""
        lengths = cells.lengths[cells.shapes != 0]
        if len(lengths):
            self.merge(Lengths(int(lengths.min()), int(lengths.max()), int(lengths.sum()), len(lengths)))

    def merge(self, other: Self | Lengths) -> None:
        """Take in another part of the column."""
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        self.total, self.cells = self.total + other.total, self.cells + other.cells

    def described(self) -> dict[str, float]:
        """Least, most and mean length; empty where all cells are missing."""
        return {"min": self.least, "max": self.most, "mean": round(self.total / self.cells, 2)} if self.cells else {}
