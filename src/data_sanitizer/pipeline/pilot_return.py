"""What cleaning returns in money: one formula, from figures that the reader gives and can change."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

FORMULA: Final = (
    "by hand  = rows × bad share × minutes ÷ 60 × cost of an hour",
    "asked    = rows × asked share × minutes ÷ 60 × cost of an hour",
    "net      = by hand − asked − price          (a month)",
    "return   = net ÷ (asked + price)",
    "payback  = set-up cost ÷ net                (months)",
)


@dataclass(frozen=True, slots=True)
class Outlay:
    """What the work costs its owner. Money is in one currency, whichever; shares are between 0 and 1."""

    rows: float  # a month
    hour: float  # what an hour of work costs
    minutes: float  # by hand for a bad record, and to answer a question
    price: float = 0.0  # of the software and its machines, a month
    setup: float = 0.0  # once


def returned(outlay: Outlay, bad: float, asked: float) -> dict[str, Any]:
    """What is saved a month where `bad` of the rows need a repair and `asked` of them a decision; null where a quotient has no meaning.

    >>> told = returned(Outlay(rows=60_000, hour=30, minutes=2, price=400, setup=1700), bad=0.01, asked=0.001)
    >>> told["by_hand"], told["asked"], told["net"], told["return"], told["payback_months"]
    (600.0, 60.0, 140.0, 0.304, 12.1)
    """
    one = outlay.minutes / 60 * outlay.hour
    by_hand, answers = outlay.rows * bad * one, outlay.rows * asked * one
    net, spent = by_hand - answers - outlay.price, answers + outlay.price
    return {
        **{name: float(value) for name, value in asdict(outlay).items()},
        "bad_share": bad,
        "asked_share": asked,
        "by_hand": round(by_hand, 2),
        "asked": round(answers, 2),
        "net": round(net, 2),
        "return": round(net / spent, 3) if spent else None,
        "payback_months": round(outlay.setup / net, 1) if net > 0 else None,
        "formula": list(FORMULA),
    }


def told(found: dict[str, Any]) -> str:
    """The result for a terminal: the formula, the figures in it, and what comes out."""
    gain = "has no meaning without cost" if found["return"] is None else f"{found['return']:.1%}"
    back = "never: nothing is saved" if found["payback_months"] is None else f"{found['payback_months']:,} months"
    lines = [
        *found["formula"], "",
        f"rows a month     {found['rows']:,.0f}, of which {found['bad_share']:.3%} are bad and {found['asked_share']:.3%} are asked about",
        f"an hour costs    {found['hour']:,.2f}; a record takes {found['minutes']:g} minutes",
        f"by hand          {found['by_hand']:,.2f} a month",
        f"asked            {found['asked']:,.2f} a month",
        f"price            {found['price']:,.2f} a month",
        f"net              {found['net']:,.2f} a month",
        f"return           {gain}",
        f"payback          {back}",
    ]  # fmt: skip
    return "\n".join(lines)
