"""Statements on the signatures of rows: the truth from which every vector index is made."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import sqlalchemy as sa

from data_sanitizer.errors import NotStored
from data_sanitizer.model import Samples
from data_sanitizer.storage._statements import as_bytes, as_keys, changed, insert
from data_sanitizer.storage.schema import datasets, lsh_samples

PART = 16_384  # rows that one row of the table holds
_T = lsh_samples.c


def store(connection: sa.Connection, tenant: str, batch: Samples) -> bool:
    """Store the signatures of a chunk; False where they are stored already. Of equal hashes the first is kept."""
    dataset = UUID(batch.dataset)
    here = sa.select(datasets.c.id).where(datasets.c.tenant_id == tenant, datasets.c.id == dataset)
    if connection.execute(here.with_for_update(read=True, key_share=True)).first() is None:  # and it stays until all is stored
        raise NotStored(what=f"Dataset {dataset}", tenant=tenant)
    packed = as_bytes(batch.hashes)
    first = np.sort(np.unique(batch.hashes, axis=0, return_index=True)[1])
    stored = 0
    for part, start in enumerate(range(0, len(first), PART)):
        some = first[start : start + PART]
        values = {"tenant_id": tenant, "dataset_id": dataset, "delivery_no": batch.delivery, "chunk": batch.chunk, "part": part}
        data = {"hashes": packed[some].tobytes(), "signatures": batch.signatures[some].astype("<u4").tobytes()}
        stored += changed(connection, insert(connection, lsh_samples).values(**values, **data).on_conflict_do_nothing())
    return stored > 0


def chunks(connection: sa.Connection, tenant: str, dataset: UUID) -> dict[tuple[int, int], int]:
    """(delivery, chunk) of all that is stored of a dataset, with the number of signatures."""
    size = sa.cast(sa.func.sum(sa.func.length(_T.hashes)) / 16, sa.BigInteger)
    asked = sa.select(_T.delivery_no, _T.chunk, size).where(_T.tenant_id == tenant, _T.dataset_id == dataset)
    return {(delivery, chunk): int(n) for delivery, chunk, n in connection.execute(asked.group_by(_T.delivery_no, _T.chunk))}


def load(connection: sa.Connection, tenant: str, dataset: UUID, delivery: int, chunk: int) -> Samples | None:
    """The signatures of one chunk; None where it was deleted meanwhile."""
    asked = sa.select(_T.hashes, _T.signatures).where(
        _T.tenant_id == tenant, _T.dataset_id == dataset, _T.delivery_no == delivery, _T.chunk == chunk
    )
    parts = connection.execute(asked.order_by(_T.part)).all()
    if not parts:
        return None
    hashes = np.concatenate([as_keys(p.hashes) for p in parts])
    signatures = np.frombuffer(b"".join(p.signatures for p in parts), "<u4").astype(np.uint32).reshape(len(hashes), -1)
    return Samples(str(dataset), delivery, chunk, hashes, signatures)


def delete(connection: sa.Connection, tenant: str, dataset: UUID, delivery: int) -> int:
    """Delete the signatures of a delivery; gives how many chunks' parts were there."""
    return changed(connection, sa.delete(lsh_samples).where(_T.tenant_id == tenant, _T.dataset_id == dataset, _T.delivery_no == delivery))
