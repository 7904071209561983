"""Numbers by their quantiles: whether the distribution moved, and whether a unit explains it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any, Final

from data_sanitizer.comparison.difference import Difference, figure, percent
from data_sanitizer.comparison.noise import rank_noise

LEAST: Final = 0.1  # the distance between two distributions that counts as a shift
_SKETCH: Final = 0.01  # quantiles are known to 0.4 %: closer ones count as equal
_SAME: Final = 0.05  # the distance up to which a scaled distribution counts as the other one, where noise is smaller
_NEAR: Final = 0.03  # how near to a known factor one must be, relatively, to bear its name
_LARGE: Final = math.log(1.9)  # a smaller factor that no unit explains may be a price rise, or a shift

_FACTORS: Final = {
    10.0: "ten times, as millimetres for centimetres",
    100.0: "a hundred times, as cents for euros or percents for shares",
    1000.0: "a thousand times, as grams for kilograms or metres for kilometres",
    1e6: "a million times",
    1e9: "a thousand million times",
    1024.0: "1024 times, as kilobytes for megabytes",
    60.0: "sixty times, as seconds for minutes or minutes for hours",
    3600.0: "3600 times, as seconds for hours",
    24.0: "24 times, as hours for days",
    7.0: "seven times, as days for weeks",
    12.0: "twelve times, as months for years or pieces for dozens",
    0.45359237: "as kilograms for pounds",
    28.349523125: "as grams for ounces",
    2.54: "as centimetres for inches",
    0.3048: "as metres for feet",
    0.9144: "as metres for yards",
    1.609344: "as kilometres for miles",
    3.785411784: "as litres for US gallons",
    4.54609: "as litres for imperial gallons",
    4.184: "as kilojoules for kilocalories",
    6.894757: "as kilopascals for pounds per square inch",
    57.29577951: "as degrees for radians",
}
_SHIFTED: Final = (
    (1.8, 32.0, "as Fahrenheit for Celsius"),
    (1 / 1.8, -32 / 1.8, "as Celsius for Fahrenheit"),
    (1.0, 273.15, "as kelvin for Celsius"),
    (1.0, -273.15, "as Celsius for kelvin"),
)
Ranks = list[tuple[float, float]]  # (share of the numbers, the number that so many do not exceed), ascending


def compared(column: str, old: Mapping[str, Any], new: Mapping[str, Any], hidden: bool) -> Iterator[Difference]:
    """Units changed, or the distribution shifted; `hidden`: the column is personal, no number is quoted."""
    before, now = ranks(old), ranks(new)
    noise = rank_noise(count(old), count(new))
    shift = distance(before, now)
    if shift < max(LEAST, noise):
        return
    if unit := _unit(before, now, noise):
        yield Difference("units", column, unit)
        return
    middle = "" if hidden else f"; the middle was {figure(_middle(before))} and is {figure(_middle(now))}"
    yield Difference("distribution", column, f"at least {percent(shift)} of the numbers lie elsewhere{middle}")


def agree(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two columns hold the same numbers, as far as quantiles tell; both need enough of them to tell."""
    before, now = ranks(old), ranks(new)
    noise = rank_noise(count(old), count(new))
    return noise <= 2 * LEAST and len({x for _, x in before}) > 2 and distance(before, now) < max(_SAME, noise / 2)


def ranks(entry: Mapping[str, Any]) -> Ranks:
    """The quantiles of a column."""
    told = (entry.get("number") or {}).get("quantiles") or {}
    return sorted((float(q), float(x)) for q, x in told.items() if x is not None)


def count(entry: Mapping[str, Any]) -> int:
    """How many numbers a column has."""
    return int((entry.get("number") or {}).get("count") or 0)


def distance(old: Ranks, new: Ranks) -> float:
    """A lower bound of the Kolmogorov distance: where a share q lies below y in one, and a share p > q at or below x < y in the other,
    the two distributions differ by p - q at x.
    """
    return max(_bound(old, new), _bound(new, old))


def _bound(lower: Ranks, higher: Ranks) -> float:
    return max((p - q for q, y in higher for p, x in lower if p > q and _above(y, x)), default=0.0)


def _above(y: float, x: float) -> bool:
    return y - x > _SKETCH * max(abs(x), abs(y))


def _unit(old: Ranks, new: Ranks, noise: float) -> str | None:
    """The factor, or the change of scale, that leads from one distribution to the other; None where none does."""
    most = max(_SAME, noise / 2)
    for factor, summand, words in _SHIFTED:
        if _varied(old) and distance([(q, factor * x + summand) for q, x in old], new) < most:
            return f"every quantile is what it was in another unit, {words}"
    ratio = _ratio(old, new)
    return _scaled(old, new, ratio, most) if ratio is not None and _varied(old) else None


def _scaled(old: Ranks, new: Ranks, factor: float, most: float) -> str | None:
    """One factor for all quantiles: one that a unit explains, or a large one."""
    known = {**_FACTORS, **{1 / f: f"a part: before {w}" for f, w in _FACTORS.items()}}
    nearest = min(known, key=lambda f: abs(math.log(factor / f)))
    if abs(math.log(factor / nearest)) < _NEAR and distance([(q, nearest * x) for q, x in old], new) < most:
        return f"every quantile is {figure(nearest)} times what it was ({known[nearest]})"
    if abs(math.log(factor)) > _LARGE and distance(sorted((q, factor * x) for q, x in old), new) < most:
        return f"every quantile is about {figure(factor)} times what it was"
    return None


def _ratio(old: Ranks, new: Ranks) -> float | None:
    after = dict(new)
    ratios = [after[q] / x for q, x in old if q in after and x * after[q] > 0]
    return median(ratios) if len(ratios) >= 3 else None


def _varied(ranks_: Ranks) -> bool:
    """Numbers that are all alike, or of two kinds, have no scale."""
    return len({x for _, x in ranks_}) > 3


def _middle(ranks_: Ranks) -> float:
    return min(ranks_, key=lambda r: abs(r[0] - 0.5))[1]
