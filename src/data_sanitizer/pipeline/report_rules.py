"""What the report says about a rule: its plain name, which part of the quality score it belongs to, and how much it matters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from data_sanitizer import extensions

PARTS = ("completeness", "validity", "consistency", "uniqueness")


@dataclass(frozen=True, slots=True)
class Rule:
    """The words for one rule; `severity` is 1 (cosmetic), 2 (can mislead) or 3 (breaks a calculation or a join)."""

    label: str
    part: str | None  # of PARTS; None where the rule says nothing about quality
    severity: int
    help: str = ""


_RULES = {
    "fix_encoding": Rule("Garbled characters", "validity", 3),
    "normalize_unicode": Rule("Invisible or look-alike characters", "consistency", 2),
    "trim_blanks": Rule("Stray blanks", "consistency", 1),
    "null_tokens": Rule("Words that mean “missing”", "consistency", 2),
    "booleans": Rule("Mixed ways to write yes and no", "validity", 2),
    "numbers": Rule("Numbers in mixed notation", "validity", 3),
    "dates": Rule("Dates in mixed or impossible notation", "validity", 3),
    "category_spelling": Rule("One category in several spellings", "consistency", 2),
    "category_typos": Rule("Likely misspelt categories", "consistency", 2),
    "dependencies": Rule("Values that contradict another column", "consistency", 3),
    "outliers": Rule("Values far from all others", "validity", 2),
    "cap_outliers": Rule("Extreme values", "validity", 2),
    "fill_missing": Rule("Missing values", "completeness", 2),
    "flag_personal_data": Rule("Personal data", None, 2, "Columns that hold personal data are named, not changed."),
    "mask_personal_data": Rule("Personal data", None, 2),
    "exact_duplicate": Rule("Exact duplicates", "uniqueness", 3, "Rows that say the same in every column after cleaning."),
    "near_duplicate": Rule("Near-duplicates", "uniqueness", 3, "Rows that very probably describe one entity."),
    "golden_record": Rule("Missing values known from a duplicate", "completeness", 2, "Filled from rows that were merged into this one."),
    "reader": Rule("Records that were hard to read", "validity", 3, "What the reader noticed while it read the file."),
}


@cache
def rule(name: str) -> Rule:
    """The words for a rule; one that this page has never met gets its own name and counts towards validity."""
    known = _RULES.get(name) or Rule(name.replace("_", " ").strip().capitalize() or "Unnamed rule", "validity", 2)
    if known.help or name not in extensions.names("steps"):
        return known
    return Rule(known.label, known.part, known.severity, extensions.summary("steps", name))


def parts(names: tuple[str, ...]) -> list[str]:
    """The parts of the score that a change made by these rules together belongs to, each once."""
    found = {rule(name).part for name in names}
    return [part for part in PARTS if part in found]
