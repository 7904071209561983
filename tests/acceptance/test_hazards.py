"""Files that are made to do harm, given to the command one after the other: each is refused in time and memory, and a good one is cleaned.

One process reads them all, so that what one of them broke would show in the next; its peak memory is the peak over all of them.
"""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import zstandard

from tests import hazards

MEMORY = 500 << 20  # bytes that the process may take at its peak; cleaning any table takes half of it
SECONDS = 20.0  # for one file, on a busy machine; alone it takes less than 4

DRIVER = """
import json, pathlib, re, resource, sys, time
from data_sanitizer import cli
for path in sys.argv[1:]:
    sys.argv = ["data-sanitizer", "clean", path, "-o", path + ".run", "--json"]
    started = time.monotonic()
    try:
        cli.main()
    except SystemExit as end:
        code = end.code or 0
    own = re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]  # ru_maxrss would begin with that of the tests
    usage = [int(own), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]
    print(json.dumps({"path": path, "code": code, "seconds": time.monotonic() - started, "memory": max(usage) << 10}), file=sys.stderr)
"""


def packed_bomb(path: Path) -> Path:
    """A billion bytes of equal lines in some hundred thousand, by xz or zstd."""
    lines = b"1,2\n" * (1 << 18)
    if path.suffix == ".zst":
        engine = zstandard.ZstdCompressor(level=1).compressobj()
        path.write_bytes(b"".join(engine.compress(lines) for _ in range(1000)) + engine.flush())
    else:
        stream = lzma.compress(lines * 40, preset=0)
        path.write_bytes(stream * 25)
    return path


def text(content: str) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_text(content)
        return path

    return write


HAZARDS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "bomb.csv.gz": (lambda p: hazards.bomb(p, 1 << 30), "unpacks to far more"),
    "bomb.csv.zst": (packed_bomb, "unpacks to far more"),
    "bomb.csv.xz": (packed_bomb, "unpacks to far more"),
    "two.zip": (lambda p: hazards.zipped({"a.csv": "a,b\n1,2\n", "b.csv": "a,b\n"}, p), "holds 2 files"),
    "above.zip": (lambda p: hazards.zipped({"../../etc/x": "a,b\n"}, p), "outside of the archive"),
    "far.xlsx": (hazards.far_cells, "sheet_sparseness"),
    "many.xlsx": (lambda p: hazards.many_cells(p, 26_000_000), "unpacks to far more"),
    "lol.xlsx": (hazards.laughing, "not a valid spreadsheet"),
    "xxe.xlsx": (lambda p: hazards.foreign_entity(p, "file:///etc/passwd"), "not a valid spreadsheet"),
    "long.parquet": (lambda p: hazards.long_texts(p, 20_000, 1_000_000), "unpacks to far more"),
    "categories.parquet": (lambda p: hazards.long_texts(p, 20_000, 1_000_000, categories=True), "unpacks to far more"),
    "bad.arrow": (hazards.damaged_offsets, "not valid Arrow IPC"),
    "deep.json": (text("[" * 100_000), "limit depth is 64"),
    "deeper.json": (text('{"a":' * 100_000), "limit depth is 64"),
    "line.jsonl": (text('{"a":"' + "x" * (30 << 20) + '"}\n'), "limit row_bytes"),
    "words.json": (text('[{"a":NaN}]'), "line 1, column 7"),
}
ROW = '<row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c></row>'
NUMBERS = "n,t\n1e100000000,x\n1e-100000000,y\n%s,z\n-0,x\n0x1F,y\n１２,z\n1E+99999999999999999999,x\n" % ("9" * 5000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the process said of one file."""

    code: int
    seconds: float
    memory: int
    said: str


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Every hazard, then numbers that grow when they are written out, then a good file, through the command in one process."""
    folder = tmp_path_factory.mktemp("hazards")
    first = [hazards.workbook(folder / "first.xlsx", ROW), text("[[1]]")(folder / "first.json")]  # compile what reading needs
    paths = first + [make(folder / name) for name, (make, _) in HAZARDS.items()]
    paths += [text(NUMBERS)(folder / "numbers.csv"), text("a,b\nx,1\ny,2\n")(folder / "good.csv")]
    done = subprocess.run([sys.executable, "-c", DRIVER, *map(str, paths)], capture_output=True, text=True, timeout=280, check=True)
    found: dict[str, Outcome] = {}
    said: list[str] = []
    for line in done.stderr.splitlines():
        if line.startswith('{"path"'):
            facts = json.loads(line)
            found[Path(facts["path"]).name] = Outcome(facts["code"], facts["seconds"], facts["memory"], "\n".join(said))
            said = []
        else:
            said.append(line)
    return found


@pytest.mark.parametrize("name", HAZARDS)
def test_each_is_refused_with_its_reason(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.code == 3, outcome
    assert HAZARDS[name][1] in outcome.said
    assert "Traceback" not in outcome.said
    assert outcome.seconds < SECONDS


def test_memory_stays_small_whatever_came(outcomes: dict[str, Outcome]) -> None:
    assert max(o.memory for o in outcomes.values()) < MEMORY, {name: o.memory >> 20 for name, o in outcomes.items()}


def test_numbers_that_grow_when_written_out_stay_as_they_are(
    outcomes: dict[str, Outcome], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert outcomes["numbers.csv"].code == 0, outcomes["numbers.csv"]
    run = next(tmp_path_factory.getbasetemp().glob("hazards*/numbers.csv.run"))
    assert pl.read_parquet(run / "cleaned.parquet")["n"].to_list() == [line.split(",")[0] for line in NUMBERS.splitlines()[1:]]


def test_the_next_file_is_cleaned_as_if_nothing_had_happened(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["good.csv"].code == 0, outcomes["good.csv"]
