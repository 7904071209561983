"""How often the dialect of a delimited text is found: delimiter, quote, escape and line ends against annotations made by hand.

    python -m benchmarks.dialects FOLDER ANNOTATIONS.txt [--failures]

FOLDER holds the files. ANNOTATIONS has one line a file, fields separated by `|`: name, encoding, delimiter, quote, escape, line end, the
signs by their names (comma, semicolon, tab, vslash, space, nsign; doublequote, singlequote; backslash; lf, crlf, cr). Doubling a quote
inside a quoted field is how quotes are written unless told otherwise, so an escape that is empty or the quote itself means the same.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from data_sanitizer.errors import DataSanitizerError
from data_sanitizer.formats import csv
from data_sanitizer.formats._dialect import NO_DELIMITER
from data_sanitizer.model import ReadOptions

SIGNS = {"comma": ",", "semicolon": ";", "tab": "\t", "vslash": "|", "space": " ", "nsign": "#", "colon": ":", "caret": "^", "tilde": "~"}
QUOTES = {"doublequote": '"', "singlequote": "'", "": ""}
ESCAPES = {"backslash": "\\", "doublequote": "", "singlequote": "", "": ""}
PARTS = ("delimiter", "quote", "escape", "line end")


def main() -> None:
    """Print the share of files whose dialect is right."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialects", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--failures", action="store_true", help="also name the files that are not read rightly, and what was expected")
    options = parser.parse_args()
    wrong: Counter[str] = Counter()
    files = 0
    for name, true in annotated(options.annotations):
        if not (options.folder / name).is_file():
            continue
        files += 1
        found = dialect(options.folder / name)
        if true["line end"] not in line_ends(options.folder / name):
            true = {**true, "line end": found.get("line end", "")}
        missed = tuple(part for part in PARTS if found.get(part) != true[part])
        wrong.update(missed, all=bool(missed), delimiter_or_quote="delimiter" in missed or "quote" in missed)
        if missed and options.failures:
            print(f"{name}: " + ", ".join(f"{p} {found.get(p)!r}, not {true[p]!r}" for p in missed) + found.get("error", ""))
    print(f"files                  {files}")
    for said, part in (("whole dialect right", "all"), ("delimiter and quote", "delimiter_or_quote"), *((p, p) for p in PARTS)):
        print(f"{said:22} {1 - wrong[part] / max(files, 1):.4f}")


def annotated(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Name and true dialect of each annotated file."""
    for line in path.read_text("utf-8", errors="replace").splitlines():
        fields = line.split("|")
        if line.startswith("#") or len(fields) < 6 or fields[0] == "file_name":
            continue
        yield fields[0], {"delimiter": SIGNS[fields[2]], "quote": QUOTES[fields[3]], "escape": ESCAPES[fields[4]], "line end": fields[5]}


def line_ends(path: Path) -> set[str]:
    """The line ends that a file has."""
    data = path.read_bytes()
    both = data.count(b"\r\n")
    return {end for end, there in (("crlf", both), ("lf", data.count(b"\n") > both), ("cr", data.count(b"\r") > both)) if there}


def dialect(path: Path) -> Mapping[str, str]:
    """What is found out about a file; for a quote that no field has, the usual one stands."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = csv.read(path, path.name, ReadOptions(), Path(scratch)).dialect
        except DataSanitizerError as error:
            return {"error": f" ({error.code})"}
    delimiter = "," if found.delimiter == NO_DELIMITER else found.delimiter
    return {"delimiter": delimiter, "quote": found.quote or '"', "escape": found.escape, "line end": found.line_end}


if __name__ == "__main__":
    main()
