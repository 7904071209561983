"""goldenmatch: no configuration, as its readme begins. The caller switches off its memory of earlier runs by the environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import goldenmatch
from goldenmatch.core.autoconfig_controller import ControllerNotConfidentError
from pyarrow import csv
from runner import Answer, main


def peer(table: Path, kind: str) -> Iterator[Answer]:
    """The clusters it makes."""
    setting, result = deduplicated(table)
    members = [cluster["members"] for cluster in result.clusters.values()]
    labels = {row: place for place, rows in enumerate(members) for row in rows}
    yield setting, [labels[row] for row in range(len(labels))]


def deduplicated(table: Path) -> tuple[str, goldenmatch.DedupeResult]:
    """Its result; where it refuses, not trusting its own configuration, that of going on as its message offers."""
    try:
        return "no configuration", goldenmatch.dedupe(str(table))
    except ControllerNotConfidentError:
        given = csv.read_csv(table, parse_options=csv.ParseOptions(newlines_in_values=True))
        return "refused, then told to go on", goldenmatch.dedupe_df(given, confidence_required=False, allow_red_config=True)


if __name__ == "__main__":
    main(peer)
