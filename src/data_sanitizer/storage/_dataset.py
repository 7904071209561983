"""One dataset of one tenant, as a run that delivers to it sees it: `ports.Dataset`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from data_sanitizer.model import DatasetState, EntityEvent, NewDelivery, RowPart, Split
from data_sanitizer.ports import RowIndex
from data_sanitizer.storage import _deliveries
from data_sanitizer.storage._row_index import StoredIndex
from data_sanitizer.storage._vectors import Run, Signatures


class StoredDataset:
    """What was delivered so far, and where the next delivery goes. Each method is one transaction."""

    def __init__(
        self, run: Run, tenant: str, dataset: UUID, signatures: Signatures, *, keep: bool = True,
        audit: Callable[[EntityEvent], object] | None = None,
    ) -> None:  # fmt: skip
        self._run, self.tenant, self.id = run, tenant, dataset
        self.index: RowIndex = StoredIndex(run, tenant, dataset, signatures, keep)
        self._keep = keep  # False: what is committed is not stored
        self._audit = audit  # is told of every decision

    def state(self) -> DatasetState:
        """Its deliveries, rules and decisions."""
        return self._run(self.tenant, lambda c: _deliveries.state(c, self.tenant, self.id), read_only=True)

    def parts(self) -> Iterator[RowPart]:
        """All its rows, packed, delivery after delivery, without their cells."""
        for delivery in self.state().deliveries:
            no = delivery.no
            yield from self._run(self.tenant, lambda c, no=no: _deliveries.parts(c, self.tenant, self.id, no), read_only=True)  # type: ignore[misc]

    def cells(self, delivery: int, part: int) -> bytes:
        """The cells of one part."""
        return self._run(self.tenant, lambda c: _deliveries.cells(c, self.tenant, self.id, delivery, part), read_only=True)

    def profile(self, delivery: int) -> Mapping[str, Any]:
        """What profile.json said of a delivery; raises NotStored."""
        return self._run(self.tenant, lambda c: _deliveries.profile(c, self.tenant, self.id, delivery), read_only=True)

    def seen(self, delivery: int) -> bytes:
        """Which rows of earlier deliveries one had too, packed; empty where it did not keep that."""
        return self._run(self.tenant, lambda c: _deliveries.seen(c, self.tenant, self.id, delivery), read_only=True)

    def knowledge(self, before: int) -> bytes:
        """What the last delivery before one that learned anything of its rows has learned, packed; empty where none did."""
        return self._run(self.tenant, lambda c: _deliveries.knowledge(c, self.tenant, self.id, before), read_only=True)

    def commit(self, new: NewDelivery, rows: Callable[[], Iterator[RowPart]], version: tuple[int, int]) -> None:
        """Store a delivery as a whole; raises DatasetBusy where the dataset is no more what it was at `version`."""
        if self._keep:
            self._run(self.tenant, lambda c: _deliveries.commit(c, self.tenant, self.id, new, rows(), version))

    def split(self, decision: Split, version: tuple[int, int]) -> None:
        """Store a person's decision that rows are not one entity; raises DatasetBusy as `commit` does."""
        self._run(self.tenant, lambda c: _deliveries.split(c, self.tenant, self.id, decision, version))
        for event in decision.events if self._audit else ():
            self._audit(event)  # type: ignore[misc]

    def events(self) -> list[EntityEvent]:
        """Everything that happened to the ids of its entities, in order."""
        return self._run(self.tenant, lambda c: list(_deliveries.events(c, self.tenant, self.id)), read_only=True)
