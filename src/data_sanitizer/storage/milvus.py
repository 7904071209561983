"""Milvus, through pymilvus: an index of signatures that many processes share. It can be rebuilt and is never the truth.

On a server from 2.6 on, MINHASH_LSH with the metric MHJACCARD. On an older one the Hamming distance of the bits: of two unequal numbers of
32 bits half the bits differ, so a distance of H says that about 1 - H / (16 numbers) of the numbers are equal. Either way more are fetched
than asked for, and what is returned was counted on the signatures themselves.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.errors import PackageMissing, StorageUnknown, VectorsUnavailable
from data_sanitizer.model import Candidates, Samples
from data_sanitizer.storage._statements import as_bytes, as_keys
from data_sanitizer.storage.memory import Found, best

if TYPE_CHECKING:
    from pymilvus import MilvusClient

_BATCH: Final = 5000  # signatures in a call: 2.5 MB, below every limit of a message
_QUERIES: Final = 100  # in a call of search
_MORE: Final = 4  # times as many are fetched as asked for: the order of the estimate is not that of the count
_MINHASH_LSH: Final = (2, 6)  # the first server that has it
INDEXES: Final = ("auto", "MINHASH_LSH", "BIN_IVF_FLAT", "BIN_FLAT")


@dataclass(frozen=True, slots=True)
class MilvusConfig:
    """Where Milvus is, and how it is used. Times are in seconds."""

    uri: str
    token: str = field(default="", repr=False)
    timeout: float = 10.0  # of one call
    collection: str = "data_sanitizer"
    index: str = "auto"  # or one of INDEXES: auto takes MINHASH_LSH where the server has it, else BIN_FLAT
    numbers: int = 128  # in a signature
    consistency_level: str = "Strong"  # a search sees all that was stored before it
    pause: float = 30.0  # after a failure nothing is asked for so long, so that a server that is away slows no run

    def __post_init__(self) -> None:
        if self.index not in INDEXES:
            raise StorageUnknown(url=f"The index {self.index}", known=", ".join(INDEXES))


def _scope(tenant: str) -> str:
    """What stands for the tenant in Milvus: hexadecimal, so that no name can change the meaning of a filter."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:32]


class MilvusVectors:
    """Signatures in Milvus, as `ports.Vectors`. The tenant is the key of the partitions, and part of every filter."""

    def __init__(self, config: MilvusConfig) -> None:
        self.config = config
        self._client: MilvusClient | None = None
        self._minhash = False
        self._away_until = 0.0

    @contextmanager
    def _calling(self) -> Iterator[MilvusClient]:
        """The client, with the collection there and loaded; whatever goes wrong is VectorsUnavailable."""
        try:
            import grpc
            from pymilvus import MilvusClient, MilvusException
        except ImportError as error:
            raise PackageMissing(package="pymilvus", what="Milvus") from error
        if time.monotonic() < self._away_until:
            raise VectorsUnavailable(why="it did not answer a moment ago")
        try:
            if self._client is None:
                client = MilvusClient(self.config.uri, token=self.config.token, timeout=self.config.timeout)
                self._prepare(client)
                self._client = client
            yield self._client
        except (MilvusException, grpc.RpcError, ConnectionError) as error:
            self._away_until = time.monotonic() + self.config.pause
            self._client = None
            raise VectorsUnavailable(why=f"{type(error).__name__} {getattr(error, 'code', '')}".strip()) from error

    def _prepare(self, client: MilvusClient) -> None:
        """Make the collection where it is not there; choose how similarity is measured."""
        version = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in client.get_server_version().split("-")[0].split(".")[:2])
        kind = self.config.index if self.config.index != "auto" else "MINHASH_LSH" if version >= _MINHASH_LSH else "BIN_FLAT"
        self._minhash = kind == "MINHASH_LSH"
        if not client.has_collection(self.config.collection):
            self._create(client, kind)
        client.load_collection(self.config.collection, timeout=max(60.0, self.config.timeout))

    def _create(self, client: MilvusClient, kind: str) -> None:
        from pymilvus import DataType

        fields = client.create_schema(auto_id=False, enable_dynamic_field=False)
        fields.add_field("id", DataType.VARCHAR, is_primary=True, max_length=32)
        fields.add_field("tenant", DataType.VARCHAR, max_length=32, is_partition_key=True)
        fields.add_field("dataset", DataType.VARCHAR, max_length=32)
        fields.add_field("delivery", DataType.INT64)
        fields.add_field("chunk", DataType.INT64)
        fields.add_field("row_hash", DataType.VARCHAR, max_length=32)
        fields.add_field("minhash_vector", DataType.BINARY_VECTOR, dim=self.config.numbers * 32)
        indexes = client.prepare_index_params()
        indexes.add_index("minhash_vector", index_type=kind, metric_type=self._metric(), params=self._build(kind))
        level: Any = self.config.consistency_level
        client.create_collection(self.config.collection, schema=fields, index_params=indexes, consistency_level=level)

    def _metric(self) -> str:
        return "MHJACCARD" if self._minhash else "HAMMING"

    def _build(self, kind: str) -> dict[str, Any]:
        """Parameters of the index. Without the raw data MINHASH_LSH could not count, and would give wrong similarities silently."""
        lsh = {"mh_element_bit_width": 32, "mh_lsh_band": self.config.numbers // 4, "with_raw_data": True}
        return {"MINHASH_LSH": lsh, "BIN_IVF_FLAT": {"nlist": 128}}.get(kind, {})

    def upsert(self, tenant: str, batch: Samples) -> None:
        """Put the signatures of a chunk in the place of what it held of that chunk.

        Milvus' own upsert is not used: 2.3 finds only some of the rows again that it put into a collection with a partition key.
        """
        common = {"tenant": _scope(tenant), "dataset": UUID(batch.dataset).hex, "delivery": batch.delivery, "chunk": batch.chunk}
        place = " ".join(map(str, common.values()))
        hashes = [value.hex() for value in as_bytes(batch.hashes).tolist()]
        names = [hashlib.blake2b(f"{place} {h}".encode(), digest_size=16).hexdigest() for h in hashes]
        vectors = batch.signatures.astype("<u4")
        long = max(60.0, self.config.timeout)
        with self._calling() as client:
            old = f"{self._filter(tenant, batch.dataset)} and delivery == {int(batch.delivery)} and chunk == {int(batch.chunk)}"
            client.delete(self.config.collection, filter=old, timeout=long)
            for k in range(0, len(hashes), _BATCH):
                told = zip(names[k : k + _BATCH], hashes[k : k + _BATCH], vectors[k : k + _BATCH], strict=True)
                rows = [{**common, "id": n, "row_hash": h, "minhash_vector": v.tobytes()} for n, h, v in told]
                client.insert(self.config.collection, rows, timeout=long)

    def _filter(self, tenant: str, dataset: str) -> str:
        return f'tenant == "{_scope(tenant)}" and dataset == "{UUID(dataset).hex}"'

    def delete(self, tenant: str, dataset: str, delivery: int | None) -> None:
        """Forget a delivery, or all of the dataset."""
        of_delivery = f" and delivery == {int(delivery)}" if delivery is not None else ""
        with self._calling() as client:
            client.delete(self.config.collection, filter=self._filter(tenant, dataset) + of_delivery, timeout=self.config.timeout)

    def search(self, tenant: str, dataset: str, signatures: NDArray[np.uint32], limit: int, threshold: float, expected: int) -> Candidates:
        """The most similar signatures."""
        with self._calling() as client:
            count = self._count(client, tenant, dataset)
            if count != expected:
                raise VectorsUnavailable(why=f"it holds {count} of {expected} signatures")
            if not count:
                return best([], limit)
            starts = range(0, len(signatures), _QUERIES)
            return best([self._search(client, tenant, dataset, signatures[k : k + _QUERIES], k, limit, threshold) for k in starts], limit)

    def _count(self, client: MilvusClient, tenant: str, dataset: str) -> int:
        level = self.config.consistency_level
        asked = client.query(self.config.collection, filter=self._filter(tenant, dataset), output_fields=["count(*)"],
                             consistency_level=level, timeout=self.config.timeout)  # fmt: skip
        return int(asked[0]["count(*)"])

    def _search(self, client: MilvusClient, tenant: str, dataset: str, signatures: NDArray[np.uint32], first: int, limit: int,
                threshold: float) -> Found:  # fmt: skip
        from data_sanitizer.duplicates.minhash import similarity

        wanted = min(limit * _MORE, 16_384)
        found = client.search(
            self.config.collection, [s.tobytes() for s in signatures.astype("<u4")], filter=self._filter(tenant, dataset), limit=wanted,
            output_fields=["row_hash", "minhash_vector"], search_params=self._asking(wanted), anns_field="minhash_vector",
            consistency_level=self.config.consistency_level, timeout=max(60.0, self.config.timeout),
        )  # fmt: skip
        hits = [(k, hit["entity"]) for k, query in enumerate(found) for hit in query]
        if not hits:
            return np.empty(0, np.int64), np.empty((0, 2), np.uint64), np.empty(0)
        queries = np.array([k for k, _ in hits], np.int64)
        hashes = as_keys(bytes.fromhex("".join(e["row_hash"] for _, e in hits)))
        vectors = np.frombuffer(b"".join(_vector(e["minhash_vector"]) for _, e in hits), "<u4").reshape(len(hits), -1)
        alike = similarity(signatures[queries], vectors)
        enough = alike >= threshold
        return queries[enough] + first, hashes[enough], alike[enough]

    def _asking(self, wanted: int) -> dict[str, Any]:
        more = {"mh_search_with_jaccard": True, "refine_k": wanted} if self._minhash else {}
        return {"metric_type": self._metric(), "params": more}

    def version(self) -> str:
        """The version of the server."""
        with self._calling() as client:
            return str(client.get_server_version())

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _vector(value: Any) -> bytes:
    """A binary vector as clients of different versions give it."""
    return value if isinstance(value, bytes) else bytes(value[0])
