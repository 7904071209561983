"""Writes the report of a run: report.json for programs and report.html for people, from the same facts."""

from __future__ import annotations

import json
import math
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_sanitizer import errors
from data_sanitizer.pipeline import report_counts, report_duplicates, report_findings, report_page
from data_sanitizer.pipeline.report_counts import Group
from data_sanitizer.pipeline.report_examples import cut, example, mask
from data_sanitizer.pipeline.report_rules import rule
from data_sanitizer.pipeline.report_score import ColumnCounts, count_columns, score

SCHEMA = "data-sanitizer.report/1"
ILLUSTRATED = 200  # columns with examples, those with most impact
SHOWN = 3  # examples of each rule in a column
FREQUENT = 8  # most frequent values and patterns of a column
_NUMBER = ("count", "min", "max", "mean", "std", "skew", "quantiles", "histogram")
_DATE = ("format", "min", "max")

Examples = dict[tuple[str | None, str], list[dict[str, Any]]]

summary_html = report_page.summary_html
summary_text = report_page.summary_text


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What only the run itself knows; everything else is read from its finished files.

    Raises DataSanitizerError where the rows do not add up: a report must never say that nothing was lost when something was.
    """

    sources: list[dict[str, Any]]  # name, format, bytes, rows, quarantined, decisions: [{subject, choice, evidence}]
    rows_in: int
    rows_kept: int
    rows_merged: int
    rows_quarantined: int
    columns: list[str]
    profile: dict[str, Any]  # as in profile.json
    recipe: dict[str, Any]  # name, steps: [{step, options}]
    stages: dict[str, float]  # seconds
    versions: dict[str, str]
    started: str  # ISO time
    output: str  # the run directory, as the user named it
    comparison: dict[str, Any] | None = None  # with the delivery before
    dataset: Mapping[str, Any] | None = None  # name, delivery, rows: {seen, new}, entities: {created, merged, split}

    def __post_init__(self) -> None:
        if self.rows_in != self.rows_kept + self.rows_merged + self.rows_quarantined:
            parts = f"{self.rows_kept} kept + {self.rows_merged} merged + {self.rows_quarantined} quarantined"
            raise errors.DataSanitizerError(why=f"{self.rows_in} rows were read, but {parts} do not add up to them")


def write_report(folder: Path, facts: RunFacts) -> dict[str, Any]:
    """Write report.json and report.html into the run directory and return the report; the same facts and files give the same bytes."""
    report = build_report(folder, facts)
    text = json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    (folder / "report.html").write_text(report_page.page_html(report), encoding="utf-8", newline="\n")
    return report


def build_report(folder: Path, facts: RunFacts) -> dict[str, Any]:
    """The report as plain values, with the keys that docs/report.md lists."""
    rows = {"in": facts.rows_in, "kept": facts.rows_kept, "merged": facts.rows_merged, "quarantined": facts.rows_quarantined}
    profile = facts.profile.get("columns") or {}
    groups = report_counts.count_ledger(folder)
    counts = count_columns(facts.columns, profile, rows["in"] - rows["quarantined"], groups)
    copies = report_duplicates.duplicates(folder, facts.profile, facts.recipe)
    issues = report_findings.issues(counts, groups, rows, copies)
    impact = _impacts(issues)
    illustrated = {None, *sorted(counts, key=lambda name: -impact[name])[:ILLUSTRATED]}
    examples = _examples(report_counts.pick_examples(folder, groups), counts, profile, illustrated)
    columns = _columns(counts, profile, groups, examples, impact)
    asked = report_findings.questions(groups, copies, examples)
    personal = report_findings.personal(columns)
    totals = _totals(counts, columns, groups, rows, len(asked), len(personal))
    fills = any(step.get("step") == "fill_missing" for step in facts.recipe.get("steps", []))
    report = {
        "schema": SCHEMA,
        "started": facts.started,
        "output": facts.output,
        "recipe": {"name": facts.recipe.get("name"), "steps": facts.recipe.get("steps", [])},
        "verdict": report_findings.verdict(totals, rows),
        **({"dataset": dict(facts.dataset)} if facts.dataset else {}),
        "rows": rows,
        "totals": totals,
        "score": score(counts, groups, rows, copies["remaining"]),
        "issues": issues[: report_findings.ISSUES],
        "questions": asked,
        "personal_data": personal,
        "columns": columns,
        "rules": _rules(groups),
        "duplicates": copies,
        "quarantine": {"rows": rows["quarantined"], "reasons": report_counts.count_reasons(folder / "quarantine.parquet")},
        "untouched": report_findings.untouched(columns, asked, rows, fills),
        "comparison": facts.comparison,
        "sources": facts.sources,
        "commands": _commands(facts, groups, examples),
        "stages": facts.stages,
        "versions": facts.versions,
    }
    plain: dict[str, Any] = _plain(report)
    return plain


def _plain(value: Any) -> Any:
    """The value without what a JSON file cannot hold: NaN and infinities become null, bytes of a file name that are no text \\x…."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sensitive(counts: ColumnCounts, entry: Mapping[str, Any]) -> str | None:
    kind = entry.get("sensitive")
    return str(kind) if kind else "personal" if counts.sensitive else None


def _examples(
    entries: Sequence[dict[str, Any]], counts: Mapping[str, ColumnCounts], profile: Mapping[str, Any], shown: set[str | None]
) -> Examples:
    """By column and action: the first entries of each rule that show something new; personal ones are masked."""
    found: Examples = defaultdict(list)
    seen: dict[tuple[Any, ...], set[tuple[Any, ...]]] = defaultdict(set)
    for entry in entries:
        name, face = entry["column"], (entry["old"], entry["new"])
        known = seen[name, entry["action"], entry["rule"]]
        if (name not in shown and entry["action"] != "convert") or face in known or len(known) == SHOWN:
            continue
        known.add(face)
        hidden = bool(entry["sensitive"]) or (name in counts and _sensitive(counts[name], profile.get(name) or {}) is not None)
        found[name, entry["action"]].append(example({**entry, "rule": entry["rule"] or "unnamed"}, hidden))
    return found


def _impacts(issues: Sequence[Mapping[str, Any]]) -> dict[str | None, int]:
    impact: dict[str | None, int] = defaultdict(int)
    for issue in issues:
        impact[issue["column"]] += issue["impact"]
    return impact


def _columns(
    counts: Mapping[str, ColumnCounts],
    profile: Mapping[str, Any],
    groups: Sequence[Group],
    examples: Examples,
    impact: Mapping[str | None, int],
) -> list[dict[str, Any]]:
    mine: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        mine[group.column or ""].append(group)
    return [_column(name, counts[name], profile.get(name) or {}, mine[name], examples, impact[name]) for name in counts]


def _column(
    name: str,
    counts: ColumnCounts,
    entry: Mapping[str, Any],
    groups: Sequence[Group],
    examples: Examples,
    impact: int,
) -> dict[str, Any]:
    sensitive = _sensitive(counts, entry)
    changes = examples.get((name, "set"), [])
    conversions = examples.get((name, "convert"), [])
    return {
        "name": name,
        "kind": entry.get("kind"),
        "dtype": entry.get("dtype"),
        "sensitive": sensitive,
        "rows": counts.rows,
        "missing": counts.missing,
        "missing_after": counts.missing_after,
        "changed": counts.changed,
        "filled": counts.filled,
        "flagged": counts.flagged,
        "flagged_whole": counts.wide_flags > 0,
        "impact": impact,
        "quality": counts.quality(),
        "rules": _rules(groups),
        "conversion": _conversion(conversions) if any(g.action == "convert" for g in groups) else None,
        "notes": [e["evidence"] for e in examples.get((name, "flag"), []) if e["row"] is None and e["evidence"]],
        "examples": changes,
        "statistics": _statistics(entry, sensitive is not None),
    }


def _conversion(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = entries[0]
    return {"rule": first["rule"], "from": first["before"], "to": first["after"], "evidence": first["evidence"]}


def _statistics(entry: Mapping[str, Any], hidden: bool) -> dict[str, Any]:
    """What the profile knows about the column; nothing that quotes a cell where the column is personal."""
    quoting = {
        "number": _fields(entry.get("number"), _NUMBER),
        "date": _fields(entry.get("date"), _DATE),
        "frequent": [[cut(str(value)), count] for value, count in (entry.get("frequent") or [])[:FREQUENT]],
    }
    patterns = [(str(form), count) for form, count in entry.get("patterns") or []]
    return {
        "distinct": entry.get("distinct"),
        "unique": entry.get("unique"),
        "candidate_key": entry.get("candidate_key"),
        "null_tokens": entry.get("null_tokens") or {},
        "shapes": entry.get("shapes") or {},
        "lengths": entry.get("lengths"),
        "patterns": [[cut(mask(form) if hidden and not _is_form(form) else form), count] for form, count in patterns[:FREQUENT]],
        **({"number": None, "date": None, "frequent": []} if hidden else quoting),
    }


def _is_form(pattern: str) -> bool:
    """Whether a pattern says only which kinds of characters stand where, so that it quotes nobody."""
    return all(sign in "Aa9" or not sign.isalnum() for sign in pattern)


def _fields(entry: Mapping[str, Any] | None, names: Sequence[str]) -> dict[str, Any] | None:
    return {name: entry.get(name) for name in names} if entry else None


def _rules(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """What each rule did in these groups; a cell changed by several rules counts for each of them."""
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        for name in group.rules:
            one = found.setdefault(name, _empty_rule(name))
            one["changed"] += group.entries if group.action == "set" else 0
            one["flagged"] += group.cells if group.action == "flag" else 0
            one["flagged_columns"] += group.wide if group.action == "flag" else 0
            one["converted"] += group.entries if group.action == "convert" else 0
            one["rows"] += group.entries if group.action in ("remove", "quarantine") else 0
            one["entries"] += group.entries
            one["sum"] += group.confidence_sum
            known = [c for c in (one["confidence_min"], group.confidence_min) if c is not None]
            one["confidence_min"] = round(min(known), 4) if known else None
    for one in found.values():
        one["confidence_mean"] = round(one.pop("sum") / one.pop("entries") / report_counts.CONFIDENCE_UNIT, 4)
    return sorted(found.values(), key=lambda one: (-one["changed"] - one["flagged"] - one["rows"], one["rule"]))


def _empty_rule(name: str) -> dict[str, Any]:
    known = rule(name)
    start = {"changed": 0, "flagged": 0, "flagged_columns": 0, "converted": 0, "rows": 0, "entries": 0, "sum": 0}
    return {"rule": name, "label": known.label, "help": known.help, **start, "confidence_min": None, "confidence_mean": None}


def _totals(
    counts: Mapping[str, ColumnCounts],
    columns: Sequence[Mapping[str, Any]],
    groups: Sequence[Group],
    rows: Mapping[str, int],
    questions: int,
    personal: int,
) -> dict[str, int]:
    flags = [g for g in groups if g.action == "flag"]
    return {
        "rows_in": rows["in"],
        "rows_out": rows["kept"],
        "columns": len(columns),
        "cells": (rows["in"] - rows["quarantined"]) * len(columns),
        "cells_changed": sum(g.entries for g in groups if g.action == "set"),
        "cells_flagged": sum(g.cells for g in flags),
        "columns_changed": sum(1 for c in columns if c["changed"] or c["conversion"]),
        "columns_converted": sum(1 for c in columns if c["conversion"]),
        "missing_found": sum(c.missing for c in counts.values()),
        "missing_filled": sum(g.filled for g in groups),
        "duplicates_merged": rows["merged"],
        "outliers_flagged": sum(g.cells for g in flags if "outliers" in g.rules),
        "personal_columns": personal,
        "questions": questions,
    }


def _commands(facts: RunFacts, groups: Sequence[Group], examples: Examples) -> list[dict[str, str]]:
    """Commands that can be copied: check the run, ask about a cell, take a rule back, do it all again."""
    inputs = " ".join(shlex.quote(str(source["name"])) for source in facts.sources)
    run = shlex.quote(facts.output)
    undone = shlex.quote(facts.output.rstrip("/") + "-undone")
    changes = sorted(
        (g for g in groups if g.action == "set" and examples.get((g.column, "set"))), key=lambda g: (-g.entries, g.column, g.rules)
    )
    found = [("Check that input + ledger = output, and back", f"data-sanitizer verify {run} {inputs}")]
    if changes:
        row = examples[changes[0].column, "set"][0]["row"]
        column = shlex.quote(str(changes[0].column))
        undo = f"data-sanitizer undo {run}"
        found += [
            ("Ask why a cell is what it is (row number, column)", f"data-sanitizer explain {run} {row} {column}"),
            ("Take back one rule everywhere", f"{undo} --rule {shlex.quote(changes[0].rules[0])} -o {undone}"),
            ("Take back everything in one column", f"{undo} --column {column} -o {undone}"),
        ]
    again = shlex.quote(facts.output.rstrip("/") + "-again")
    recipe = shlex.quote(str(facts.recipe.get("name") or "careful"))
    found.append(("Do the same again: same input, same recipe, same bytes", f"data-sanitizer clean {inputs} -o {again} --recipe {recipe}"))
    return [{"purpose": purpose, "command": command} for purpose, command in found]
