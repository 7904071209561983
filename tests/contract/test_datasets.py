"""A dataset on every database: a delivery is stored as a whole or not at all, and only on what its run has seen."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Iterator

import numpy as np
import pytest

from data_sanitizer import errors
from data_sanitizer.model import Delivery, EntityEvent, NewDelivery, RowPart, Samples, Split
from data_sanitizer.storage_backend import StorageBackend, StoredDataset
from tests.contract.conftest import Place

ONE, TWO = "00" * 15 + "01", "00" * 15 + "02"


@pytest.fixture
def backend(place: Place) -> Iterator[StorageBackend]:
    with place.backend().closing() as found:
        yield found


@pytest.fixture
def dataset(backend: StorageBackend) -> StoredDataset:
    return backend.dataset(f"tenant-{uuid.uuid4().hex[:8]}", "customers")


def keys(*numbers: int) -> np.ndarray:
    return np.array([[n >> 64, n & (2**64 - 1)] for n in numbers], np.uint64).reshape(-1, 2)


def delivery(no: int, *events: EntityEvent, changed: dict[tuple[int, int], np.ndarray] | None = None) -> NewDelivery:
    made = Delivery(
        no, f"{no}.csv", f"{no:064x}", 3, {"seen": 0}, ({"name": f"{no}.csv", "sha256": "ab"},), "/runs/é", "cd", dt.datetime.now(dt.UTC)
    )
    return NewDelivery(made, {"key": ["id"]}, {"rows": 3, "columns": {"a\0": {}}}, keys(2**64 + 1, 3 * no), changed or {}, events)


def parts(no: int) -> list[RowPart]:
    return [RowPart(no, p, keys(2**127 + p, 2**127 + p + 10), b"told", keys(no, no), bytes([p]) * 3) for p in range(2)]


def test_a_delivery_is_stored_as_it_was_given(backend: StorageBackend, dataset: StoredDataset) -> None:
    assert dataset.state().version == (0, 0)
    dataset.commit(delivery(1), lambda: iter(parts(1)), (0, 0))
    state = dataset.state()
    assert (state.name, state.rules, state.version) == ("customers", {"key": ["id"]}, (1, 0))
    assert [(d.no, d.name, d.row_count, d.place, d.inputs[0]["sha256"]) for d in state.deliveries] == [(1, "1.csv", 3, "/runs/é", "ab")]
    for found, given in zip(dataset.parts(), parts(1), strict=True):
        assert (found.delivery, found.part, found.told, found.keys.tolist(), found.entities.tolist()) == (
            1, given.part, given.told, given.keys.tolist(), given.entities.tolist())  # fmt: skip
        assert dataset.cells(1, given.part) == given.cells
    assert backend.delivery_profile(dataset.tenant, dataset.id, 1) == {"rows": 3, "columns": {"a\0": {}}}
    assert backend.datasets(dataset.tenant) == [("customers", dataset.id)]
    assert [(e.kind, e.entity) for e in dataset.events()] == [("created", f"{2**64 + 1:032x}"), ("created", f"{3:032x}")]
    with pytest.raises(errors.NotStored):
        backend.delivery_profile(dataset.tenant, dataset.id, 2)
    with pytest.raises(errors.NotStored):
        backend.find_dataset("another", "customers")


def test_what_changed_is_stored_with_it(dataset: StoredDataset) -> None:
    dataset.commit(delivery(1), lambda: iter(parts(1)), (0, 0))
    event = EntityEvent(0, "merged", ONE, TWO, 2, "data-sanitizer", {"rows": 2})
    dataset.commit(delivery(2, event, changed={(1, 1): keys(8, 9)}), lambda: iter(parts(2)), (1, 0))
    assert [p.entities.tolist() for p in dataset.parts()] == [keys(1, 1).tolist(), keys(8, 9).tolist(), *[keys(2, 2).tolist()] * 2]
    assert [(e.no, e.kind, e.entity, e.other, e.delivery) for e in dataset.events() if e.kind != "created"] == [(1, "merged", ONE, TWO, 2)]


def test_a_delivery_on_what_is_no_more_is_refused_and_leaves_nothing(dataset: StoredDataset) -> None:
    dataset.commit(delivery(1), lambda: iter(parts(1)), (0, 0))
    other = dataclasses.replace(delivery(1).delivery, fingerprint="f" * 64)
    with pytest.raises(errors.DatasetBusy):
        dataset.commit(dataclasses.replace(delivery(1), delivery=other), lambda: iter(parts(1)), (0, 0))
    with pytest.raises(errors.DatasetBusy):
        dataset.commit(delivery(2), lambda: iter(parts(2)), (0, 0))

    def broken() -> Iterator[RowPart]:
        yield parts(2)[0]
        raise errors.DiskFull(path="scratch")

    with pytest.raises(errors.DiskFull):
        dataset.commit(delivery(2, changed={(1, 0): keys(5, 5)}), broken, (1, 0))
    assert [d.no for d in dataset.state().deliveries] == [1]
    assert [p.entities.tolist() for p in dataset.parts()] == [keys(1, 1).tolist()] * 2


def test_a_delivery_whose_answer_was_lost_is_stored_once(dataset: StoredDataset) -> None:
    for _ in range(2):  # as a call is made again when the connection was lost
        dataset.commit(delivery(1), lambda: iter(parts(1)), (0, 0))
    assert dataset.state().version == (1, 0)
    assert len(list(dataset.parts())) == len(parts(1))


def test_what_was_learned_is_kept_of_the_last_two_deliveries(dataset: StoredDataset) -> None:
    told = [b"one", b"two", None, b"three", b""]
    for no, knowledge in enumerate(told, 1):
        new = dataclasses.replace(delivery(no), knowledge=knowledge, seen=bytes([no]))
        dataset.commit(new, lambda no=no: iter(parts(no)), (no - 1, 0))  # type: ignore[misc]
        assert dataset.knowledge(no + 1) == {1: b"one", 2: b"two", 3: b"two", 4: b"three", 5: b""}[no]
    assert [dataset.knowledge(no) for no in (1, 2, 3, 4, 5)] == [b"", b"", b"", b"", b"three"]
    assert [dataset.seen(no) for no in (1, 5, 6)] == [b"\1", b"\5", b""]


def test_the_columns_that_are_signed_stay_those_of_the_first_time(backend: StorageBackend, dataset: StoredDataset) -> None:
    dataset.commit(delivery(1), lambda: iter(parts(1)), (0, 0))
    assert dataset.index.opened(["a", "b"]) == (("a", "b"), {})
    some = Samples("", 1, 0, keys(1, 2), np.zeros((2, 128), np.uint32))
    for _ in range(2):
        dataset.index.add(some)
    assert dataset.index.opened(["c"]) == (("a", "b"), {(1, 0): 2})
    looking = backend.known_dataset(dataset.tenant, "customers", keep=False)
    looking.index.add(Samples("", 1, 1, keys(3), np.zeros((1, 128), np.uint32)))
    assert looking.index.opened(["c"]) == (("c",), None)
    assert dataset.index.opened(["c"])[1] == {(1, 0): 2}
    assert dataset.state().rules == {"key": ["id"]}


def test_a_decision_is_kept(dataset: StoredDataset) -> None:
    dataset.commit(delivery(1), lambda: iter(parts(1)), (0, 0))
    event = EntityEvent(0, "split", ONE, TWO, 1, "mara", {"rows": 1})
    decision = Split({(1, 0): keys(1, 2)}, (event,), ((keys(2**127), keys(2**127 + 10, 5)),))
    dataset.split(decision, (1, 0))
    state = dataset.state()
    assert state.version == (1, 1)
    assert {tuple(sorted(map(tuple, pair))) for pair in state.apart.tolist()} == {
        tuple(sorted([(2**63, 0), (2**63, 10)])), tuple(sorted([(0, 5), (2**63, 0)]))}  # fmt: skip
    with pytest.raises(errors.DatasetBusy):
        dataset.split(decision, (1, 0))
    with pytest.raises(errors.DatasetBusy):
        dataset.commit(delivery(2), lambda: iter(parts(2)), (1, 0))


def test_who_only_looks_stores_nothing(backend: StorageBackend, dataset: StoredDataset) -> None:
    looking = backend.known_dataset(dataset.tenant, "customers", keep=False)
    looking.commit(delivery(1), lambda: iter(parts(1)), (0, 0))
    assert dataset.state().deliveries == ()
