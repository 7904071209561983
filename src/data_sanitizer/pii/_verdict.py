"""The verdict on a column: which kind of personal data it holds, from its distinct values and its name."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal, NamedTuple

import polars as pl

from data_sanitizer.extensions import names
from data_sanitizer.pii._detector import detector, matches

ENOUGH = 1_000  # distinct values that decide: a share of 0.8 is then known to within 0.03, and a phone column takes 0.05 s
NAMED_SHARE = 0.5  # where the name of the column says so, half of the cells is enough
NO_VALUE = ("n/a", "na", "nan", "null", "none", "nil", "unknown", "not available", "not applicable", "missing")
# A name that ends so is about the thing (phone_id, card_type, mobile_users), it does not hold it.
ABOUT = frozenset(
    {"id", "ids", "count", "counts", "code", "codes", "type", "types", "flag", "status", "total", "sum", "users", "sessions"}
    | {"visits", "views", "clicks", "model", "brand"}
)

Hint = Literal["for", "against", "silent"]


class Verdict(NamedTuple):
    """What a column holds: the detector's name, the share of its cells (0 to 1), and the evidence in words without any value."""

    kind: str
    share: float
    evidence: str


def verdict(column: str, values: pl.Series, counts: pl.Series | None = None) -> Verdict | None:
    """The kind of personal data that this column holds, or None.

    `values` are text, `counts` how many cells hold each. Shapes that other data share, such as bare digits, count only where the
    name of the column names the kind; elsewhere nearly all cells must have a form that speaks for itself.
    """
    cells = _thin(speaking(values, counts))
    judged = [(hint(name, column), _judge(name, column, cells)) for name in names("pii")]
    found = [(said != "for", -one.share, one) for said, one in judged if one]
    return min(found)[2] if found else None


def speaking(values: pl.Series, counts: pl.Series | None) -> pl.DataFrame:
    """The distinct values that say something, ascending, with how many cells hold each (columns `value`, `count`)."""
    weights = pl.Series([1]).new_from_index(0, len(values)) if counts is None else counts
    table = pl.DataFrame({"value": values.cast(pl.String).str.strip_chars(), "count": weights.cast(pl.Int64)})
    said = pl.col("value").str.contains(r"[\pL\pN]") & ~pl.col("value").str.to_lowercase().is_in(NO_VALUE)
    return table.filter(said).group_by("value").agg(pl.col("count").sum()).sort("value")


def _thin(cells: pl.DataFrame) -> pl.DataFrame:
    return cells.gather_every(-(-cells.height // ENOUGH)) if cells.height > ENOUGH else cells


def _judge(name: str, column: str, cells: pl.DataFrame) -> Verdict | None:
    kind = detector(name)
    said = hint(name, column)
    if said == "against" or cells.is_empty():
        return None
    named = said == "for"
    hits = matches(name, cells["value"], sure=not named)
    share = float(cells["count"].filter(hits).sum()) / float(cells["count"].sum())
    if share < (NAMED_SHARE if named else kind.share) or hits.sum() < (1 if named else kind.distinct):
        return None
    because = ", and the name of the column says so" if named else ""
    return Verdict(name, round(share, 4), f"{kind.noun} in {int(share * 100)} % of {cells['count'].sum():,} sampled cells{because}")


@lru_cache(1024)
def hint(name: str, column: str) -> Hint:
    """What the name of a column says about a kind, named as its detector."""
    kind, words = detector(name), _words(column)
    if any(_says(words, word) for word in kind.context) and words[-1] not in ABOUT:
        return "for"
    return "against" if any(_says(words, word) for word in kind.against) else "silent"


def _says(words: list[str], word: str) -> bool:
    wanted = " ".join(_words(word))
    if f" {wanted} " in f" {' '.join(words)} ":
        return True
    # Long words, and scripts without blanks, also inside compounds: Telefonnummer, emailaddress; short ones not: "tel" is in "hotel".
    return (len(wanted) >= 5 or not wanted.isascii()) and any(wanted.replace(" ", "") in one for one in words)


def _words(column: str) -> list[str]:
    """A column name as plain lower-case words: "HomePhone_No" gives home, phone, no; accents are dropped."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", column[:512])
    plain = "".join(c for c in unicodedata.normalize("NFKD", apart.casefold()) if not unicodedata.combining(c))
    return re.findall(r"[^\W_]+", plain)
