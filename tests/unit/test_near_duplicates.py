"""Near-duplicates of whole tables: what is removed, what is proposed, what is left alone, and how it is explained."""

import json
from collections.abc import Callable
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import polars as pl
import pytest

from data_sanitizer.duplicates.calibration import calibration_error
from data_sanitizer.duplicates.near import never_agreed
from tests.unit.near_tables import figures, found, people, products, words


@pytest.fixture(scope="module")
def households() -> tuple[pl.DataFrame, np.ndarray]:
    return people(1500, 3, households=0.5)


@pytest.mark.parametrize(("rows", "share"), [(600, 0.0), (600, 0.15), (3500, 0.5)])
def test_duplicates_are_removed_and_households_are_not(rows: int, share: float) -> None:
    table, entities = people(rows, rows + int(100 * share), share)
    result = found(table)
    precision, recall = figures(result.kept, entities)
    assert precision >= 0.99
    assert recall >= 0.95
    assert result.figures.identifiable
    assert result.figures.kind == "clear" or share == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_column_that_another_one_determines_does_not_tell_duplicates_apart(seed: int) -> None:
    table, entities = people(4000, seed, households=0.5)
    dice = np.random.default_rng(seed)
    amount = pl.Series([f"{k * 7919 % 4001}.{k % 97:02d}" for k in entities])
    batch = np.array([sum(map(ord, city or "")) % 7 for city in table["city"]])
    batch = np.where(dice.random(table.height) < 0.01, (batch + 1) % 7, batch)
    source = pl.Series([f"customer record imported from the old system in batch {b}" for b in batch])
    result = found(table.with_columns(amount=amount, source=source))
    precision, recall = figures(result.kept, entities)
    assert precision >= 0.99
    assert recall >= 0.95


def test_households_are_named_as_related(households: tuple[pl.DataFrame, np.ndarray]) -> None:
    table, entities = households
    result = found(table)
    related = (result.related >= 0.5) & (result.confidences < 0.5)
    homes = table["phone"].to_numpy()
    assert related.sum() > 300
    assert (entities[result.a[related]] != entities[result.b[related]]).mean() > 0.99
    assert (homes[result.a[related]] == homes[result.b[related]]).mean() > 0.8


def test_confidence_is_calibrated(households: tuple[pl.DataFrame, np.ndarray]) -> None:
    table, entities = households
    result = found(table)
    assert calibration_error(result.confidences, entities[result.a] == entities[result.b]) < 0.05


def test_every_match_explains_itself(households: tuple[pl.DataFrame, np.ndarray]) -> None:
    result = found(households[0])
    sure = result.confidences >= 0.99
    assert result.bits.shape == result.levels.shape == (len(result.a), 7)
    assert (result.bits[sure].sum(axis=1) > 6).all()
    assert (result.bits[result.levels == 0] == 0).all()
    assert (result.bits[:, 6][result.levels[:, 6] == 7] >= 0).all()
    assert json.loads(json.dumps(result.figures.as_dict()))["columns"][2]["name"] == "born"


def test_rows_equal_but_for_a_generated_identifier_are_found() -> None:
    table, entities = people(2600, 8, copies=0)
    again = pl.concat([table, table[:200]])
    numbered = again.with_columns(pl.Series("id", [f"R{k:06d}" for k in range(again.height)]))
    assert figures(found(numbered).kept, np.concatenate([entities, entities[:200]])) == (1.0, 1.0)


@pytest.mark.parametrize(
    "identifier",
    [
        str,
        lambda k: f"rec-{k}-{'org' if k % 3 else 'dup-0'}",
        lambda k: f"https://shop.example/order/{k}.html",
        lambda k: str(uuid5(NAMESPACE_URL, str(k))),
    ],
    ids=["serial", "prefixed", "address", "uuid"],
)
def test_an_identifier_of_its_own_for_each_row_hides_no_duplicate(identifier: Callable[[int], str]) -> None:
    table, entities = people(700, 21, 0.2)
    plain, numbered = found(table), found(table.with_columns(pl.Series("id", [identifier(k) for k in range(table.height)])))
    assert figures(numbered.kept, entities) == pytest.approx(figures(plain.kept, entities), abs=0.005)


def measurements(rows: int, seed: int) -> pl.DataFrame:
    """Plants of a few kinds, measured: rows of one kind are alike in all columns, and nobody is there twice."""
    dice = np.random.default_rng(seed)
    kind = dice.integers(0, 8, rows)
    columns = {f"size {k}": np.round(dice.normal(0, 1, 8)[kind] * 20 + dice.normal(60, 1.2, rows), k % 2).astype(str) for k in range(14)}
    return pl.DataFrame({**columns, "kind": kind.astype(str)})


def test_rows_that_measure_alike_are_not_one_entity() -> None:
    result = found(measurements(1000, 4))
    assert (result.kept == np.arange(1000)).all()
    assert not result.figures.identifiable
    assert "plain numbers" in result.figures.reason


def test_names_beside_measures_make_rows_identifiable() -> None:
    table, entities = people(700, 22)
    measured = measurements(int(entities.max()) + 1, 5)[entities]  # the same for all rows of an entity
    result = found(pl.concat([table, measured], how="horizontal"))
    assert figures(result.kept, entities)[0] >= 0.99
    assert result.figures.identifiable


def test_parts_of_one_thing_are_alike_in_every_column_and_stay() -> None:
    dice = np.random.default_rng(6)
    lakes, towns = words(dice, 150, 4), words(dice, 150, 4)
    rows = [
        (
            f"CT{6000 + k}-00-L{part}",
            f"{lakes[k]} lake, {towns[k]} section {part}",
            f"from the {towns[k]} dam to the {part * 3}th mile of {lakes[k]}",
            "fresh water",
        )
        for k in range(150)
        for part in range(1, 1 + k % 4)
    ]
    result = found(pl.DataFrame(rows, ["unit", "name", "location", "kind"], orient="row"))
    assert (result.kept == np.arange(len(rows))).all()


def test_swapped_names_are_followed() -> None:
    table, entities = people(900, 12)
    swapped = table.with_columns(
        pl.when(pl.int_range(pl.len()) % 7 == 0).then("last").otherwise("first").alias("first"),
        pl.when(pl.int_range(pl.len()) % 7 == 0).then("first").otherwise("last").alias("last"),
    )
    precision, recall = figures(found(swapped).kept, entities)
    assert precision >= 0.99
    assert recall >= 0.95


@pytest.mark.parametrize("columns", [["first"], ["first", "city"], ["first", "last", "city"]])
def test_too_few_informative_columns_find_nothing_and_say_why(columns: list[str]) -> None:
    result = found(people(500, 5)[0].select(columns))
    assert (result.kept == np.arange(len(result.kept))).all()
    assert len(result.a) == 0
    assert "too few informative columns" in result.figures.reason


def test_products_are_proposed_but_never_removed() -> None:
    table, entities = products(400, 2)
    result = found(table)
    assert (result.kept == np.arange(table.height)).all() or figures(result.kept, entities)[0] >= 0.99
    proposed = result.confidences >= 0.5
    assert (entities[result.a[proposed]] == entities[result.b[proposed]]).mean() > 0.6


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_tiny_tables_are_left_alone(rows: int) -> None:
    table = people(10, 1, copies=0)[0][:rows]
    assert found(table).kept.tolist() == list(range(rows))


def test_a_table_without_duplicates_loses_nothing() -> None:
    assert (found(people(3000, 9, copies=0)[0]).kept == np.arange(3000)).all()


def test_empty_columns_say_nothing() -> None:
    table, entities = people(300, 6)
    wide = table.with_columns(pl.lit(None, pl.String).alias("empty"), pl.lit("x").alias("same"))
    precision, recall = figures(found(wide).kept, entities)
    assert precision == 1
    assert recall > 0.95


def twins(count: int) -> pl.DataFrame:
    """Every fifth person has a twin of another first name."""
    table, dice = people(count, 4, copies=0)[0], np.random.default_rng(4)
    other = pl.Series("first", words(dice, count, 3))
    return pl.concat([table, table.with_columns(other, (other + "@twin.example").alias("mail"))[::5]])


def sizes(count: int) -> pl.DataFrame:
    """Articles in five sizes, with a generated number."""
    dice = np.random.default_rng(7)
    names, makers = words(dice, 3 * count, 3), words(dice, count, 4)
    titles = pl.DataFrame({"title": [" ".join(names[k::count]) for k in range(count)], "maker": makers})
    titles = titles.with_columns(pl.Series("price", dice.uniform(5, 900, count).round(2).astype(str)))
    every = titles.join(pl.DataFrame({"size": ["S", "M", "L", "XL", "XXL"]}), how="cross")
    return every.with_columns(pl.Series("article", [f"{100_000 + k}" for k in range(every.height)]))


def courses(count: int) -> pl.DataFrame:
    """Students with the courses they took."""
    names, dice = words(np.random.default_rng(5), 40, 3), np.random.default_rng(6)
    some = [pl.Series(dice.choice(names, 3, replace=False)) for _ in range(count)]
    return people(count, 5, copies=0)[0].with_columns(pl.Series("course", some)).explode("course")


@pytest.mark.parametrize("make", [twins, sizes, courses])
@pytest.mark.parametrize("count", [300, 900])
def test_what_differs_in_one_telling_column_is_related_not_duplicate(make: Callable[[int], pl.DataFrame], count: int) -> None:
    table = make(count)
    result = found(table)
    assert (result.kept == np.arange(table.height)).all()
    assert (result.related >= 0.5).sum() > 0
    assert (result.confidences >= 0.5).sum() < 0.05 * table.height


@pytest.mark.parametrize("make", [lambda: people(3000, 5, 0.3)[0], lambda: products(1400, 2)[0]])
def test_tables_too_large_to_be_mapped_give_the_same(make: Callable[[], pl.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    table = make()
    mapped = found(table)
    monkeypatch.setattr("data_sanitizer.duplicates.records._LARGE", 0)
    read = found(table)
    for name in ("a", "b", "confidences", "levels", "bits", "clusters", "kept"):
        np.testing.assert_array_equal(getattr(mapped, name), getattr(read, name))


def test_what_differs_in_all_sure_pairs_tells_them_apart() -> None:
    exact = np.array([7, 4], np.int8)
    levels = np.array([[7, 3]] * 20 + [[6, 4], [7, 0]], np.int8)
    sure = np.ones(len(levels), np.bool_)
    assert never_agreed(levels, sure, exact).tolist() == [True] * 20 + [False, False]
    often = np.concatenate([levels, np.array([[7, 4]] * 5, np.int8)])
    assert not never_agreed(often, np.ones(len(often), np.bool_), exact).any()
    assert not never_agreed(levels[:5], sure[:5], exact).any()
