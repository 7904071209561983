"""Two deliveries compared, wherever they are: runs, profiles, tables, or what a dataset keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_sanitizer.errors import NotStored
from data_sanitizer.pipeline import comparison, entity_changes, previous
from data_sanitizer.pipeline.sanitize import RunOptions
from data_sanitizer.ports import Dataset
from data_sanitizer.recipe import Recipe


def of_places(old: str, new: str, recipe: Recipe, options: RunOptions) -> dict[str, Any]:
    """The comparison of two places; with their entities, where both are folders of runs that delivered to one dataset."""
    found = _judged(previous.profile_of(old, options), previous.profile_of(new, options), recipe)
    folders = [Path(place) for place in (old, new)]
    entities = entity_changes.of_runs(folders[0], folders[1]) if all(folder.is_dir() for folder in folders) else None
    return found | ({"entities": entities} if entities else {})


def of_deliveries(dataset: Dataset, old: int, new: int, recipe: Recipe) -> dict[str, Any]:
    """The comparison of two deliveries of a dataset, by number; raises NotStored."""
    state = dataset.state()
    for no in (old, new):
        if no not in {d.no for d in state.deliveries}:
            raise NotStored(what=f"Delivery {no} of {state.name}", tenant=state.tenant)
    found = _judged(dataset.profile(old), dataset.profile(new), recipe)
    entities = entity_changes.between(dataset, old, new)
    return found | ({"entities": entities.counts()} if entities else {})


def _judged(old: Mapping[str, Any], new: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    comparison.check_names(recipe.contract, new, old, recipe.name)
    return comparison.against(old, new, recipe.contract)
