"""How many cells have which shape, with the decimals, currencies and date signs seen: the evidence for a column's type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.profile._cells import Cells
from data_sanitizer.profile._scan import FLAGS, NULL_TOKENS, SHAPES

_DETAILS = 128


def _zeros(*shape: int) -> NDArray[np.int64]:
    return np.zeros(shape, np.int64)


@dataclass(slots=True)
class Shapes:
    """Exact counts; null tokens are counted apart and do not count as shapes."""

    details: NDArray[np.int64] = field(default_factory=lambda: _zeros(len(SHAPES), _DETAILS))
    tokens: NDArray[np.int64] = field(default_factory=lambda: _zeros(len(NULL_TOKENS) + 1))
    flags: NDArray[np.int64] = field(default_factory=lambda: _zeros(len(FLAGS)))

    def update(self, cells: Cells) -> None:
        """Add the cells of one block."""
        joint = cells.shapes.astype(np.int64) * _DETAILS + cells.details
        if (tokens := np.bincount(cells.tokens, minlength=len(self.tokens)))[1:].any():
            joint = joint[cells.tokens == 0]
            tokens[0] = 0
            self.tokens += tokens
        self.details += np.bincount(joint, minlength=self.details.size).reshape(self.details.shape)
        flags = np.bincount(cells.flags, minlength=1 << len(FLAGS))
        self.flags += [int(flags[(np.arange(len(flags)) >> bit) & 1 == 1].sum()) for bit in range(len(FLAGS))]

    def merge(self, other: Self) -> None:
        """Add the counts of another part of the column."""
        self.details += other.details
        self.tokens += other.tokens
        self.flags += other.flags

    def count(self, *shapes: int) -> int:
        """Cells that have one of the shapes."""
        return int(self.details[list(shapes)].sum())

    def named(self) -> dict[str, int]:
        """Shape name -> cells, for the shapes that occur."""
        return {name: int(n) for name, n in zip(SHAPES, self.details.sum(axis=1), strict=True) if n}

    def named_tokens(self) -> dict[str, int]:
        """Null token in lower case -> cells, for the tokens that occur."""
        return {name: int(n) for name, n in zip(NULL_TOKENS, self.tokens[1:], strict=True) if n}

    def named_flags(self) -> dict[str, int]:
        """Flag name -> cells."""
        return {name: int(n) for name, n in zip(FLAGS, self.flags, strict=True)}
