"""What an earlier attempt kept changes no byte of the result, whichever parts of it are found again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer import benchmark_generator
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.run_folder import sha256

BLOCK = 20_000  # bytes: the table has several


class Memory:
    """As `ports.Checkpoints`, in memory; with everything worth keeping."""

    def __init__(self, parts: dict[tuple[str, int], bytes], worth: float = 0) -> None:
        self.parts, self.worth, self.loaded = dict(parts), worth, 0

    def load(self, stage: str, no: int) -> bytes | None:
        found = self.parts.get((stage, no))
        self.loaded += found is not None
        return found

    def save(self, stage: str, no: int, data: bytes, rows: int) -> None:
        self.parts[stage, no] = data


@pytest.fixture(scope="module")
def table() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield benchmark_generator.generate(400, Path(folder) / "g", ["csv"])["csv"]


def run(table: Path, kept: Memory | None, threads: int = 1) -> str:
    with tempfile.TemporaryDirectory() as folder:
        sanitize([str(table)], Path(folder) / "run", load_recipe("careful"), RunOptions(threads=threads, block=BLOCK, kept=kept))
        return sha256(Path(folder) / "run" / "manifest.json")


@pytest.fixture(scope="module")
def plain(table: Path) -> str:
    return run(table, None)


@pytest.fixture(scope="module")
def parts(table: Path, plain: str) -> dict[tuple[str, int], bytes]:
    kept = Memory({})
    assert run(table, kept) == plain
    assert {stage for stage, _ in kept.parts} == {"pass1", "pass2", "duplicates"}
    assert len(kept.parts) > 5
    return kept.parts


@settings(max_examples=6)
@given(chosen=st.sets(st.integers(0, 30)), threads=st.integers(1, 3))
def test_any_parts_that_are_kept_give_the_same_bytes(
    chosen: set[int], threads: int, table: Path, plain: str, parts: dict[tuple[str, int], bytes]
) -> None:
    kept = Memory({key: data for number, (key, data) in enumerate(sorted(parts.items())) if number in chosen})
    found = len(kept.parts)
    assert run(table, kept, threads) == plain
    assert kept.loaded >= found  # all of them were used


def test_where_chunks_end_changes_nothing(table: Path, plain: str, parts: dict[tuple[str, int], bytes]) -> None:
    kept = Memory({}, worth=0.02)
    assert run(table, kept, 2) == plain
    assert run(table, Memory(kept.parts, worth=1e9), 2) == plain
    assert run(table, Memory({**kept.parts, **{k: v for k, v in parts.items() if k not in kept.parts and k[0] == "duplicates"}})) == plain


def test_work_that_is_not_worth_it_is_not_kept(table: Path, plain: str) -> None:
    kept = Memory({}, worth=1e9)
    assert run(table, kept) == plain
    assert kept.parts == {}
