"""Draws the report of a pilot: one page that works offline and without scripts, and a few lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_sanitizer.pipeline.report_page import templates, visible

_STATES = {True: "met", False: "missed", None: "not measured"}
_NO_SHARE = "–"


def page(pilot: Mapping[str, Any]) -> str:
    """The whole page; no cell of a table is on it."""
    runs = [(run, _measures(run)) for run in pilot["runs"]]
    return templates().get_template("pilot.html.j2").render(p=pilot, runs=runs)


def text(pilot: Mapping[str, Any]) -> str:
    """The measures for a terminal, run by run."""
    return "\n".join(visible(line) for run in pilot["runs"] for line in _lines(run))


def _lines(run: Mapping[str, Any]) -> Iterator[str]:
    rows, score = run["rows"], ["–" if value is None else f"{value:.1f}" for value in run["score"]]
    yield f"{run['run']}: {rows['in']:,} rows, score {score[0]} → {score[1]} of 100"
    for name, value, goal, state, how in _measures(run):
        yield f"  {name:<28} {value:<16} goal {goal:<16} {state}{f' ({how})' if how else ''}"
    yield f"  cells repaired               {sum(one['changed'] for one in run['repairs']):,}"
    yield f"  rows bad, rows asked about   {run['records']['bad']:,}, {run['records']['asked']:,}"
    if run["return"]:
        yield f"  net a month                  {run['return']['net']:,.2f}"


def _measures(run: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """For each measure its name, value, goal, whether that was met, and how it was come by."""
    truth, guess, rate = run["duplicates"]["truth"], run["duplicates"]["estimate"], run["speed"]["rows_an_hour"]
    states = {name: _STATES[met] for name, met in run["goals"].items()}
    if truth:
        how = f"{truth['pairs_true']:,} true pairs, {truth['pairs_merged']:,} merged, {truth['pairs_right']:,} of them right"
        found = ("duplicates found", _percent(truth["found"]), "more than 90 %", states["found"], how)
        false = ("share false", _percent(truth["false"]), "less than 5 %", states["false"], "of merged pairs, by the truth file")
    else:
        seen = "estimate by confidence: merged, of the duplicates it saw; those it did not see are unknown"
        found = ("duplicates found", _percent(guess["merged_of_seen"]), "more than 90 %", states["found"], seen)
        expected = "estimate by confidence: merged rows expected to be none"
        false = ("share false", _percent(guess["false"]), "less than 5 %", states["false"], expected)
    speed = f"{run['speed']['seconds']:,.1f} s on the machine that ran it"
    return [found, false, ("rows an hour", "–" if rate is None else f"{rate:,}", "10,000,000", states["rows_an_hour"], speed)]


def _percent(share: float | None) -> str:
    return _NO_SHARE if share is None else f"{share:.2%}"
