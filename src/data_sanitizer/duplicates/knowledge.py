"""What was learned of a table, to judge rows by that come later: the roles of its columns, how rare terms and values are, the model.

Packed it is a line of JSON and the arrays that it names: plain numbers, from which nothing is executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from data_sanitizer.duplicates import model
from data_sanitizer.duplicates.chance import Chance, Frequencies
from data_sanitizer.duplicates.columns import Roles
from data_sanitizer.duplicates.comparison import Rarity
from data_sanitizer.duplicates.model import Model

_FORM: Final = 1  # of what is packed
_ROLES: Final = ("used", "identifiers", "contained", "parts", "measures")
_OF_MODEL: Final = ("duplicates", "related")
_OF_CHANCE: Final = ("table", "equal", "exact", "depends")
_COUNTED: Final = ("counters", "cells")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """See the top of the module. Columns are numbered in the order of `columns`."""

    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    roles: Roles
    rarities: tuple[Rarity, ...]
    moved: NDArray[np.int64]  # (pairs, 2) columns between which cells move
    model: Model

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are compared."""
        return tuple(self.columns[c] for c in self.roles.used)

    def first(self) -> Model:
        """The model before pairs were learned from, as it decides which candidates are worth a look."""
        chance = self.model.chance
        return model.believed(replace(chance, depends=np.zeros_like(chance.depends)), self.model.names, self.model.rows)

    def grown(self, prints: Iterable[NDArray[np.uint64]], rows: int) -> Knowledge:
        """The same with the values of more rows counted, (rows of a block, all columns) each; pairs are as frequent for a row as before."""
        known, seen = self.model, self.model.chance.frequencies
        more = Frequencies.counted(prints, 0, self.roles.used, seen.counters.shape[1])
        frequencies = Frequencies(seen.counters + more.counters, seen.cells + more.cells)
        share = max(known.rows - 1, 1) / max(known.rows + rows - 1, 1)
        chance, duplicates, related = (
            replace(known.chance, frequencies=frequencies),
            known.duplicate_share * share,
            known.related_share * share,
        )
        return replace(self, model=replace(known, rows=known.rows + rows, chance=chance, duplicate_share=duplicates, related_share=related))

    def packed(self) -> bytes:
        """As `unpacked` reads it."""
        known, chance = self.model, self.model.chance
        arrays: dict[str, NDArray[Any]] = {"moved": self.moved}
        arrays |= {name: getattr(known, name) for name in _OF_MODEL} | {name: getattr(chance, name) for name in _OF_CHANCE}
        arrays |= {name: getattr(chance.frequencies, name) for name in _COUNTED}
        arrays |= {f"rarity {c}": weights for c, weights in enumerate(self.rarities) if weights is not None}
        told = {
            "form": _FORM, "columns": self.columns, "kinds": self.kinds, "roles": {name: getattr(self.roles, name) for name in _ROLES},
            "names": known.names, "rows": known.rows, "shares": (known.duplicate_share, known.related_share), "kind": known.kind,
            "ambiguity": known.ambiguity, "distinguishing": known.distinguishing, "parts": chance.parts,
            "arrays": [(name, array.dtype.str, array.shape) for name, array in arrays.items()],
        }  # fmt: skip
        content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
        return zstandard.compress(json.dumps(told).encode() + b"\n" + content, 1)


def unpacked(data: bytes) -> Knowledge | None:
    """What `packed` gave; None where another version of the program packed it in another form."""
    line, _, content = zstandard.decompress(data).partition(b"\n")
    told = json.loads(line)
    if told["form"] != _FORM:
        return None
    arrays, start = dict[str, NDArray[Any]](), 0
    for name, dtype, shape in told["arrays"]:
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(content, dtype, count, start).reshape(shape).copy()
        start += arrays[name].nbytes
    chance = Chance(
        frequencies=Frequencies(*(arrays[name] for name in _COUNTED)), parts=_pairs(told["parts"]), **{n: arrays[n] for n in _OF_CHANCE}
    )
    known = Model(
        chance, tuple(told["names"]), told["rows"], arrays["duplicates"], arrays["related"], told["shares"][0],
        told["shares"][1], told["kind"], told["ambiguity"], tuple(told["distinguishing"]),
    )  # fmt: skip
    used, identifiers, contained, parts, measures = (told["roles"][name] for name in _ROLES)
    roles = Roles(tuple(used), tuple(identifiers), _pairs(contained), _pairs(parts), tuple(measures))
    rarities = tuple(arrays.get(f"rarity {c}") for c in range(len(told["columns"])))
    return Knowledge(tuple(told["columns"]), tuple(told["kinds"]), roles, rarities, arrays["moved"], known)


def _pairs(told: Any) -> tuple[tuple[int, int], ...]:
    return tuple((int(a), int(b)) for a, b in told)
