"""What became of every line of a delimited text: the records that are odd, and the count of physical lines by kind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.formats import _delimiters
from data_sanitizer.formats._dialect import Dialect, count_lines
from data_sanitizer.formats._facts import BLANK, END, FIELDS, FORM, KEPT, LINES, OPEN, START, STRAY
from data_sanitizer.formats._values import kind
from data_sanitizer.model import Decision, RowIssue

KINDS = ("skipped", "preamble", "header", "row", "blank", "footer", "quarantined")
_REMARK = ord("#")
_AGAIN = 3  # records that fit, one after the other, end another table
_MOST_HEADERS_SOUGHT = 1000  # odd records that are looked at as the header of another table
Facts = NDArray[np.int64]
_Sorted = tuple[NDArray[np.uint64], NDArray[np.bool_], tuple[RowIssue, ...], tuple[RowIssue, ...]]


class Tally:
    """What one pass meets, as far as it has come."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect, self._cols = dialect, len(dialect.names)
        self.records = self.other_encoding = self._blank_lines = 0
        self._lines = dict.fromkeys(KINDS, 0) | dict(dialect.above)
        self._sought = 0
        self._other = 0  # fields of the records of another table that goes on here, 0 for none
        self._fitting = 0  # records since the last odd one

    @property
    def has_titles(self) -> bool:
        """Whether titles stand above the table, as in the export of a sheet."""
        return self._dialect.above["preamble"] > 0

    def regular(self, data: bytes, records: int) -> NDArray[np.uint64]:
        """Takes note of a piece without odd records; gives their numbers."""
        self._fitting += records
        self._lines["row"] += count_lines(data, self._dialect.signs.cr)
        return self._numbers(records)

    def odd(self, data: bytes, facts: Facts, again: NDArray[np.bool_]) -> _Sorted:
        """Takes note of a piece with odd records, of which some written ones are the header `again`: the numbers of those written, which of
        them are kept, what is set aside, and what is flagged."""
        blank = facts[:, FIELDS] == BLANK
        self._blank_lines += int(facts[blank, LINES].sum())
        self._lines["blank"] += int(facts[blank, LINES].sum())
        facts = facts[~blank]
        first = self.records
        rows, kept = self._numbers(len(facts)), facts[:, KEPT] == 1
        written = kept.copy()
        kept[np.flatnonzero(written)[again]] = False
        quarantined: list[RowIssue] = []
        flagged: list[RowIssue] = []
        for i, reason in self._judged(data, facts, kept, kept < written):
            text = data[facts[i, START] : facts[i, END]].decode("utf-8").rstrip("\r\n")
            (flagged if kept[i] else quarantined).append(RowIssue(first + i, reason, text))
        self._lines["row"] += int(facts[kept, LINES].sum())
        self._lines["quarantined"] += int(facts[~kept, LINES].sum())
        return rows[written], kept[written], tuple(quarantined), tuple(flagged)

    def footer(self, note: RowIssue) -> RowIssue:
        """Takes note that a flagged row is a note below the table; gives the reason to set it aside."""
        lines = count_lines(note.text.encode("utf-8"), self._dialect.signs.cr) + 1  # its last line end is not in it
        self._lines["row"] -= lines
        self._lines["footer"] += lines
        return RowIssue(note.row, "a note below the table", note.text)

    def below(self, empty: int) -> None:
        """Takes note that the last rows are empty: lines of delimiters below the table."""
        self._lines["row"] -= empty
        self._lines["blank"] += empty
        self._blank_lines += empty
        self.records -= empty

    def decisions(self) -> Iterator[Decision]:
        """What the whole file showed, the account of its lines last."""
        if self._blank_lines:
            yield Decision("blank lines", f"{self._blank_lines} left out", "a line without content is not a record")
        if self.other_encoding:
            yield Decision("encoding", f"{self.other_encoding} lines read as cp1252", "the file is UTF-8, but these lines are not")
        if self._lines["footer"]:
            yield Decision("footer", f"{self._lines['footer']} lines set aside", "single fields below a table of several columns")
        parts = ", ".join(f"{count} {what}" for what, count in self._lines.items() if count)
        yield Decision("lines", f"{sum(self._lines.values())} in all", parts)

    def _numbers(self, count: int) -> NDArray[np.uint64]:
        first, self.records = self.records, self.records + count
        return np.arange(first, self.records, dtype=np.uint64)

    def _judged(self, data: bytes, facts: Facts, kept: NDArray[np.bool_], again: NDArray[np.bool_]) -> Iterator[tuple[int, str]]:
        """Each odd record with the reason; `kept` becomes false for those that belong to another table."""
        last = -1
        for i in np.flatnonzero((facts[:, FIELDS] != self._cols) | (facts[:, FORM] >= STRAY) | again).tolist():
            self._fitting += i - last - 1
            last = i
            other = "the header again" if again[i] else self._of_another_table(data, facts[i])
            kept[i] = kept[i] and not other
            yield i, other or _reason(int(facts[i, FIELDS]), int(facts[i, FORM]), self._cols)
            self._fitting = 0
        self._fitting += len(facts) - last - 1

    def _of_another_table(self, data: bytes, fact: NDArray[np.int64]) -> str:
        """Why a record is none of this table, empty where it may be: header or row of another one, or a remark."""
        if self._fitting >= _AGAIN:
            self._other = 0
        if self._dialect.layout.remarks and fact[FIELDS] != self._cols and data[fact[START]] == _REMARK:
            return "a remark, as above the table"
        if self._other and fact[FIELDS] > 1:
            return "a row of another table below the first"
        fields = int(fact[FIELDS])
        if fields != self._cols and fields > 1 and self._sought < _MOST_HEADERS_SOUGHT and self._is_header(data[fact[START] : fact[END]]):
            self._other = fields
            return "the header of another table below the first"
        return ""

    def _is_header(self, text: bytes) -> bool:
        """Whether a record has names where this table has values: no number or date, and text in two columns of them, or its own names."""
        self._sought += 1
        record = _delimiters.split(text, self._dialect.signs)[0][0]
        if len(set(record)) < len(record) or not all(map(str.strip, record)) or any(kind(c) for c in record):
            return False
        typed = sum(k is not None for k in self._dialect.layout.kinds[: len(record)])
        return typed >= 2 or 2 * len(set(record) & set(self._dialect.layout.labels or ())) > len(record)


def _reason(fields: int, form: int, cols: int) -> str:
    reasons = [f"{fields} fields where the header has {cols}"] if fields != cols else []
    if form == OPEN:
        reasons.append("a quote opens and is never closed")
    elif form == STRAY:
        reasons.append("a quote stands inside a quoted field")
    return "; ".join(reasons)
