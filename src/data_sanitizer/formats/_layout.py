"""Where the table stands in a delimited text: lines above it, rows that name its columns, and the first row of data.

The first table of a file is read; another one counts only where it is more than twice as large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from data_sanitizer.formats._columns import plain_names
from data_sanitizer.formats._values import MISSING, column_kind, is_year, kind
from data_sanitizer.model import Decision

Record = list[str]

_LONGEST_PREAMBLE = 30
_MOST_HEADER_ROWS = 4
_ENOUGH = 3  # records that must agree before they overrule the header's width
_SEEN = 300  # records that the tests on content look at


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table and how many records stand above its data."""

    names: tuple[str, ...]
    labels: tuple[str, ...] | None  # the header as it is written, None where there is none
    kinds: tuple[str | None, ...]  # what most values of each column are
    rows: int  # records that make the header
    remarks: bool  # whether lines that begin with # stand above it
    titles: int  # records (with blank ones) before the header
    header: int  # records from the first to the last header row, blank ones too
    decisions: tuple[Decision, ...]


def find(records: Sequence[Record], asked: int | None) -> Layout:
    """The layout of a text with these first records; `asked` is the number of header rows where the user says it."""
    width = table_width(records)
    remarks = _remarks(records, width)
    titles = remarks + _titles(records[remarks:], width)
    body = [r for r in records[titles:] if r]
    rows, why = (asked, "as asked for") if asked is not None else _header_rows(body, width)
    rows = min(rows, len(body))
    head, below = body[:rows], body[rows:]
    labels = _labels(head, below, width) if rows else None
    names, renamed = plain_names(labels) if labels is not None else (tuple(f"column_{i + 1}" for i in range(max(width, 1))), ())
    kinds = tuple(column_kind([r[i] for r in below[:_SEEN] if i < len(r)]) for i in range(len(names)))
    used = _reach(records, titles, rows)
    return Layout(
        names, tuple(labels) if labels is not None else None, kinds, rows, remarks > 0, titles, used - titles, (*_told(rows, why), *renamed)
    )


def table_width(records: Sequence[Record]) -> int:
    """The number of fields of the table: of the first one, unless another one has more than twice as many cells; where records do not
    agree, that of the first record."""
    records = [r for r in records if r and not r[0].startswith("#")] or [r for r in records if r]
    counts = Counter(map(len, records))
    if not counts:
        return 1
    most = max(counts, key=lambda w: (counts[w] * (1 - 0.5 / w), w))
    runs = _runs(records)
    tables = [w for w in counts if runs[w][0] >= max(_ENOUGH, 0.8 * counts[w]) and 2 * counts[w] * w >= counts[most] * most]
    if tables and runs[most][0] >= 0.8 * counts[most]:
        return min(tables, key=lambda w: runs[w][1])
    first = len(records[0])
    return first if 2 * counts[most] < counts.total() and first >= _ENOUGH else most


def _runs(records: Sequence[Record]) -> dict[int, tuple[int, int]]:
    """For each number of fields, the longest run of records that have it, and where it begins."""
    longest: dict[int, tuple[int, int]] = {}
    width, length, begin = -1, 0, 0
    for i, record in enumerate(records):
        if len(record) != width:
            width, length, begin = len(record), 0, i
        length += 1
        if length > longest.get(width, (0, 0))[0]:
            longest[width] = (length, begin)
    return longest


def _remarks(records: Sequence[Record], width: int) -> int:
    """How many records at the top, with blank ones among them, are remarks: they begin with # and do not fit the table."""
    others = [i for i, r in enumerate(records) if r and not (r[0].startswith("#") and (width == 1 or len(r) != width))]
    top = records[: others[0]] if others else []
    return max((i for i, r in enumerate(top, 1) if r), default=0)


def _titles(records: Sequence[Record], width: int) -> int:
    """How many records at the top are titles, notes or blank."""
    first = next((i for i, r in enumerate(records) if r), 0)
    if first == len(records):
        return 0
    if width == 1 or (width == 2 and [] not in records[first + 1 : first + 3] and not _odd_above_names(records, first, width)):
        return first
    for i in range(first, min(len(records), _LONGEST_PREAMBLE)):
        if records[i] and not _is_title(records, i, width):
            return i
    return first


def _is_title(records: Sequence[Record], i: int, width: int) -> bool:
    record = records[i]
    narrow = max(1, width // 2)
    filled = sum(bool(c.strip()) for c in record)
    if _is_group_row(record, width) and _are_names(*_two_below(records, i), width):
        return False
    if len(record) <= narrow or (filled <= narrow and filled < len(record)):
        return True
    return _odd_above_names(records, i, width)


def _two_below(records: Sequence[Record], i: int) -> tuple[Record, list[Record]]:
    below = [r for r in records[i + 1 : i + 1 + _SEEN] if r]
    return (below[0] if below else []), below[1:]


def _odd_above_names(records: Sequence[Record], i: int, width: int) -> bool:
    """Whether a record that does not fit the table stands right above one that clearly names its columns."""
    return len(records[i]) != width and _are_names(*_two_below(records, i), width)


def _is_group_row(record: Record, width: int) -> bool:
    """Whether a record names groups of columns: texts of which one stands right of an empty cell."""
    filled = [i for i, c in enumerate(record) if c.strip()]
    gaps = len(record) == width and len(filled) >= 2 and filled[-1] - filled[0] >= len(filled)
    return gaps and all(kind(record[i]) is None for i in filled)


def _are_names(record: Record, below: Sequence[Record], width: int) -> bool:
    """Whether a record clearly names the columns of those below: text in every column of numbers or dates, one at least."""
    if len(record) != width or not below:
        return False
    kinds = _kinds(below, width)
    typed = [i for i, k in enumerate(kinds) if k is not None]
    texts = [record[i].strip() for i in typed if record[i].strip().lower() not in MISSING]
    return bool(texts) and not any(kind(c) for c in record) and 2 * len(texts) >= len(typed)


def _kinds(records: Sequence[Record], width: int) -> list[str | None]:
    rows = [r for r in records[:_SEEN] if len(r) == width]
    return [column_kind([r[i] for r in rows]) if i < _SEEN else None for i in range(width)]


def _header_rows(body: Sequence[Record], width: int) -> tuple[int, str]:
    """How many records name the columns, and why it is not one."""
    found, why = has_header(body)
    if not found:
        return 0, why
    rows = 1
    while rows < min(_MOST_HEADER_ROWS, len(body) - 1) and _continues(body, rows, width):
        rows += 1
    return rows, "these rows stand above the values of the columns and hold none"


def _continues(body: Sequence[Record], rows: int, width: int) -> bool:
    """Whether the record after `rows` header rows is another one: the same again, names below groups, or text above all values."""
    record, above, below = body[rows], body[rows - 1], body[rows + 1 :]
    if len(record) != width or len(above) != width or not below or any(kind(c) for c in record):
        return False
    if _is_group_row(above, width) and _fills_gaps(above, record):
        return True
    typed = [i for i, k in enumerate(_kinds(below, width)) if k is not None]
    if record == above and typed:
        return True
    if (
        len(typed) < 2
        or len(below) < _ENOUGH
        or any(kind(above[i]) for i in typed)
        or any(record[i].strip().lower() in MISSING for i in typed)
    ):
        return False
    return not any(record[i] == r[i] for r in below[:_SEEN] if len(r) == width for i in typed)


def _fills_gaps(above: Record, record: Record) -> bool:
    """Whether a record has names where the row of groups above it has none, and no more than names."""
    gaps = [i for i, c in enumerate(above) if not c.strip()]
    filled = [i for i in gaps if record[i].strip()]
    return 2 * len(filled) >= len(gaps)


def has_header(records: Sequence[Record]) -> tuple[bool, str]:
    """Whether the first record names the columns; only clear evidence speaks against it."""
    if len(records) < 2:
        return True, ""
    first, body = records[0], records[1:_SEEN]
    typed = {i: k for i in range(len(first)) if (k := column_kind([r[i] for r in body if i < len(r)])) is not None}
    same = [i for i, found in typed.items() if kind(first[i]) == found]
    if not typed or 2 * len(same) < len(typed) or len(same) == 0 or _are_years(first, same, body):
        return True, ""
    return False, f"the first record holds values like those below it in {len(same)} of {len(typed)} columns of numbers or dates"


def _are_years(first: Record, columns: Sequence[int], body: Sequence[Record]) -> bool:
    """Whether those cells of the first record are years that name columns of other numbers."""
    years = {first[i].strip() for i in columns}
    if len(years) < len(columns) or not all(is_year(y) for y in years):
        return False
    below = [r[i] for r in body for i in columns if i < len(r)]
    return sum(is_year(c) for c in below) < 0.5 * max(len(below), 1)


def _labels(head: Sequence[Record], below: Sequence[Record], width: int) -> list[str]:
    """The names in the header rows, made to fit the width of the records below."""
    labels = _joined(head)
    rows = [r for r in below if len(r) == width]
    agreed = len(rows) >= max(_ENOUGH, 0.9 * len(below)) or (width > len(labels) and len(rows) == len(below))
    if len(labels) == width or not agreed:
        return labels
    while len(labels) > width and not labels[-1].strip():
        labels.pop()
    if sum(not name.strip() for name in labels) == len(labels) - width > 0:
        labels = [name for name in labels if name.strip()]
    missing = width - len(labels)
    if missing == 1 and len(rows) >= _ENOUGH and len({r[0] for r in rows}) == len(rows) and any(r[-1].strip() for r in rows):
        return ["", *labels]  # as R writes tables: row names without a header
    return labels + [""] * missing


def _joined(head: Sequence[Record]) -> list[str]:
    """One name a column: its cells from top to bottom, the name of a group before each of its columns."""
    if len(head) == 1:
        return list(head[0])
    width = max(map(len, head))
    padded = [[*r, *[""] * (width - len(r))] for r in head]
    for upper, lower in pairwise(padded):
        if _is_group_row(upper, width):
            _spread(upper, lower)
    return [" ".join(cell for row in padded if (cell := row[i].strip())) for i in range(width)]


def _spread(upper: Record, lower: Record) -> None:
    """Writes the name of a group above each of its columns."""
    group = ""
    for i, cell in enumerate(upper):
        group = cell if cell.strip() else group if lower[i].strip() else ""
        upper[i] = group


def _reach(records: Sequence[Record], titles: int, rows: int) -> int:
    """The number of records down to the last header row."""
    used = titles
    for i in range(titles, len(records)):
        if rows == 0:
            break
        rows -= bool(records[i])
        used = i + 1
    return used


def _told(rows: int, why: str) -> Iterator[Decision]:
    if rows != 1:
        yield Decision("header", f"{rows} rows joined" if rows else "none", why)
