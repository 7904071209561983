"""Compares what is delivered with the delivery before, and stops what its contract does not allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_sanitizer import contract_rows
from data_sanitizer.comparison import compare
from data_sanitizer.comparison.contract import Contract, judged, line
from data_sanitizer.errors import ContractBroken, RecipeError
from data_sanitizer.ports import Reading
from data_sanitizer.recipe import Recipe

_NAMED = 5  # differences that an error names; the rest is counted


@dataclass(frozen=True, slots=True)
class Before:
    """The delivery before: what it is called, and the content of its profile.json."""

    name: str
    profile: Mapping[str, Any]


def held(readings: Sequence[Reading], allowed: contract_rows.Rules) -> list[Reading]:
    """The inputs, without the rows that the contract puts aside."""
    return [contract_rows.holding(reading, allowed) for reading in readings]


def rules(recipe: Recipe, before: Before | None) -> dict[str, dict[str, Any]]:
    """What may stand in the columns of which rows are put aside."""
    return contract_rows.rules(before.profile, recipe.contract) if before else {}


def checked(profile: Mapping[str, Any], recipe: Recipe, before: Before | None, accept: bool) -> dict[str, Any] | None:
    """The comparison with the delivery before, for the report; raises ContractBroken where it stops this one."""
    check_names(recipe.contract, profile, before.profile if before else {}, recipe.name)
    if before is None:
        return None
    found = {**against(before.profile, profile, recipe.contract), "before": before.name, "accepted": accept}
    if found["stopping"] and not accept:
        raise broken(found, before.name)
    return found


def against(old: Mapping[str, Any], new: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    """Two profiles compared and judged, as plain values."""
    return judged(old, new, compare(old, new), contract)


def broken(comparison: Mapping[str, Any], name: str) -> ContractBroken:
    """The error that names what stops a delivery."""
    stops = [line(d) for d in comparison["differences"] if d["stops"]]
    more = [f"and {len(stops) - _NAMED} more"] if len(stops) > _NAMED else []
    return ContractBroken(before=name, what="; ".join([*stops[:_NAMED], *more]))


def check_names(contract: Contract, profile: Mapping[str, Any], before: Mapping[str, Any], recipe: str) -> None:
    """Raise RecipeError for a policy of a column that neither delivery has."""
    known = {**(profile.get("columns") or {}), **(before.get("columns") or {})}
    for column in contract.columns:
        if column not in known:
            why = f"{column!r} is not one of the columns of this delivery or the one before"
            raise RecipeError(recipe=recipe, why=why, kind="columns", known=", ".join(known))
