"""Turns counts into sentences: the verdict, the issues by impact, the questions, and what was left alone and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data_sanitizer.pipeline.report_counts import Group
from data_sanitizer.pipeline.report_rules import rule
from data_sanitizer.pipeline.report_score import ColumnCounts

ISSUES = 100  # listed in report.json
NAMED = 12  # columns named in one line
_DONE = {"fill_missing": "filled", "cap_outliers": "capped", "mask_personal_data": "masked"}  # anything else is repaired
_TOLD_ELSEWHERE = (("flag_personal_data", "flagged"), ("fill_missing", "flagged"))  # as personal data, as missing values
_FIXED_KINDS = {"identifier", "id", "code", "key", "phone", "postcode", "postal_code", "zip"}
_WORD_KINDS = {"text", "name", "free_text", "string"}


def verdict(totals: Mapping[str, int], rows: Mapping[str, int]) -> str:
    """What happened to the table, in one or two plain sentences."""
    done = [
        _amount(totals["cells_changed"], "cell was", "cells were") + " changed" if totals["cells_changed"] else "",
        _amount(rows["merged"], "duplicate row", "duplicate rows") + " merged" if rows["merged"] else "",
        _amount(rows["quarantined"], "row", "rows") + " set aside" if rows["quarantined"] else "",
    ]
    said = [text for text in done if text]
    asked = totals["questions"]
    if not said and not totals["columns_converted"]:
        calm = "Nothing in this table had to be changed"
        return f"{calm}, and nothing needs your eyes." if not asked else f"{calm}; {_waiting(asked)}."
    converted = totals["columns_converted"]
    said += [_amount(converted, "column was", "columns were") + " given a proper type"] if converted else []
    first = ", ".join(said[:-1]) + (" and " if len(said) > 1 else "") + said[-1] + "."
    return first + (f" {_waiting(asked).capitalize()}." if asked else " Nothing needs your eyes.")


def _waiting(questions: int) -> str:
    return _amount(questions, "question waits", "questions wait") + " for you"


def _amount(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def issues(
    counts: Mapping[str, ColumnCounts], groups: Sequence[Group], rows: Mapping[str, int], copies: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What was wrong, by impact = rows affected × severity, with what was done about it."""
    found = [*_table_issues(rows, copies), *_rule_issues(counts, groups), *_missing_issues(counts)]
    return sorted(found, key=lambda i: (-i["impact"], i["title"], i["column"] or "", i["done"]))


def _issue(title: str, column: str | None, rule_name: str | None, rows: int, severity: int, done: str) -> dict[str, Any]:
    return {
        "title": title,
        "column": column,
        "rule": rule_name,
        "rows": rows,
        "severity": severity,
        "impact": rows * severity,
        "done": done,
    }


def _table_issues(rows: Mapping[str, int], copies: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    if rows["quarantined"]:
        yield _issue("Records that could not be read", None, "reader", rows["quarantined"], 3, "set aside")
    for kind in ("exact", "near"):
        known = rule(f"{kind}_duplicate")
        for decision, done in (("removed", "merged"), ("review", "flagged")):
            if copies[kind][decision]:
                yield _issue(known.label, None, f"{kind}_duplicate", copies[kind][decision], known.severity, done)


def _rule_issues(counts: Mapping[str, ColumnCounts], groups: Sequence[Group]) -> Iterable[dict[str, Any]]:
    affected: dict[tuple[str | None, str, str], int] = {}
    for group in groups:
        if group.action not in ("set", "flag"):
            continue
        column_counts = counts.get(group.column or "")
        values = column_counts.rows - column_counts.missing if column_counts else 0
        for name in group.rules:
            done = _DONE.get(name, "repaired") if group.action == "set" else "flagged"
            if rule(name).part == "uniqueness" or (name, done) in _TOLD_ELSEWHERE:
                continue
            key = (group.column, name, done)
            affected[key] = affected.get(key, 0) + group.cells + (values if group.wide else 0)
    for (column, name, done), rows in affected.items():
        if rows:
            yield _issue(rule(name).label, column, name, rows, rule(name).severity, done)


def _missing_issues(counts: Mapping[str, ColumnCounts]) -> Iterable[dict[str, Any]]:
    for name, column in counts.items():
        if column.missing_after:
            yield _issue("Missing values", name, None, column.missing_after, 1, "left alone")


def questions(groups: Sequence[Group], copies: Mapping[str, Any], examples: Mapping[Any, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Everything that was flagged and not changed, one entry for each column and rule, the weightiest first."""
    found: dict[tuple[str | None, str], dict[str, Any]] = {}
    for group in groups:
        for name in group.rules if group.action == "flag" else ():
            if (name, "flagged") not in _TOLD_ELSEWHERE:
                asked = found.setdefault((group.column, name), _question(group.column, name))
                asked["cells"] += group.cells
                asked["whole_column"] |= group.wide > 0
                asked["examples"] += [e for e in examples.get((group.column, "flag"), []) if name in e["rule"].split("+")]
    waiting = copies["near"]["review"] + copies["exact"]["review"]
    if waiting and (None, "near_duplicate") not in found:
        asked = found.setdefault((None, "near_duplicate"), _question(None, "near_duplicate"))
        asked["cells"] = waiting
    return sorted(found.values(), key=_weight)


def _question(column: str | None, name: str) -> dict[str, Any]:
    known = rule(name)
    return {
        "column": column,
        "rule": name,
        "label": known.label,
        "help": known.help,
        "cells": 0,
        "whole_column": False,
        "severity": known.severity,
        "examples": [],
    }


def _weight(asked: Mapping[str, Any]) -> tuple[Any, ...]:
    return (not asked["whole_column"], -asked["cells"] * asked["severity"], asked["column"] or "", asked["rule"])


def personal(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The columns that hold personal data, and whether they were masked in the output."""
    found = []
    for column in columns:
        if column["sensitive"]:
            masked = any(r["rule"] == "mask_personal_data" and r["changed"] for r in column["rules"])
            cells = column["rows"] - column["missing"]
            found.append({"column": column["name"], "kind": column["sensitive"], "cells": cells, "masked_in_output": masked})
    return found


def untouched(
    columns: Sequence[Mapping[str, Any]], asked: Sequence[Mapping[str, Any]], rows: Mapping[str, int], fills: bool
) -> list[dict[str, Any]]:
    """What stayed as it was although something could have been done to it, and why; then the columns without any change."""
    missing = [c for c in columns if c["missing_after"]]
    doubtful = [q for q in asked if q["column"] is not None and q["cells"]]
    unsure = [c["name"] for c in columns if c["flagged_whole"]]
    review = sum(q["cells"] for q in asked if q["rule"] == "near_duplicate")
    found = [
        _left("Missing values", sum(c["missing_after"] for c in missing), "cells", _why_missing(fills), [c["name"] for c in missing]),
        _left(
            "Suspicious values",
            sum(q["cells"] for q in doubtful),
            "cells",
            "The evidence was not clear enough to change them, so they stay as they are and are asked about.",
            list(dict.fromkeys(q["column"] for q in doubtful)),
        ),
        _left(
            "Whole columns in doubt",
            len(unsure),
            "columns",
            "All their values can be read in more than one way, so none was changed.",
            unsure,
        ),
        _left("Possible duplicates", review, "rows", "They are alike but may be two different things, so every row is kept.", []),
        _left(
            "Records that could not be read",
            rows["quarantined"],
            "rows",
            "They are kept whole, with the reason, in quarantine.parquet, and nothing was guessed from them.",
            [],
        ),
        *_unchanged(columns),
    ]
    return [item for item in found if item["count"]]


def _why_missing(fills: bool) -> str:
    if fills:
        return "Nothing in the table says reliably what stands there, or the value is personal: the column's own notes tell which."
    return "This recipe never invents a value. The recipe “complete” fills them and says how sure it is."


def _unchanged(columns: Sequence[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    still = [c for c in columns if not (c["changed"] or c["conversion"] or c["flagged"] or c["flagged_whole"])]
    fixed = [c["name"] for c in still if c["kind"] in _FIXED_KINDS]
    words = [c["name"] for c in still if c["kind"] in _WORD_KINDS]
    rest = [c["name"] for c in still if c["kind"] not in _FIXED_KINDS | _WORD_KINDS]
    why = "An identifier, a code, a phone number or a postcode is never read as a number: its leading zeros are part of it."
    yield _left("Identifiers and codes", len(fixed), "columns", why, fixed)
    yield _left("Text", len(words), "columns", "Wording, accents and spelling in free text belong to whoever wrote them.", words)
    yield _left("Columns without a finding to repair", len(rest), "columns", "All rows were looked at; nothing was provably wrong.", rest)


def _left(what: str, count: int, unit: str, why: str, names: list[str]) -> dict[str, Any]:
    return {"what": what, "count": count, "unit": unit, "why": why, "columns": names[:NAMED], "more_columns": max(0, len(names) - NAMED)}
