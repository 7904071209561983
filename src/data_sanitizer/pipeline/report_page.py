"""Draws the report: a page that works offline and without scripts, a short form for notebooks, and a few lines for the terminal."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from data_sanitizer.pipeline import report_matches
from data_sanitizer.pipeline.report_examples import cut
from data_sanitizer.pipeline.report_rules import PARTS

if TYPE_CHECKING:
    from jinja2 import Environment

LIMIT = 1_900_000  # bytes of the page: 2 MB with some room
SIZES = ((40, 1_000), (12, 1_000), (3, 400), (0, 100), (0, 0))  # columns shown in detail and in the list: the first that fits
SUMMARY_ISSUES = 6

_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
_SIGNS = {"\t": "→", "\n": "↵", "\r": "↵", "\u00a0": "⍽", "\u202f": "⍽", "\u3000": "⍽"}
_TYPES = {"Int": "a whole number", "UInt": "a whole number", "Float": "a decimal number", "Decimal": "a decimal number"}
_TYPES |= {"Bool": "true or false", "Datetime": "a date and time", "Date": "a date", "Time": "a time of day", "String": "text"}
_FORMLESS = ("Cc", "Cf", "Co", "Cn", "Zl", "Zp")  # Unicode categories of what cannot be seen
_FLOW_HEIGHT = 120  # pixels that stand for all rows read
_FLOW_SLOT = 50  # pixels that the label of one band needs


def page_html(report: Mapping[str, Any]) -> str:
    """The whole page, at most 2 MB: where a table is too wide, the columns with the least impact are listed, not drawn."""
    html = ""
    for detailed, listed in SIZES:
        html = _page(report, detailed, listed)
        if len(html.encode()) <= LIMIT:
            break
    return html


def summary_html(report: Mapping[str, Any]) -> str:
    """A fragment for notebooks, under 100 KB: the verdict, the score, the tiles and the top issues."""
    template = templates().get_template("report_summary.html.j2")
    return template.render(r=report, title=_title(report), tiles=_tiles(report), issues=report["issues"][:SUMMARY_ISSUES])


def summary_text(report: Mapping[str, Any]) -> str:
    """About a dozen lines for a terminal; control characters in names are shown, not sent."""
    rows, totals, score = report["rows"], report["totals"], report["score"]
    lines = [
        report["verdict"],
        "",
        f"  rows       {rows['in']:,} read = {rows['kept']:,} kept + {rows['merged']:,} merged + {rows['quarantined']:,} set aside",
        *_delivery(report),
        f"  cells      {totals['cells_changed']:,} of {totals['cells']:,} changed, {totals['missing_filled']:,} missing filled",
        f"  questions  {totals['questions']:,} ({totals['cells_flagged']:,} cells flagged and left as they are)",
        f"  personal   {totals['personal_columns']:,} of {totals['columns']:,} columns hold personal data",
        f"  score      {_score(score['before']['score'])} → {_score(score['after']['score'])} of 100",
    ]
    for issue in report["issues"][:3]:
        where = f" in {cut(issue['column'], 40)}" if issue["column"] is not None else ""
        lines.append(f"  · {issue['title']}{where}: {issue['rows']:,} {'row' if issue['rows'] == 1 else 'rows'}, {issue['done']}")
    lines += ["", f"  report     {report['output']}/report.html", *_check(report)]
    return "\n".join(visible(line) for line in lines)


def _delivery(report: Mapping[str, Any]) -> list[str]:
    if (told := report.get("dataset")) is None:
        return []
    rows = told["rows"]
    return [f"  delivery   {told['delivery']:,} of {cut(told['name'], 40)}: {rows['seen']:,} rows seen before, {rows['new']:,} new"]


def _check(report: Mapping[str, Any]) -> list[str]:
    return [f"  check it   {cut(report['commands'][0]['command'], 200)}"] if report["commands"] else []


def _page(report: Mapping[str, Any], detailed: int, listed: int) -> str:
    by_impact = sorted(enumerate(report["columns"]), key=lambda pair: (-pair[1]["impact"], -pair[1]["changed"], pair[0]))
    cards = [(number, column, _chart(column)) for number, column in by_impact[:detailed]]
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            r=report,
            title=_title(report),
            tiles=_tiles(report),
            flow=_flow(report["rows"]),
            parts=[(part, report["score"]["before"][part], report["score"]["after"][part]) for part in PARTS],
            cards=cards,
            opened=_opened(cards),
            carded={number for number, _, _ in cards},
            listed=list(enumerate(report["columns"]))[:listed],
            identifying=report_matches.identifying(report["duplicates"]["identifying"]),
            waterfalls=[report_matches.waterfall(match) for match in report["duplicates"]["matches"]],
        )
    )


def _opened(cards: Sequence[tuple[int, Mapping[str, Any], Any]]) -> set[int]:
    """The columns whose cards stand open: all of a small table, else the two first that have a change to show."""
    telling = [number for number, column, _ in cards if column["examples"]] if len(cards) > 3 else []
    return set((telling or [number for number, _, _ in cards])[: 2 if telling else 3])


@cache
def templates() -> Environment:
    """The templates of all pages, with what they write numbers and texts by."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("data_sanitizer.pipeline", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finished,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"n": _count, "figure": _figure, "share": _share, "score": _score, "pieces": _pieces}
    environment.filters.update(filters, cut=cut, when=_when, size=_bytes, type=_type, bar=_bar)
    return environment


def _title(report: Mapping[str, Any]) -> str:
    names = [str(source["name"]).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] for source in report["sources"]]
    return (cut(names[0], 80) if names else "table") + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def _tiles(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The six figures: number, what it counts, a remark, and the place on the page that says more."""
    totals, copies = report["totals"], report["duplicates"]
    kinds = f"{copies['exact']['removed']:,} exact, {copies['near']['removed']:,} near"
    return [
        (f"{totals['rows_in']:,} → {totals['rows_out']:,}", "rows in and out", f"{totals['columns']:,} columns", "rows"),
        (f"{totals['cells_changed']:,}", "cells changed", f"of {totals['cells']:,} cells", "columns"),
        (f"{totals['missing_filled']:,}", "missing values filled", f"of {totals['missing_found']:,} found", "untouched"),
        (f"{totals['duplicates_merged']:,}", "duplicates merged", kinds, "duplicates"),
        (f"{totals['outliers_flagged']:,}", "outliers flagged", "left as they are", "questions"),
        (f"{totals['personal_columns']:,}", "columns with personal data", "masked on this page", "personal"),
    ]


def _flow(rows: Mapping[str, int]) -> dict[str, Any]:
    """The bands from the rows read to where they went: thickness is the share of rows, at least 3 pixels where there is any."""
    bands, left, right = [], 0.0, 0.0
    for key, label, where in (
        ("kept", "kept", "in the cleaned table"),
        ("merged", "merged", "into the row they repeat"),
        ("quarantined", "set aside", "whole, with the reason"),
    ):
        thick = max(3.0, _FLOW_HEIGHT * rows[key] / rows["in"]) if rows[key] else 0.0
        slot = max(thick, _FLOW_SLOT)
        top = right + (slot - thick) / 2
        path = f"M0 {left:.1f}C50 {left:.1f} 50 {top:.1f} 100 {top:.1f}v{thick:.1f}"
        path += f"C50 {top + thick:.1f} 50 {left + thick:.1f} 0 {left + thick:.1f}z"
        words = {"key": key, "label": label, "where": where, "rows": rows[key]}
        bands.append({**words, "path": path, "top": round(right), "slot": round(slot)})
        left, right = left + thick, right + slot + 6
    return {"bands": bands, "height": math.ceil(right), "source": f"{left:.1f}"}


def _chart(column: Mapping[str, Any]) -> dict[str, Any] | None:
    """What can be drawn of a column: a histogram of its numbers, or bars of its most frequent values."""
    statistics = column["statistics"]
    number = statistics["number"] or {}
    bins = [b for b in number.get("histogram") or [] if None not in b]
    top = max((b[2] for b in bins), default=0)
    if top:
        low, high = bins[0][0], bins[-1][1]
        span = (high - low) or 1
        bars = [_histogram_bar((b[0] - low) / span, (b[1] - low) / span, b[2] / top) for b in bins]
        below = " and less" if _beyond(low, number["min"]) else ""
        above = " and more" if _beyond(number["max"], high) else ""
        ends = (_figure(low) + below, _figure(high) + above)
        return {"kind": "histogram", "path": "".join(bars), "ends": ends, "bins": len(bins)}
    frequent = statistics["frequent"]
    if frequent and (frequent[0][1] > 1 or len(frequent) == 1):
        most = max(count for _, count in frequent)
        return {"kind": "values", "bars": [(value, count, round(100 * count / most, 1)) for value, count in frequent]}
    return None


def _beyond(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and a > b


def _histogram_bar(left: float, right: float, share: float) -> str:
    if not share:
        return ""
    height = max(1.0, 60 * share)
    width = max(0.5, 300 * (right - left) - 0.8)
    return f"M{300 * left:.1f} 60v-{height:.1f}h{width:.1f}V60z"


def _bar(quality: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """Where the parts of a quality bar begin and how wide they are, of 100; a part that is there is never too thin to see."""
    total = sum(quality.values())
    if not total:
        return []
    thin = {key: max(1.5, 100 * quality[key] / total) if quality[key] else 0.0 for key in ("missing", "problem")}
    valid = max(0.0, 100 - sum(thin.values()))
    scale = 100 / (valid + sum(thin.values()))
    found, start = [], 0.0
    for key, width in (("valid", valid), *thin.items()):
        if width:
            found.append((key, round(start, 2), round(width * scale, 2)))
            start += width * scale
    return found


def _pieces(text: str, marks: Sequence[Sequence[int]]) -> list[tuple[str, bool]]:
    """The text in turn as unchanged and changed pieces, with signs for what cannot be seen."""
    found, at = [], 0
    for start, end in marks:
        found += [(visible(text[at:start]), False), (visible(text[start:end]).replace(" ", "·"), True)]
        at = end
    return [piece for piece in [*found, (visible(text[at:]), False)] if piece[0]]


def visible(text: str) -> str:
    """The text with a sign for every character that has no form of its own or changes the direction of reading."""
    if text.isprintable():
        return text
    return "".join(_SIGNS.get(sign) or (f"⟨{ord(sign):04X}⟩" if unicodedata.category(sign) in _FORMLESS else sign) for sign in text)


def _finished(value: object) -> object:
    """What the page writes for a value: text with signs for what cannot be seen; what is markup already stays as it is."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _type(name: str | None) -> str | None:
    """A type of the program in plain words."""
    return next((words for start, words in _TYPES.items() if name and name.startswith(start)), name)


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,}"


def _figure(value: object) -> str:
    """A number with at most six significant digits; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 1e15):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.4g}"
    return f"{int(value):,}"


def _share(value: float | None) -> str:
    """A share in percent, rounded down, so that only all is 100 %; and only none is 0 %."""
    if value is None:
        return "–"
    return "< 0.01 %" if 0 < value < 0.0001 else f"{math.floor(round(value * 10_000, 4)) / 100:g} %"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _when(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = time.tzname() or ""
    return f"{time.day} {_MONTHS[time.month - 1]} {time.year}, {time:%H:%M} {zone}".strip()


def _bytes(value: float | None) -> str:
    if value is None:
        return "–"
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"
