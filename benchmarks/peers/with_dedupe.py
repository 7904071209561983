"""dedupe: learns from labels. It is given 200 pairs with the truth, as if a patient person had answered all its questions rightly."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import dedupe
from dedupe import variables
from runner import Answer, main, read, tidy

LABELS = 200  # pairs, half of them of one entity
THRESHOLDS = (0.5, 0.3, 0.7, 0.9)  # of the confidence; the first one is timed
FIELDS = {
    "customers": ["customer_id", "full_name", "email", "phone", "street", "postcode", "signup_date"],
    "febrl": ["given_name", "surname", "street_number", "address_1", "suburb", "postcode", "date_of_birth", "soc_sec_id"],
}
CODES = {"customer_id", "signup_date", "postcode", "street_number", "date_of_birth"}
TRAINED_ON = 1500  # rows: its blocking rules are learned from pairs, whose number and memory grow by the square


def peer(table: Path, kind: str) -> Iterator[Answer]:
    """The clusters at each threshold."""
    rows = {place: cells(row, FIELDS[kind]) for place, row in enumerate(read(table))}
    model = dedupe.Dedupe([variable(name) for name in FIELDS[kind]])
    random.seed(1)
    pairs = labelled(rows, Path(sys.argv[4]).read_text().split())
    told = {row for some in pairs.values() for pair in some for row in pair}
    model.prepare_training({row: rows[row] for row in told.union(random.sample(range(len(rows)), min(TRAINED_ON, len(rows))))})
    model.mark_pairs({answer: [(rows[a], rows[b]) for a, b in some] for answer, some in pairs.items()})
    model.train()
    for threshold in THRESHOLDS:
        labels = list(range(len(rows)))
        for members, _ in model.partition(rows, threshold):
            for row in members:
                labels[row] = members[0]
        yield f"confidence {threshold}", labels


def variable(name: str) -> variables.base.FieldVariable:
    """How a column is compared; short codes are equal or not, since as texts they are all within a few edits and make giant blocks."""
    return (variables.Exact if name in CODES else variables.String)(name, has_missing=True)


def cells(row: dict[str, str], fields: list[str]) -> dict[str, str | None]:
    """The cells that are compared."""
    tidied = {name: tidy(row[name]) for name in fields}
    if tidied.get("email"):  # all the addresses end alike, and all numbers of a country begin alike: as they are they make giant blocks
        tidied["email"] = str(tidied["email"]).partition("@")[0]
    if tidied.get("phone"):
        tidied["phone"] = "".join(filter(str.isdigit, str(tidied["phone"])))[-9:]
    return {name: cell or None for name, cell in tidied.items()}


def labelled(rows: dict[int, dict[str, str | None]], entities: list[str]) -> dict[str, list[tuple[int, int]]]:
    """Pairs of one entity that differ in writing, and as many pairs of two: half of them by chance, half sharing a cell."""
    of_entity, of_cell = defaultdict(list), defaultdict(list)
    for row, entity in enumerate(entities):
        of_entity[entity].append(row)
        of_cell[next(c for c in rows[row].values() if c and not c.startswith("c-0"))].append(row)
    same = [pair for group in of_entity.values() for pair in combinations(group, 2) if rows[pair[0]] != rows[pair[1]]]
    near = [pair for group in of_cell.values() for pair in combinations(group[:3], 2) if entities[pair[0]] != entities[pair[1]]]
    far = [(a, b) for a, b in (random.sample(range(len(rows)), 2) for _ in range(LABELS)) if entities[a] != entities[b]]
    half, quarter = LABELS // 2, LABELS // 4
    match = random.sample(same, min(half, len(same)))
    distinct = random.sample(near, min(quarter, len(near))) + far[:quarter]
    return {"match": match, "distinct": distinct}


if __name__ == "__main__":
    main(peer)
