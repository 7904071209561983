"""What a dataset promises, measured: the same partition for any parts in any order, and the time of deliveries mostly seen before.

python -m benchmarks.deliveries law [--rows 50000]         one delivery, 2 and 10 parts in three orders: partitions and pairwise F1
                                    [--at-once 5000]       the same where not more rows are searched at once: the index finds earlier ones
python -m benchmarks.deliveries speed [--rows 1000000]     10 deliveries of so many rows, 90 % seen before, beside a clean without dataset
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from data_sanitizer.benchmark_data.records import words
from data_sanitizer.benchmark_generator import generate

COLUMNS = ("given_name", "surname", "street_number", "street", "suburb", "postcode", "date_of_birth", "phone")
COPIES = 0.2  # of the rows
PARTS = ((2, 1), (2, 2), (2, 3), (10, 1), (10, 2), (10, 3))  # how many, and the seed of their order


def main() -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deliveries", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=["law", "speed"])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--at-once", type=int)
    parser.add_argument("--work-dir", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work_dir) as folder:
        if options.what == "law":
            law(options.rows or 50_000, Path(folder), options.at_once)
        else:
            speed(options.rows or 1_000_000, Path(folder))


def people(rows: int, seed: int = 0) -> pl.DataFrame:
    """Rows of invented people, a fifth of them copies with one to three errors, and the `entity` of each."""
    draw = random.Random(seed)
    pools = {"given_name": list(words("first_names")), "surname": _both("last_name_stems", "last_name_endings"),
             "street": _both("street_stems", "street_kinds", " ")}  # fmt: skip
    originals = round(rows * (1 - COPIES))
    made = [_person(draw, pools) for _ in range(originals)]
    whose = [*range(originals), *(draw.randrange(originals) for _ in range(rows - originals))]
    table = [(*(made[who] if k < originals else _damaged(draw, made[who])), str(who)) for k, who in enumerate(whose)]
    draw.shuffle(table)
    return pl.DataFrame(table, schema=[*COLUMNS, "entity"], orient="row")


def _both(stems: str, endings: str, between: str = "") -> list[str]:
    return [stem + between + ending.strip(".") for stem in words(stems) for ending in words(endings)]


def _person(draw: random.Random, pools: dict[str, list[str]]) -> list[str]:
    born = f"{draw.randint(1930, 2010)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}"
    suburb = draw.choice(pools["surname"]) + draw.choice(["ton", "ville", " hills", " park", "field"])
    name = draw.choice(pools["given_name"]), draw.choice(pools["surname"])
    home = str(draw.randint(1, 400)), draw.choice(pools["street"]), suburb, str(draw.randint(1000, 9999))
    return [*name, *home, born, f"0{draw.randint(10**8, 10**9 - 1)}"]


def _damaged(draw: random.Random, person: Sequence[str]) -> list[str]:
    cells = list(person)
    for column in draw.sample(range(len(cells)), draw.choice([1, 1, 2, 3])):
        text = cells[column]
        at = draw.randrange(len(text))
        letter = draw.choice("0123456789") if text[at].isdigit() else draw.choice("abcdefghijklmnopqrstuvwxyz")
        cells[column] = draw.choice([text[:at] + text[at + 1 :], text[:at] + letter + text[at:], text[:at] + letter + text[at + 1 :], ""])
    return cells


def law(rows: int, folder: Path, at_once: int | None = None) -> None:
    """Deliver one table in several ways, and compare the partitions."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"extends: careful\nduplicates: {{at_once: {at_once or 'null'}}}\n", "utf-8")
    table = people(rows).with_row_index("no")
    whole = partition(table, [table], folder / "whole", recipe)
    print(f"{rows} rows in one delivery: {len(whole)} entities, pairwise F1 {pairwise_f1(table, whole):.4f}")
    for parts, seed in PARTS:
        mixed = table.sample(fraction=1, shuffle=True, seed=seed)
        size = -(-rows // parts)
        found = partition(table, [mixed[k : k + size] for k in range(0, rows, size)], folder / f"{parts}-{seed}", recipe)
        same = "the same partition" if found == whole else "ANOTHER PARTITION"
        print(f"{parts} parts, order {seed}: {len(found)} entities, {same}, pairwise F1 {pairwise_f1(table, found):.4f}", flush=True)


def partition(table: pl.DataFrame, deliveries: Sequence[pl.DataFrame], folder: Path, recipe: Path) -> set[frozenset[int]]:
    """The rows of each entity when all is delivered, by `no`; the whole table is delivered once more to ask for them."""
    folder.mkdir()
    for number, part in enumerate(deliveries):
        _deliver(part, folder, str(number), recipe)
    run = _deliver(table, folder, "all", recipe) if len(deliveries) > 1 else folder / "run-0"
    entities = pl.read_parquet(run / "entities.parquet").sort("row")["entity"]
    groups = table.select("no", entity=entities).group_by("entity").agg("no")["no"]
    return {frozenset(group) for group in groups.to_list()}


def _deliver(part: pl.DataFrame, folder: Path, name: str, recipe: Path) -> Path:
    path, run = folder / f"{name}.csv", folder / f"run-{name}"
    part.select(COLUMNS).write_csv(path)
    _run(path, run, "--dataset", "people", "--database", f"sqlite:///{folder}/data.db", "--recipe", str(recipe))
    return run


def pairwise_f1(table: pl.DataFrame, found: set[frozenset[int]]) -> float:
    """Of pairs of rows that are one entity: the harmonic mean of precision and recall."""
    truth = dict(zip(table["no"].to_list(), table["entity"].to_list(), strict=True))
    right = sum(_pairs(n) for group in found for n in Counter(truth[no] for no in group).values())
    believed, true = sum(_pairs(len(group)) for group in found), sum(_pairs(n) for n in Counter(truth.values()).values())
    return 2 * right / (believed + true)


def _pairs(rows: int) -> int:
    return rows * (rows - 1) // 2


def speed(rows: int, folder: Path) -> None:
    """Ten deliveries, each a window of a generated table that moves on by a tenth."""
    generate(2 * rows, folder, ["csv"])
    table = pl.scan_csv(folder / "customers.csv", infer_schema=False)
    plain, step = 0.0, rows // 10
    for number, path in enumerate(_windows(table, rows, step, folder)):
        if not number:
            plain = _measured(path, folder / "run", "without a dataset", 0.0)
        at = ("--dataset", "customers", "--database", f"sqlite:///{folder}/data.db")
        _measured(path, folder / "run", f"delivery {number + 1}", plain, *at)


def _windows(table: pl.LazyFrame, rows: int, step: int, folder: Path) -> Iterator[Path]:
    for number in range(10):
        path = folder / f"delivery-{number}.csv"
        table.slice(number * step, rows).sink_csv(path)
        yield path
        path.unlink()


def _measured(path: Path, run: Path, what: str, plain: float, *options: str) -> float:
    start = time.perf_counter()
    _run(path, run, "--force", *options)
    seconds = time.perf_counter() - start
    told = json.loads((run / "report.json").read_text("utf-8"))
    ratio = f", {seconds / plain:.2f} x" if plain else ""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    stages = ", ".join(f"{name} {took:.1f}" for name, took in told["stages"].items())
    print(f"{what}: {seconds:.1f} s{ratio}; largest process so far {peak} MB; {stages}; {json.dumps(told.get('dataset', {}))}", flush=True)
    return seconds


def _run(path: Path, run: Path, *options: str) -> None:
    subprocess.run([sys.executable, "-m", "data_sanitizer.cli", "clean", path, "-o", run, "--quiet", *options], check=True)


if __name__ == "__main__":
    main()
