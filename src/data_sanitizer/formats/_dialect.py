"""How a delimited text is written and where its table stands, from its first records; every finding is a decision with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from data_sanitizer.formats import _delimiters, _layout
from data_sanitizer.formats._delimiters import NAMES, NO_DELIMITER, Signs, Trial
from data_sanitizer.formats._layout import has_header
from data_sanitizer.model import Decision, ReadOptions

__all__ = ["NO_DELIMITER", "Dialect", "consistent", "detect", "has_header"]

_STUDIED = 1 << 18  # bytes read for the layout


@dataclass(frozen=True, slots=True)
class Dialect:
    """All that is needed to read the records of a text; `start` is the byte (in UTF-8) where the first data record begins."""

    signs: Signs
    line_end: str  # crlf, lf or cr: the usual one
    layout: _layout.Layout
    start: int
    above: Mapping[str, int]  # physical lines before `start` by kind
    decisions: tuple[Decision, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return self.layout.names

    @property
    def delimiter(self) -> str:
        """The sign between fields."""
        return self.signs.delimiter

    @property
    def quote(self) -> str:
        """The sign around fields, empty for none."""
        return self.signs.quote

    @property
    def escape(self) -> str:
        """The sign that takes the meaning from the one after it, empty for none."""
        return self.signs.escape


def detect(data: bytes, complete: bool, options: ReadOptions, favourite: str | None = None) -> Dialect:
    """The dialect of a text in UTF-8 that starts so; `complete` where this is all of it, `favourite` the delimiter its name suggests."""
    skipped = _lines_end(data, options.skip_lines or 0)
    trial = _delimiters.find(data[skipped:], complete, options, favourite)
    studied = _studied(data[skipped:])
    cut = not complete or len(studied) < len(data) - skipped
    records = _records(studied, trial.signs, cut)
    layout = _layout.find([r for r, _ in records], None if options.header is None else int(options.header))
    used = layout.titles + layout.header
    start = skipped + (records[used - 1][1] if used else 0)
    above = _above(data, skipped, records[:used], layout.titles, trial.signs.cr)
    ends = _line_ends(studied, trial.signs.cr)
    told = (*_told_signs(trial, options, favourite), *_told_ends(ends), *_told_above(above), *layout.decisions)
    return Dialect(trial.signs, max(ends, key=lambda e: ends[e]), layout, min(start, len(data)), above, told)


def consistent(text: str) -> bool:
    """Whether a text looks like a table of two columns or more, with one delimiter used alike in nearly all records."""
    trial = _delimiters.find(text.encode("utf-8", errors="replace"), False, ReadOptions())
    return trial.width > 1 and trial.share >= 0.8 and len(trial.records) > 1


def _records(data: bytes, signs: Signs, cut: bool) -> list[tuple[_layout.Record, int]]:
    """The first records; a second look, with the width known, finds opening quotes that are text."""
    records = _delimiters.split(data, signs)
    if len(records) > 1 and cut:
        records.pop()
    width = _layout.table_width([r for r, _ in records])
    if width > 1 and signs.quote and signs.quote.encode() in data:
        again = _delimiters.split(data, signs, width)[: len(records)]
        records = [(record if any(map(str.strip, record)) else [], end) for record, end in again]
    return records


def _studied(data: bytes) -> bytes:
    if len(data) <= _STUDIED:
        return data
    return data[: data.rfind(b"\n" if b"\n" in data else b"\r", 0, _STUDIED) + 1 or len(data)]


def _lines_end(data: bytes, lines: int) -> int:
    """The byte after so many physical lines."""
    end, sign = 0, b"\n" if b"\n" in data else b"\r"
    for _ in range(lines):
        end = data.find(sign, end) + 1 or len(data)
    return end


def count_lines(data: bytes, cr: bool) -> int:
    """Physical lines in whole lines of text."""
    lines = data.count(b"\n")
    return lines + data.count(b"\r") - data.count(b"\r\n") if cr else lines


def _above(data: bytes, skipped: int, records: Sequence[tuple[_layout.Record, int]], titles: int, cr: bool) -> dict[str, int]:
    """Physical lines before the first data record, by what they are."""
    above = dict.fromkeys(("skipped", "preamble", "header", "blank"), 0)
    above["skipped"] = count_lines(data[:skipped], cr or b"\n" not in data)
    begin = 0
    for i, (record, end) in enumerate(records):
        what = "blank" if not record else "preamble" if i < titles else "header"
        span = data[skipped + begin : skipped + end]
        above[what] += count_lines(span, cr) + (not span.endswith((b"\n", b"\r") if cr else b"\n"))
        begin = end
    return above


def _line_ends(data: bytes, cr: bool) -> dict[str, int]:
    both = data.count(b"\r\n")
    return {"crlf": both, "lf": data.count(b"\n") - both, "cr": data.count(b"\r") - both if cr else 0}


def _told_signs(trial: Trial, options: ReadOptions, favourite: str | None) -> Iterator[Decision]:
    signs, agreed = trial.signs, f"{trial.share:.0%} of the first records have {trial.width} fields"
    if signs.delimiter not in (",", favourite) or options.delimiter:
        yield Decision("delimiter", NAMES.get(signs.delimiter, repr(signs.delimiter)), "as asked for" if options.delimiter else agreed)
    if signs.quote != '"' or options.quote:
        yield Decision("quote", NAMES.get(signs.quote, repr(signs.quote)), "as asked for" if options.quote is not None else agreed)
    if signs.escape:
        why = "as asked for" if options.escape else "records agree better than with doubled quotes"
        yield Decision("quoting", f"{NAMES.get(signs.escape, repr(signs.escape))} before a quote", why)
    if signs.blanks:
        yield Decision("blanks", "those before a field belong to its delimiter", "quoted fields begin after them")


def _told_ends(ends: Mapping[str, int]) -> Iterator[Decision]:
    used = {end: count for end, count in ends.items() if count}
    if len(used) > 1:
        yield Decision("line ends", "mixed", ", ".join(f"{count} {end.upper()}" for end, count in used.items()) + " in the first part")
    elif used.get("cr"):
        yield Decision("line ends", "CR", "there is no LF")


def _told_above(above: Mapping[str, int]) -> Iterator[Decision]:
    if above["skipped"]:
        yield Decision("skipped lines", str(above["skipped"]), "as asked for")
    if above["preamble"]:
        yield Decision("preamble", f"{above['preamble']} lines left out", "titles or notes with fewer fields before the header")
