"""What every runner shares: the command line, the answer on disk, and connected pairs. Only the standard library.

    python with_PEER.py TABLE.csv KIND ANSWER_FOLDER [LABELS.csv]

A runner is a generator: it gives its answer as (setting, label of each row), rows of one label being one cluster. The first answer is the
one that is timed; further ones, at other thresholds, come after the clock has stopped, so that a peer is judged at the best of them.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

Answer = tuple[str, Sequence[int]]
NO_VALUE = {"", "n/a", "null", "-", "none", "#n/a", "nan"}  # what whoever configures a peer by hand sees in the table and takes for empty


def main(peer: Callable[[Path, str], Iterator[Answer]]) -> None:
    """Run the peer on the table of the command line and write its answers."""
    table, kind, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    answers = enumerate(peer(table, kind))
    settings = [written(next(answers), folder)]
    timed = {"timed_at": time.monotonic(), "cpu_seconds": sum(os.times()[:4])}
    told(folder, {"settings": settings, **timed})
    for answer in answers:
        settings.append(written(answer, folder))
        told(folder, {"settings": settings, **timed})


def told(folder: Path, answers: dict[str, object]) -> None:
    """Say which answers there are, all at once, so that a peer may be stopped at any time."""
    aside = folder / "answers.tmp"
    aside.write_text(json.dumps(answers))
    aside.rename(folder / "answers.json")


def written(answer: tuple[int, Answer], folder: Path) -> str:
    """Write one answer as a label a line; gives the name of its setting."""
    place, (setting, labels) = answer
    (folder / f"labels-{place}.txt").write_text("\n".join(map(str, labels)) + "\n")
    return setting


def read(table: Path) -> list[dict[str, str]]:
    """The rows of the table as text."""
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tidy(cell: str) -> str | None:
    """A cell in lower case without blanks around it; None for the ways of writing that there is no value."""
    text = " ".join(cell.lower().split())
    return None if text in NO_VALUE else text


def connected(rows: int, pairs: Iterable[Sequence[int]]) -> list[int]:
    """A label for each row: rows that pairs connect, directly or through others, have the same one."""
    parent = list(range(rows))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return [root(row) for row in range(rows)]
