"""Makes dirty tables of any size with known truth, to measure cleaning and duplicate detection on.

The table is invented customer records of 13 columns and about 420 bytes. `truth.parquet` beside it lists every damage: `row`, `column`
(null for a copied row), `kind`, the `original` cell, `duplicate_of` (the row copied). Putting every `original` back gives the clean table:
for a copy, the clean record of the row it is a copy of. Kinds: exact_duplicate, near_duplicate (rows); typo and new_id (cells of
near duplicates), missing, outlier, case, blank (cells); added_key (JSONL only: a key beyond the columns). `entities.parquet` gives
each row its entity: the first row that describes the same customer.
"""

from __future__ import annotations

import errno
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from data_sanitizer.errors import DataSanitizerError, DiskFull, OutputExists, OutputNotWritable, UsageError

VERSION = 1  # rises when the same size and seed would give another table
STRETCH = 50_000  # rows made at a time: bounds memory, changes no byte
LARGEST = 2**32 - 1  # rows; the generator draws row numbers of 32 bits
UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}


def parse_size(size: int | str) -> int:
    """The number of rows meant by 1000, "1000", "50k", "1m" or "2.5m"; raises UsageError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmb]?)", str(size).strip().replace("_", "").lower())
    rows = float(found[1]) * UNITS[found[2]] if found else 0
    if not (1 <= rows <= LARGEST and rows == int(rows)):
        raise UsageError(why=f"Size {size!r} is not a whole number of rows from 1 to {LARGEST}. Write for example 1000, 50k, 1m or 2.5m.")
    return int(rows)


def generate(
    size: int | str,
    output_dir: Path,
    formats: Sequence[str] = ("csv",),
    seed: int = 0,
    *,
    force: bool = False,
    stretch: int = STRETCH,
) -> dict[str, Path]:
    """Write a dirty table of `size` rows in each format, with its truth; gives the files by format, `truth` and `entities`.

    The same size and seed give the same bytes; `stretch`, the rows made at a time, only changes the memory needed. Raises UsageError for
    a size or format not known, OutputExists where a file is there already and `force` is not set, DiskFull, OutputNotWritable.
    """
    from data_sanitizer.benchmark_data.files import FORMATS

    rows, chosen = parse_size(size), tuple(dict.fromkeys(formats))
    if not chosen or not set(chosen) <= set(FORMATS):
        raise UsageError(why=f"Formats {', '.join(chosen) or '(none)'}: choose one or several of {', '.join(FORMATS)}.")
    folder = Path(output_dir)
    _refuse_existing(folder, [*(f"customers.{name}" for name in chosen), "truth.parquet", "entities.parquet"], force=force)
    return _published(rows, folder, chosen, seed, stretch)


def _published(rows: int, folder: Path, formats: Sequence[str], seed: int, stretch: int) -> dict[str, Path]:
    """Write everything in a hidden folder aside and, when all is complete, give the files their names."""
    from polars.exceptions import ComputeError

    from data_sanitizer.benchmark_data import damage, files, records

    dice = records.Dice(seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".generating-", dir=folder) as aside:
            written = files.write(damage.stretches(rows, dice, stretch), formats, Path(aside), dice)
            return {name: path.replace(folder / path.name) for name, path in written.items()}
    except (OSError, ComputeError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC or f"(os error {errno.ENOSPC})" in str(error):  # Polars gives only the text
            raise DiskFull(path=folder) from error
        if isinstance(error, OSError):
            raise OutputNotWritable(path=folder, why=error.strerror or "the system refused to write") from error
        raise


def _refuse_existing(folder: Path, names: Sequence[str], *, force: bool) -> None:
    for name in names:
        if not force and (folder / name).exists():
            raise OutputExists(path=folder / name)


@click.command("generate")
@click.option("--size", default="1000", show_default=True, help="Rows: a number, or one with k, m or b, as 50k or 1m.")
@click.option("--output-dir", "-o", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the files.")
@click.option("--formats", default="csv", show_default=True, help="csv, jsonl, parquet: one or several with commas.")
@click.option("--seed", default=0, show_default=True, help="Another seed makes another table.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def generate_command(size: str, output_dir: Path, formats: str, seed: int, force: bool) -> None:
    """Make a dirty table of any size with known truth."""
    names = [name.strip().lower() for name in formats.split(",") if name.strip()]
    for path in generate(size, output_dir, names, seed, force=force).values():
        click.echo(f"{path}  {path.stat().st_size / 1e6:,.1f} MB", err=True)


if __name__ == "__main__":
    try:
        generate_command(prog_name="python -m data_sanitizer.benchmark_generator")
    except DataSanitizerError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
