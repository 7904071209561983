"""How a delimited text is written: delimiter, quoting, preamble and header, found from its first records."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data_sanitizer.formats._columns import plain_names
from data_sanitizer.model import Decision, ReadOptions

NO_DELIMITER = "\x1f"  # stands for "one column": the unit separator, which ordinary text does not contain
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", " ": "space", ":": "colon", NO_DELIMITER: "none (one column)"}
_CANDIDATES = (",", ";", "\t", "|", "\x1f", "\x01", "^", "~", ":", " ")
_COMMON_IN_TEXT = {"~": 0.9, "^": 0.9, ":": 0.7, " ": 0.6}  # weight of delimiters that also occur in ordinary cells
_NEED_AGREEMENT = (":", " ")  # only with three columns or more, in all records
_SCORED = 1 << 18  # characters parsed for each candidate
_SEEN = 300  # records that the tests on content look at
_LONGEST_PREAMBLE = 30
_ENOUGH = 3  # records that must agree before they overrule the header's width
_NUMBER = re.compile(r"\s*[-+(]?[$€£]?\s?\d[\d .,'\u00a0]*(?:[eE][-+]?\d+)?\s?[%)€$]?\s*")
_DATE = re.compile(r"\s*\d{1,4}([-/.])\d{1,2}\1\d{1,4}(?:[T ]\d{1,2}:\d{2}.*)?\s*|\s*\d{1,2}:\d{2}(?::\d{2})?\s*")

Record = list[str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """All that is needed to read the records of a text; `start` is the byte (in UTF-8) where the first data record begins."""

    delimiter: str
    escape: str
    cr: bool
    names: tuple[str, ...]
    start: int
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class _Trial:
    """The sample read with one delimiter: records, the number of lines up to the end of each, and how well they fit together."""

    delimiter: str
    escape: str
    records: Sequence[Record]
    lines: Sequence[int]
    width: int
    share: float  # of the records that have `width` fields
    score: float


def detect(text: str, complete: bool, options: ReadOptions, favourite: str | None = None) -> Dialect:
    """The dialect of a text that starts so; `complete` where this is all of it, `favourite` the delimiter that the file name suggests."""
    cr = "\n" not in text and "\r" in text
    lines = _lines(text, cr)
    trial = _best(_first(lines), complete, options.delimiter, favourite)
    skip = _preamble(trial)
    body = [r for r in trial.records[skip:] if r]
    header, why = (options.header, "as asked for") if options.header is not None else has_header(body)
    head = next((i for i in range(skip, len(trial.records)) if trial.records[i]), 0)
    names, decisions = _names(body, trial.width) if header else _numbered(max(trial.width, 1))
    used = trial.lines[head] if header and body else (trial.lines[skip - 1] if skip else 0)
    start = sum(len(line.encode("utf-8")) for line in lines[:used])
    found = (*_told(trial, options, favourite), *_skipped(skip, trial), *(() if header else (Decision("header", "none", why),)))
    return Dialect(trial.delimiter, trial.escape, cr, names, start, (*found, *decisions))


def consistent(text: str) -> bool:
    """Whether a text looks like a table of two columns or more, with one delimiter used alike in nearly all records."""
    trial = _best(_first(_lines(text, "\n" not in text)), False, None, None)
    return trial.width > 1 and trial.share >= 0.8 and len(trial.records) > 1


def _lines(text: str, cr: bool) -> list[str]:
    """Physical lines with their ends."""
    end = "\r" if cr else "\n"
    lines = [line + end for line in text.split(end)]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _first(lines: Sequence[str]) -> Sequence[str]:
    """The lines that are scored: some hundred KB, but twenty lines at least."""
    size = 0
    for count, line in enumerate(lines):
        size += len(line)
        if size > _SCORED and count >= 20:
            return lines[: count + 1]
    return lines


def _parsed(lines: Sequence[str], delimiter: str, escape: str) -> Iterator[tuple[Record, int]]:
    """Records as Python's reader sees them, near enough to the exact scanner to find a dialect, with the lines read so far."""
    calm = [line if "\r" not in line[:-2] else line[:-2].replace("\r", " ") + line[-2:] for line in lines]
    reader = csv.reader(calm, delimiter=delimiter, escapechar=escape or None)
    try:
        for record in reader:
            yield record, reader.line_num
    except csv.Error:  # a field beyond the reader's limit: an unclosed quote, so the rest is taken line by line
        done = reader.line_num
        for count, line in enumerate(calm[done:], done + 1):
            yield line.rstrip("\r\n").split(delimiter), count


def _trial(lines: Sequence[str], complete: bool, delimiter: str, escape: str, favourite: str | None) -> _Trial:
    pairs = list(_parsed(lines, delimiter, escape))
    if len(pairs) > 1 and not complete:
        pairs.pop()
    records = [r for r, _ in pairs]
    widths = Counter(len(r) for r in records if r)
    width = max(widths, key=lambda w: (widths[w] * (1 - 0.5 / w), w), default=1)
    share = widths[width] / max(widths.total(), 1)
    score = share**2 * (1 - 1 / width) * (0.5 + 0.5 * _clean(records, width, delimiter)) * _doubt(records, width, share, delimiter)
    return _Trial(delimiter, escape, records, [n for _, n in pairs], width, share, score * (1.1 if delimiter == favourite else 1.0))


def _clean(records: Sequence[Record], width: int, delimiter: str) -> float:
    """Share of the cells that look like one value: a number, a date, or text without another usual delimiter in it."""
    others = [d for d in (",", ";", "\t", "|") if d != delimiter]
    cells = [c for r in records[:_SEEN] if len(r) == width for c in r[:50]]
    whole = sum(not any(d in c for d in others) or _kind(c) is not None for c in cells)
    return whole / max(len(cells), 1)


def _doubt(records: Sequence[Record], width: int, share: float, delimiter: str) -> float:
    """Less than 1 where the delimiter may be mere text: blanks and colons, or pairs below a header of one field ("name", "Smith, John")."""
    first = next((len(r) for r in records if r), 0)
    if delimiter in _NEED_AGREEMENT and (width < 3 or share < 0.98 or first != width):
        return 0.0
    if width == 2 and first == 1 and [] not in records[1:3]:
        return 0.3
    return _COMMON_IN_TEXT.get(delimiter, 1.0)


def _best(lines: Sequence[str], complete: bool, wanted: str | None, favourite: str | None) -> _Trial:
    escapes = ("", "\\") if any('\\"' in line for line in lines) else ("",)
    candidates = (wanted,) if wanted else tuple(d for d in _CANDIDATES if any(d in line for line in lines[:_SEEN]))
    trials = [_trial(lines, complete, d, e, favourite) for d in candidates for e in escapes]
    best = max(trials, key=lambda t: t.score, default=None)
    if best is not None and (wanted or best.score >= 0.2):
        return best
    if hard := _clever(lines, complete):
        return hard
    return _trial(lines, complete, NO_DELIMITER, "", None)


def _clever(lines: Sequence[str], complete: bool) -> _Trial | None:
    """What CleverCSV makes of a text whose records do not agree under any delimiter; it is slow, so it sees little of it."""
    import clevercsv

    try:
        dialect = clevercsv.Sniffer().sniff("".join(lines)[:8192], delimiters=",;\t|")
    except clevercsv.Error:
        return None
    trial = _trial(lines, complete, dialect.delimiter, "", None) if dialect is not None and dialect.delimiter else None
    return trial if trial is not None and trial.width > 1 and trial.score >= 0.1 else None


def _preamble(trial: _Trial) -> int:
    """How many records at the top are title lines: at most half as wide as the table that follows them, or blank."""
    narrow = max(1, trial.width // 2)
    if trial.width == 2 and [] not in trial.records[1:3]:
        return next((i for i, record in enumerate(trial.records) if record), 0)
    for i, record in enumerate(trial.records[:_LONGEST_PREAMBLE]):
        filled = len([c for c in record if c.strip()])
        if record and (trial.width == 1 or (len(record) > narrow and (filled > narrow or filled == len(record)))):
            return i
    return 0


def _kind(cell: str) -> str | None:
    if _NUMBER.fullmatch(cell):
        return "number"
    return "date" if _DATE.fullmatch(cell) else None


def has_header(records: Sequence[Record]) -> tuple[bool, str]:
    """Whether the first record names the columns; only clear evidence speaks against it."""
    if len(records) < 2:
        return True, ""
    first, body = records[0], records[1:_SEEN]
    typed = {i: k for i in range(len(first)) if (k := _column_kind([r[i] for r in body if i < len(r)])) is not None}
    same = [i for i, kind in typed.items() if _kind(first[i]) == kind]
    if not typed or 2 * len(same) < len(typed) or len(same) == 0 or _are_years(first, same, body):
        return True, ""
    return False, f"the first record holds values like those below it in {len(same)} of {len(typed)} columns of numbers or dates"


def _column_kind(cells: Sequence[str]) -> str | None:
    kinds = Counter(_kind(c) for c in cells if c.strip())
    kind, count = kinds.most_common(1)[0] if kinds else (None, 0)
    return kind if count >= 0.9 * kinds.total() else None


def _are_years(first: Record, columns: Sequence[int], body: Sequence[Record]) -> bool:
    """Whether those cells of the first record are years that name columns of other numbers."""
    years = {first[i].strip() for i in columns}
    if len(years) < len(columns) or not all(re.fullmatch(r"(1[89]|20)\d\d", y) for y in years):
        return False
    below = [r[i].strip() for r in body for i in columns if i < len(r)]
    return sum(bool(re.fullmatch(r"(1[89]|20)\d\d", c)) for c in below) < 0.5 * max(len(below), 1)


def _names(body: Sequence[Record], width: int) -> tuple[tuple[str, ...], tuple[Decision, ...]]:
    """The header's names, made to fit the width of the records below it."""
    names = list(body[0]) if body else [""]
    rows = [r for r in body[1:] if len(r) == width]
    if len(rows) < max(_ENOUGH, 0.9 * len(body[1:])) or len(names) == width:
        return plain_names(names)
    while len(names) > width and not names[-1].strip():
        names.pop()
    missing = width - len(names)
    if missing == 1 and len({r[0] for r in rows}) == len(rows) and any(r[-1] for r in rows):
        names.insert(0, "")  # as R writes tables: row names without a header
    else:
        names += [""] * missing
    return plain_names(names)


def _numbered(width: int) -> tuple[tuple[str, ...], tuple[Decision, ...]]:
    return tuple(f"column_{i + 1}" for i in range(width)), ()


def _told(trial: _Trial, options: ReadOptions, favourite: str | None) -> Iterator[Decision]:
    if options.delimiter is None and trial.delimiter not in (",", favourite):
        evidence = f"{trial.share:.0%} of the first records have {trial.width} fields"
        yield Decision("delimiter", NAMES.get(trial.delimiter, repr(trial.delimiter)), evidence)
    if trial.escape:
        yield Decision("quoting", "backslash before a quote", "records agree better than with doubled quotes")


def _skipped(skip: int, trial: _Trial) -> Iterator[Decision]:
    if skip:
        count = sum(bool(r) for r in trial.records[:skip])
        yield Decision("preamble", f"{trial.lines[skip - 1]} lines left out", f"{count} title records with fewer fields before the header")
