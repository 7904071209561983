"""recordlinkage: blocks on several keys and a sorted neighbourhood, comparisons by hand, and the ECM classifier, which needs no labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import recordlinkage
from runner import Answer, connected, main, read, tidy

THRESHOLDS = (0.95, 0.5, 0.8, 0.99, 0.999, 0.9999)  # of the probability; the first one is timed
SIMILAR = 0.85  # from which a cell counts as agreeing: the classifier knows only yes and no

BLOCKS = {
    "customers": ["customer_id", "email", "digits", "note_start", ["surname", "postcode"], ["street", "city"], ["signup_date", "forename"]],
    "febrl": ["soc_sec_id", "date_of_birth", ["given_name", "surname"], ["surname", "postcode"], ["given_name", "suburb"]],
}
NEIGHBOURS = {"customers": ["full_name"], "febrl": ["surname", "address_1"]}
ALIKE = {
    "customers": ["forename", "surname", "email", "digits", "street", "city", "postcode", "note_start"],
    "febrl": ["given_name", "surname", "address_1", "address_2", "suburb", "postcode", "date_of_birth", "soc_sec_id"],
}
EQUAL = {"customers": ["customer_id", "signup_date", "amount"], "febrl": ["street_number", "state"]}


def peer(table: Path, kind: str) -> Iterator[Answer]:
    """The clusters at each threshold."""
    frame = prepared(table, kind)
    pairs = candidates(frame, kind)
    agreement = compared(frame, pairs, kind)
    model = recordlinkage.ECMClassifier(binarize=0.5)
    model.fit(agreement)
    probability = model.prob(agreement)
    for threshold in THRESHOLDS:
        yield f"probability {threshold}", connected(len(frame), probability.index[probability >= threshold])


def prepared(table: Path, kind: str) -> pd.DataFrame:
    """The table in lower case, None where there is no value, with derived columns."""
    frame = pd.DataFrame([{name: tidy(cell) for name, cell in row.items()} for row in read(table)], dtype=object)
    if kind == "customers":
        frame["forename"], frame["surname"] = (frame["full_name"].str.split().str[end] for end in (0, -1))
        frame["digits"] = frame["phone"].str.replace(r"\D", "", regex=True).str[-9:]
        frame["note_start"] = frame["note"].str[:60]
    return frame


def candidates(frame: pd.DataFrame, kind: str) -> pd.MultiIndex:
    """The pairs that agree on a key or are neighbours when sorted; null keys make no pairs."""
    pairs = pd.MultiIndex.from_arrays([[], []])
    for key in BLOCKS[kind]:
        filled = frame.dropna(subset=key if isinstance(key, list) else [key])
        pairs = pairs.union(recordlinkage.Index().block(key).index(filled))
    for key in NEIGHBOURS[kind]:
        pairs = pairs.union(recordlinkage.Index().sortedneighbourhood(key, window=5).index(frame.dropna(subset=[key])))
    return pairs


def compared(frame: pd.DataFrame, pairs: pd.MultiIndex, kind: str) -> pd.DataFrame:
    """For each pair and column whether the cells agree."""
    comparison = recordlinkage.Compare()
    for column in ALIKE[kind]:
        comparison.string(column, column, method="jarowinkler", threshold=SIMILAR, label=column)
    for column in EQUAL[kind]:
        comparison.exact(column, column, label=column)
    return comparison.compute(pairs, frame)


if __name__ == "__main__":
    main(peer)
