"""Splink: blocking rules and comparisons written by hand for each kind of table, term frequencies, parameters by EM, no labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import splink.comparison_level_library as levels
import splink.comparison_library as compare
from runner import NO_VALUE, Answer, main
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

THRESHOLDS = (0.95, 0.5, 0.8, 0.99, 0.999, 0.9999)  # of the probability; the first one is timed

NO_VALUES = ", ".join(f"'{token}'" for token in sorted(NO_VALUE))
PREPARED = {
    "customers": f"""
        WITH trimmed AS (SELECT row, COLUMNS(* EXCLUDE row).lower().trim() FROM given),
        filled AS (SELECT row, CASE WHEN COLUMNS(* EXCLUDE row) IN ({NO_VALUES}) THEN NULL ELSE COLUMNS(* EXCLUDE row) END FROM trimmed)
        SELECT *, split_part(full_name, ' ', 1) AS forename, regexp_extract(full_name, '[^ ]+$') AS surname,
               right(regexp_replace(phone, '[^0-9]', '', 'g'), 9) AS digits, left(note, 60) AS note_start, right(note, 60) AS note_end
        FROM filled""",
    "febrl": "SELECT row, NULLIF(trim(COLUMNS(* EXCLUDE row)), '') FROM given",
}


def either_end(column: str, start: str, end: str) -> compare.CustomComparison:
    """A long text: equal, equal at one end (a typing error is at one place only), or not."""
    alike = levels.Or(levels.ExactMatchLevel(start), levels.ExactMatchLevel(end))
    return compare.CustomComparison([levels.NullLevel(column), levels.ExactMatchLevel(column), alike, levels.ElseLevel()], column)


def with_frequencies(comparison: Any) -> Any:
    """The comparison, rare values counting for more."""
    return comparison.configure(term_frequency_adjustments=True)


COMPARISONS = {
    "customers": [
        compare.ExactMatch("customer_id"),
        compare.ForenameSurnameComparison("forename", "surname"),
        compare.EmailComparison("email"),
        compare.DamerauLevenshteinAtThresholds("digits", [1, 2]),
        with_frequencies(compare.JaroWinklerAtThresholds("street", [0.92, 0.85])),
        with_frequencies(compare.DamerauLevenshteinAtThresholds("city", [1])),
        with_frequencies(compare.DamerauLevenshteinAtThresholds("postcode", [1])),
        compare.ExactMatch("signup_date"),
        with_frequencies(compare.ExactMatch("amount")),
        either_end("note", "note_start", "note_end"),
    ],
    "febrl": [
        compare.NameComparison("given_name"),
        compare.NameComparison("surname"),
        with_frequencies(compare.ExactMatch("street_number")),
        with_frequencies(compare.JaroWinklerAtThresholds("address_1", [0.92, 0.85])),
        with_frequencies(compare.JaroWinklerAtThresholds("suburb", [0.92, 0.85])),
        with_frequencies(compare.DamerauLevenshteinAtThresholds("postcode", [1, 2])),
        compare.DamerauLevenshteinAtThresholds("date_of_birth", [1, 2]),
        compare.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
    ],
}
BLOCKS = {
    "customers": [
        ("customer_id",), ("email",), ("digits",), ("note_start",), ("note_end",), ("surname", "postcode"), ("forename", "surname", "city"),
        ("street", "city"), ("signup_date", "forename"), ("signup_date", "amount"),
    ],
    "febrl": [
        ("soc_sec_id",), ("given_name", "surname"), ("date_of_birth",), ("surname", "postcode"), ("given_name", "postcode"),
        ("address_1", "street_number"), ("suburb", "street_number"), ("given_name", "suburb"), ("surname", "suburb"),
    ],
}  # fmt: skip
TRAINING = {
    "customers": [("note_start",), ("email",), ("digits",)],
    "febrl": [("date_of_birth",), ("soc_sec_id",), ("surname", "postcode")],
}
CERTAIN = {"customers": [("customer_id",), ("email", "digits")], "febrl": [("soc_sec_id",), ("given_name", "surname", "date_of_birth")]}


def peer(table: Path, kind: str) -> Iterator[Answer]:
    """The clusters at each threshold."""
    linker, rows = trained(table, kind)
    pairs = linker.inference.predict(threshold_match_probability=min(THRESHOLDS))
    for threshold in THRESHOLDS:
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=threshold)
        labels = list(range(rows))
        found = clusters.as_duckdbpyrelation().select("row, cluster_id").fetchall()
        for row, label in found:
            labels[row] = label
        yield f"probability {threshold}", labels


def trained(table: Path, kind: str) -> tuple[Linker, int]:
    """A linker whose parameters are estimated, and the number of rows."""
    connection, rows = loaded(table, kind)
    settings = SettingsCreator(
        "dedupe_only",
        COMPARISONS[kind],
        [block_on(*columns) for columns in BLOCKS[kind]],
        retain_matching_columns=False,
        unique_id_column_name="row",
    )
    linker = Linker(DuckDBAPI(connection).register("prepared"), settings, log_level=None)
    certain = [block_on(*columns) for columns in CERTAIN[kind]]
    linker.training.estimate_probability_two_random_records_match(certain, recall=0.8)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for columns in TRAINING[kind]:
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*columns))
    return linker, rows


def loaded(table: Path, kind: str) -> tuple[duckdb.DuckDBPyConnection, int]:
    """A connection with the table `prepared`: text in lower case, null where there is no value, derived columns."""
    names = table.read_text(encoding="utf-8").split("\n", 1)[0].strip().split(",")
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    given = pyarrow.csv.read_csv(table, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True), convert_options=options)
    given = given.append_column("row", pa.array(range(given.num_rows), pa.int64()))
    connection = duckdb.connect()
    connection.register("given", given)
    connection.execute(f"CREATE TABLE prepared AS {PREPARED[kind]}")
    return connection, given.num_rows


if __name__ == "__main__":
    main(peer)
