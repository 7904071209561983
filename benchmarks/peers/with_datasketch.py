"""datasketch: MinHash of the five-character shingles of each row as one text, LSH, then the estimate of Jaccard for each candidate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from datasketch import MinHash, MinHashLSH
from runner import Answer, connected, main, read

THRESHOLDS = (0.8, 0.5, 0.6, 0.7, 0.9)  # of the Jaccard similarity; the first one is timed and is also that of the LSH's timed run
PERMUTATIONS = 128
SHINGLE = 5


def peer(table: Path, kind: str) -> Iterator[Answer]:
    """The clusters at each threshold, each with an LSH made for it."""
    rows = read(table)
    signatures = MinHash.bulk([shingles(row) for row in rows], num_perm=PERMUTATIONS)
    for threshold in THRESHOLDS:
        yield f"Jaccard {threshold}", clusters(signatures, threshold)


def shingles(row: dict[str, str]) -> list[bytes]:
    """The pieces of five characters of all cells of a row, in lower case and without the spaces around them."""
    text = " ".join(" ".join(row.values()).lower().split())
    return list({text[i : i + SHINGLE].encode() for i in range(max(1, len(text) - SHINGLE + 1))})


def clusters(signatures: list[MinHash], threshold: float) -> list[int]:
    """Rows connected by candidates whose estimated similarity reaches the threshold."""
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    pairs = []
    for row, signature in enumerate(signatures):
        found = index.query(signature)
        pairs += [(other, row) for other in found if np.mean(signatures[other].hashvalues == signature.hashvalues) >= threshold]
        index.insert(row, signature, check_duplication=False)
    return connected(len(signatures), pairs)


if __name__ == "__main__":
    main(peer)
