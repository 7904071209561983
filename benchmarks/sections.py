"""Sections of docs/benchmarks.md that commands write: each between two markers that name the command."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"


def write(page: Path, command: str, text: str) -> None:
    """Put the text between the markers of a command, or at the end of the page where it has none."""
    begin, end = (f"<!-- python -m {command} writes {word} here -->" for word in ("from", "to"))
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text("\n\n".join([before.rstrip(), begin, text.strip(), end]) + (after or "\n"), encoding="utf-8")


def table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown: the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, rule, *lines])


def as_text(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """The same table for a terminal."""
    cells = [list(headings), *(list(line) for line in lines)]
    wide = [max(len(line[place]) for line in cells) for place in range(len(headings))]
    return "\n".join(
        "  ".join(f"{c:<{w}}" if i == 0 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(line, wide, strict=True))) for line in cells
    )


def machine() -> str:
    """The machine in a few words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {psutil.virtual_memory().total / 2**30:.1f} GB, Python {platform.python_version()}"
