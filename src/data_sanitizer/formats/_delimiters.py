"""The signs of a delimited text (delimiter, quote, escape, line end), found by reading its first records with each candidate.

Tables tell themselves apart from mere text by two things: records have equally many fields, and fields hold one value each. How well a
reading does both is its score; the best reading wins. The idea is that of van den Burg, Nazábal and Sutton, "Wrangling messy CSV files by
detecting row and type patterns" (2019).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, islice

from data_sanitizer.formats._values import kind
from data_sanitizer.model import ReadOptions

NO_DELIMITER = "\x1f"  # stands for "one column": the unit separator, which ordinary text does not contain
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", " ": "space", ":": "colon", NO_DELIMITER: "none (one column)"}
NAMES |= {'"': "double quote", "'": "single quote", "": "none", "\\": "backslash", "\0": "NUL"}
_USUAL = (",", ";", "\t", "|")
_WEIGHT = {",": 1.0, ";": 1.0, "\t": 1.0, "|": 1.0, "\x1f": 1.0, "\x01": 1.0, "^": 0.9, "~": 0.9, "#": 0.6, ":": 0.5, " ": 0.5}
_NEED_AGREEMENT = (":", " ", "#")  # they occur in ordinary cells: only with three columns or more, in nearly all records
_SCORED = 1 << 16  # bytes read with each candidate
_LONGEST_PREAMBLE = 30
_SEEN = 300  # records that the tests on content look at

_COMMENTS = re.compile(rb"\A(?:[ \t]*(?:#[^\r\n]*)?[\r\n]+)+")

Record = list[str]


@dataclass(frozen=True, slots=True)
class Signs:
    """How fields and records are marked off; `quote` and `escape` are empty where there is none."""

    delimiter: str
    quote: str = '"'
    escape: str = ""
    blanks: bool = False  # blanks before a field belong to its delimiter
    cr: bool = False  # a CR without LF ends a record


@dataclass(frozen=True, slots=True)
class Trial:
    """The first records read with some signs, and how well they fit together."""

    signs: Signs
    records: Sequence[Record]
    width: int
    share: float  # of the records that have `width` fields
    score: float


def find(data: bytes, complete: bool, options: ReadOptions, favourite: str | None = None) -> Trial:
    """The signs of a text in UTF-8 that starts so; `complete` where this is all of it, `favourite` the delimiter its name suggests."""
    data = _first(_below_comments(data))
    best = max(_trials(data, complete, list(_candidates(data, options)), favourite), key=lambda t: t.score, default=None)
    if best is not None and (options.delimiter or best.score >= 0.2):
        return best
    signs = Signs(NO_DELIMITER, '"' if options.quote is None else options.quote, options.escape or "", cr=_lone_cr(data)[0])
    alone = _trial(split(data, signs), data, complete, signs, None)
    return _clever(data, complete, alone) or alone


def _trials(data: bytes, complete: bool, candidates: Sequence[Signs], favourite: str | None) -> list[Trial]:
    """A trial of each candidate; where one reads all as it should be, others under which quotes stand wrong are left out."""
    plain = {s: r for s in candidates if (r := _plainly(data, s)) is not None}
    trials = {s: _trial(r, data, complete, s, favourite) for s, r in plain.items()}
    found = [s.delimiter for s, t in trials.items() if t.share >= 0.98 and t.score >= 0.4]
    for signs in candidates:
        if signs not in trials and (not found or signs.delimiter in found):
            trials[signs] = _trial(split(data, signs), data, complete, signs, favourite)
    return [trials[s] for s in candidates if s in trials]


def split(data: bytes, signs: Signs, cols: int = 0) -> list[tuple[Record, int]]:
    """Records with all their fields and the byte where each ends; a line without content is an empty record."""
    if (found := _plainly(data, signs)) is not None:
        return found
    from data_sanitizer.formats import _facts, _rewriting

    plain, facts = _rewriting.rewritten(_ended(data, signs), rules(signs, cols), True)
    rows = _rows(plain.decode("utf-8", errors="replace"), signs.delimiter)
    return [(next(rows) if kept else [], end) for end, kept in facts[:, (_facts.END, _facts.KEPT)].tolist()]


def _ended(data: bytes, signs: Signs) -> bytes:
    return data if data.endswith((b"\n", b"\r") if signs.cr else b"\n") else data + b"\n"


def _plainly(data: bytes, signs: Signs) -> list[tuple[Record, int]] | None:
    """What `split` gives where no more than quotes in their right places is in sight, else None."""
    if signs.cr or signs.blanks or signs.escape:
        return None
    data = _ended(data, signs)
    if not signs.quote or signs.quote.encode() not in data:
        return list(_simply(data, signs.delimiter))
    return _strictly(data, signs) if data.count(b"\r") == data.count(b"\r\n") else None


def rules(signs: Signs, cols: int) -> _records.Rules:  # type: ignore[name-defined]  # noqa: F821
    """The signs in the form that the scanners take; `cols` 0 where the number of fields is not known."""
    from data_sanitizer.formats import _records

    quote = ord(signs.quote) if signs.quote else _records.NO_QUOTE
    escape = ord(signs.escape) if signs.escape else -1
    return _records.Rules(ord(signs.delimiter), quote, escape, signs.cr, signs.blanks, cols, _records.FIELD_LIMIT)


def _simply(data: bytes, delimiter: str) -> Iterator[tuple[Record, int]]:
    """Records where no quote is in sight."""
    end = 0
    for line in data.split(b"\n")[:-1]:
        end += len(line) + 1
        record = line.removesuffix(b"\r").decode("utf-8", errors="replace").split(delimiter)
        yield record if any(record) and (len(record) > 1 or record[0].strip()) else [], end


def _strictly(data: bytes, signs: Signs) -> list[tuple[Record, int]] | None:
    """Records where every quote stands where quotes belong, else None: then only the exact scanner, which takes seconds to compile on a
    machine that has not seen it, reads them rightly."""
    lines = data.decode("utf-8", errors="replace").split("\n")[:-1]
    ends = list(accumulate(len(line) + 1 for line in data.split(b"\n")[:-1]))
    reader = csv.reader((line + "\n" for line in lines), delimiter=signs.delimiter, quotechar=signs.quote, strict=True)
    found = []
    try:
        for record in reader:
            quoted = signs.quote in lines[reader.line_num - 1]  # `""` is an empty text, which is content
            filled = quoted or (any(record) and (len(record) > 1 or record[0].strip() != ""))
            found.append((record if filled else [], ends[reader.line_num - 1]))
    except csv.Error:
        return None
    return found


@cache
def _cell(delimiter: str) -> re.Pattern[str]:
    return re.compile(r'"((?:[^"]+|"")*)"([%s\n])|([^%s\n]*)([%s\n])' % ((re.escape(delimiter),) * 3))


def _rows(plain: str, delimiter: str) -> Iterator[Record]:
    """The records of a text in plain quoting."""
    record: Record = []
    for quoted, after, bare, end in _cell(delimiter).findall(plain):
        record.append(quoted.replace('""', '"') if after else bare)
        if (after or end) == "\n":
            yield record
            record = []


def _first(data: bytes) -> bytes:
    """The lines that are scored: some ten KB, but twenty lines at least."""
    if len(data) <= _SCORED:
        return data
    end, sign = _SCORED, b"\n" if b"\n" in data else b"\r"
    for _ in range(max(0, 20 - data.count(sign, 0, end))):
        end = data.find(sign, end) + 1 or len(data)
    return data[: data.rfind(sign, 0, end) + 1 or len(data)]


def _below_comments(data: bytes) -> bytes:
    """The text below the lines at its top that begin with #, if there is any."""
    rest = _COMMENTS.sub(b"", data, 1)
    return rest if rest.strip() else data


def _lone_cr(data: bytes) -> tuple[bool, ...]:
    """Whether a CR without LF may end records: always where there is no LF, perhaps where a third of the line ends are such."""
    lone = data.count(b"\r") - data.count(b"\r\n")
    if b"\n" not in data:
        return (lone > 0,)
    return (False, True) if lone > 1 and 2 * lone >= data.count(b"\n") else (False,)


def _candidates(data: bytes, options: ReadOptions) -> Iterator[Signs]:
    """Every combination of signs that the text gives reason to try, or that was asked for; the first wins where all read equally well."""
    for delimiter in (options.delimiter,) if options.delimiter else _WEIGHT:
        if delimiter.encode() not in data and not options.delimiter:
            continue
        for quote in _quotes(data, delimiter) if options.quote is None else (options.quote,):
            for escape in _escapes(data, delimiter, quote) if options.escape is None else (options.escape,):
                blanks = _blanks(data, delimiter, quote)
                yield from (Signs(delimiter, quote, escape, blanks, cr) for cr in _lone_cr(data))


@cache
def _edges(delimiter: str, quote: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Quotes that open a field, and quotes that close one; a pair of quotes alone is no evidence, nor is one that is all of its field."""
    sign, mark = re.escape(delimiter).encode(), re.escape(quote).encode()
    blanks = b"" if delimiter == " " else b" *"
    opening = re.compile(b"(?:^|[\r\n]|(?<=%s))%s%s(?!%s|%s(?:$|[\r\n]|%s))" % (sign, blanks, mark, mark, blanks, sign))
    return opening, re.compile(b"%s%s(?=$|[\r\n]|%s)" % (mark, blanks, sign))


def _at_edges(data: bytes, delimiter: str, quote: str) -> int:
    """How many quotes open a field, or close one, whichever are fewer."""
    opening, closing = _edges(delimiter, quote)
    return min(len(opening.findall(data)), len(closing.findall(data)))


def _quotes(data: bytes, delimiter: str) -> Iterator[str]:
    """Double quotes; single ones where most of them open and close fields, and more fields than double ones do."""
    if b"'" in data:
        fields = _at_edges(data, delimiter, "'")
        if fields >= 2 and 3 * fields >= data.count(b"'") - 2 * data.count(b"''") and fields > _at_edges(data, delimiter, '"'):
            yield "'"
    yield '"'


def _escapes(data: bytes, delimiter: str, quote: str) -> Iterator[str]:
    """Signs that stand before a quote within a field, none, and signs that stand before a delimiter; the first wins where all read equally
    well."""
    before_quote = [sign for sign in ("\\", "\0") if quote and _within(delimiter, quote, sign).search(data)]
    yield from before_quote
    yield ""
    yield from (sign for sign in ("\\", "\0") if sign not in before_quote and (sign + delimiter).encode() in data)


@cache
def _within(delimiter: str, quote: str, sign: str) -> re.Pattern[bytes]:
    """An escaped quote that neither closes its field nor is doubled, so that the sign before it is no text."""
    mark = re.escape(quote).encode()
    return re.compile(b"%s%s(?![%s%s\r\n]|$)" % (re.escape(sign).encode(), mark, mark, re.escape(delimiter).encode()))


def _blanks(data: bytes, delimiter: str, quote: str) -> bool:
    """Whether blanks belong to the delimiter: fields are quoted after them, and most delimiters have one."""
    spaced = data.count((delimiter + " ").encode())
    if delimiter == " " or not quote or 2 * spaced < data.count(delimiter.encode()):
        return False
    sign, mark = re.escape(delimiter).encode(), re.escape(quote).encode()
    return len(re.findall(b"%s +%s[^%s\r\n]*%s *(?=%s|[\r\n])" % (sign, mark, mark, mark, sign), data)) >= 3


def _trial(found: Sequence[tuple[Record, int]], data: bytes, complete: bool, signs: Signs, favourite: str | None) -> Trial:
    records = [r for r, _ in found]
    if len(records) > 1 and not complete:
        records.pop()
    filled = [r for r in records if r]
    width, table = _best_table(filled, signs.delimiter, _spaced(data, signs.delimiter))
    share = sum(len(r) == width for r in table) / max(len(table), 1)
    fits = (0.5 + 0.5 * _clean(table, width, signs)) * _doubt(
        filled if signs.delimiter in _NEED_AGREEMENT else table, width, share, data, signs
    )
    score = share**2 * (1 - 1 / width) * fits * (len(table) / max(len(filled), 1)) ** 0.5
    if signs.delimiter in _NEED_AGREEMENT and _quotes_tell(data, signs):
        score = max(score, 0.2)
    return Trial(signs, records, width, share, score * (1.1 if signs.delimiter == favourite else 1.0))


def _best_table(records: Sequence[Record], delimiter: str, spaced: bool) -> tuple[int, Sequence[Record]]:
    """The most frequent number of fields, and the records without the notes above the first of them."""
    widths = Counter(len(r) for r in records)
    width = max(widths, key=lambda w: (widths[w] * (1 - 0.5 / w), w), default=1)
    first = next((i for i, r in enumerate(records) if len(r) == width), 0)
    notes = first <= _LONGEST_PREAMBLE and all(_is_note(r, width, delimiter, spaced) for r in records[:first])
    return width, records[first if notes else 0 :]


def _is_note(record: Record, width: int, delimiter: str, spaced: bool) -> bool:
    """Whether a record above the table is prose: a comment, or few fields without another delimiter that no blank follows."""
    if record[0].startswith("#"):
        return True
    others = "".join(d for d in _USUAL if d != delimiter)
    return 2 * len(record) <= width and not (width == 2 and spaced) and not re.search(f"[{re.escape(others)}](?! )", " ".join(record))


def _spaced(data: bytes, delimiter: str) -> bool:
    """Whether most delimiters are followed by a blank, as commas in prose are."""
    return 2 * data.count((delimiter + " ").encode()) > data.count(delimiter.encode())


def _clean(records: Sequence[Record], width: int, signs: Signs) -> float:
    """Share of the cells that look like one value: a number, a date, or text without another usual delimiter in it or quotes around it."""
    others = [d for d in _USUAL if d != signs.delimiter]
    cells = [c for r in islice((r for r in records if len(r) == width), _SEEN) for c in r[:50]]
    whole = sum(not (any(d in c for d in others) or _is_quoted(c)) or kind(c) is not None for c in cells)
    return whole / max(len(cells), 1)


def _is_quoted(cell: str) -> bool:
    bare = cell.strip()
    return len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'"


def _doubt(records: Sequence[Record], width: int, share: float, data: bytes, signs: Signs) -> float:
    """Less than 1 where the delimiter may be mere text: blanks and colons, or pairs below a header of one field ("name", "Smith, John")."""
    first = len(records[0]) if records else 0
    if signs.delimiter in _NEED_AGREEMENT and (width < 3 or share < 0.98 or first != width or _are_values(records, signs.delimiter)):
        return 0.0
    weight = _WEIGHT.get(signs.delimiter, 1.0)
    if first == width:
        return weight
    if width > 2:
        return 0.8 * weight
    return (0.3 if _spaced(data, signs.delimiter) else 0.8) * weight


def _are_values(records: Sequence[Record], delimiter: str) -> bool:
    """Whether most lines are one value as they stand, such as a time."""
    whole = [kind(delimiter.join(r)) for r in records[1:_SEEN]]
    return 2 * sum(k is not None for k in whole) > len(whole)


def _quotes_tell(data: bytes, signs: Signs) -> bool:
    """Whether quotes stand where this delimiter makes fields, and hardly anywhere else."""
    if not signs.quote:
        return False
    sign, mark = signs.delimiter.encode(), signs.quote.encode()
    within = data.count(sign + mark) + data.count(mark + sign)
    other = any(data.count(d.encode() + mark) + data.count(mark + d.encode()) for d in _USUAL if d != signs.delimiter)
    return within >= 4 and not other and within >= 0.8 * data.count(mark)


def _clever(data: bytes, complete: bool, alone: Trial) -> Trial | None:
    """What CleverCSV makes of a text whose records do not agree under any delimiter; it is slow, so it sees little of it."""
    import clevercsv

    try:
        dialect = clevercsv.Sniffer().sniff(data[:8192].decode("utf-8", errors="ignore"), delimiters=",;\t|")
    except clevercsv.Error:
        return None
    if dialect is None or not dialect.delimiter:
        return None
    signs = replace(alone.signs, delimiter=dialect.delimiter)
    trial = _trial(split(data, signs), data, complete, signs, None)
    return trial if trial.width > 1 and trial.score >= 0.1 else None
