"""Every index of signatures keeps the same promises: it finds what is similar, in one tenant and dataset alone, and forgets on demand."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pymilvus
import pytest
from numpy.typing import NDArray

from data_sanitizer import errors
from data_sanitizer.duplicates.minhash import EMPTY, similarity
from data_sanitizer.model import Candidates, Samples
from data_sanitizer.ports import Vectors
from data_sanitizer.storage.memory import MemoryVectors, scan
from data_sanitizer.storage.milvus import MilvusConfig, MilvusVectors
from data_sanitizer.storage_backend import SqliteConfig, StorageBackend
from tests.contract import servers

NUMBERS = 128


def signatures(n: int, seed: int = 0) -> NDArray[np.uint32]:
    return np.random.default_rng(seed).integers(0, 2**32 - 1, (n, NUMBERS), np.uint32)


def hashes(n: int, start: int = 0) -> NDArray[np.uint64]:
    return np.array([[k * 7919, k] for k in range(start, start + n)], np.uint64).reshape(-1, 2)


def altered(some: NDArray[np.uint32], share: float, seed: int = 1) -> NDArray[np.uint32]:
    """Signatures of which a share of the numbers is another."""
    dice = np.random.default_rng(seed)
    return np.where(dice.random(some.shape) < share, dice.integers(0, 2**32 - 1, some.shape, np.uint32), some)


def samples(dataset: str, some: NDArray[np.uint32], delivery: int = 1, chunk: int = 0, start: int = 0) -> Samples:
    return Samples(dataset, delivery, chunk, hashes(len(some), start), some)


def pairs(found: Candidates) -> list[tuple[int, int]]:
    return list(zip(found.queries.tolist(), found.hashes[:, 1].tolist(), strict=True))


def what_is_similar_is_found_with_the_share_of_equal_numbers(vectors: Vectors, dataset: str) -> None:
    stored = signatures(300)
    vectors.upsert("acme", samples(dataset, stored))
    asked = altered(stored[:20], 0.25)
    found = vectors.search("acme", dataset, asked, 3, 0.6, 300)
    exact = similarity(asked[:, None], stored[None])
    assert pairs(found) == [(q, r) for q in range(20) for r in np.flatnonzero(exact[q] >= 0.6)]
    assert found.similarity.tolist() == [exact[q, r] for q, r in pairs(found)]
    assert (pairs(found), found.degraded) == ([(q, q) for q in range(20)], False)


def the_most_similar_come_first_and_ties_by_hash(vectors: Vectors, dataset: str) -> None:
    one = signatures(1, seed=5)
    near = np.concatenate([altered(one, share, seed) for seed, share in enumerate((0.3, 0.1, 0.2, 0.05))] + [one, one])
    vectors.upsert("acme", samples(dataset, near))
    exact = similarity(one, near)
    order = sorted(range(6), key=lambda k: (-exact[k], k))
    for limit in (1, 3, 10):
        assert [r for _, r in pairs(vectors.search("acme", dataset, one, limit, 0.3, 6))] == order[:limit]


def nothing_crosses_from_one_tenant_or_dataset_to_another(vectors: Vectors, dataset: str) -> None:
    some, other = signatures(5), str(uuid.uuid4())
    names = ["acme", 'a" or tenant != "']
    for k, (tenant, of) in enumerate((t, d) for t in names for d in (dataset, other)):
        vectors.upsert(tenant, samples(of, some, start=100 * k))
    assert [pairs(vectors.search(t, d, some[:1], 9, 0.5, 5)) for t in names for d in (dataset, other)] == [[(0, 100 * k)] for k in range(4)]


def the_same_batch_again_changes_nothing(vectors: Vectors, dataset: str) -> None:
    some = signatures(10)
    for _ in range(3):
        vectors.upsert("acme", samples(dataset, some))
    assert pairs(vectors.search("acme", dataset, some, 9, 0.5, 10)) == [(k, k) for k in range(10)]


def a_row_in_two_deliveries_is_found_once_until_both_are_gone(vectors: Vectors, dataset: str) -> None:
    some = signatures(4)
    vectors.upsert("acme", samples(dataset, some, delivery=1))
    vectors.upsert("acme", samples(dataset, some, delivery=2))
    vectors.upsert("acme", samples(dataset, signatures(4, seed=9), delivery=3, start=50))
    for delivery, left, expected in ((1, 8, [(0, 0)]), (2, 4, []), (None, 0, [])):
        vectors.delete("acme", dataset, delivery)
        assert pairs(vectors.search("acme", dataset, some[:1], 9, 0.5, left)) == expected


def an_index_that_lost_something_says_so(vectors: Vectors, dataset: str) -> None:
    vectors.upsert("acme", samples(dataset, signatures(4)))
    with pytest.raises(errors.VectorsUnavailable, match="4 of 5"):
        vectors.search("acme", dataset, signatures(1), 9, 0.5, 5)


def a_text_without_elements_is_like_nothing(vectors: Vectors, dataset: str) -> None:
    nothing = np.full((2, NUMBERS), EMPTY, np.uint32)
    vectors.upsert("acme", samples(dataset, nothing))
    assert pairs(vectors.search("acme", dataset, nothing, 9, 0.0, 2)) in ([], [(0, 0), (0, 1), (1, 0), (1, 1)])
    assert pairs(vectors.search("acme", dataset, nothing, 9, 0.1, 2)) == []


CHECKS: tuple[Callable[[Vectors, str], None], ...] = (
    what_is_similar_is_found_with_the_share_of_equal_numbers,
    the_most_similar_come_first_and_ties_by_hash,
    nothing_crosses_from_one_tenant_or_dataset_to_another,
    the_same_batch_again_changes_nothing,
    a_row_in_two_deliveries_is_found_once_until_both_are_gone,
    an_index_that_lost_something_says_so,
    a_text_without_elements_is_like_nothing,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_index_in_memory(check: Callable[[Vectors, str], None]) -> None:
    check(MemoryVectors(), str(uuid.uuid4()))


# The two together


def _backend(folder: Path, remote: MilvusConfig | None) -> StorageBackend:
    folder.mkdir(exist_ok=True)
    found = StorageBackend(SqliteConfig(folder / "test.db"), remote)
    found.migrate()
    return found


def filled(backend: StorageBackend, some: NDArray[np.uint32]) -> tuple[str, uuid.UUID]:
    tenant = f"tenant-{uuid.uuid4().hex[:8]}"
    backend.create_tenant(tenant)
    dataset = backend.create_dataset(tenant, "d")
    for chunk, start in enumerate(range(0, len(some), 20)):
        part = samples(str(dataset), some[start : start + 20], delivery=1 + chunk % 2, chunk=chunk, start=start)
        backend.batch_insert_lsh_samples(tenant, part)
        backend.batch_insert_lsh_samples(tenant, part)
    return tenant, dataset


def stored_signatures_are_found(backend: StorageBackend) -> None:
    some = signatures(50)
    tenant, dataset = filled(backend, some)
    asked = altered(some, 0.2)
    found = backend.query_lsh_candidates(tenant, dataset, asked, limit=2, threshold=0.5)
    assert (pairs(found), found.degraded) == ([(k, k) for k in range(50)], False)
    backend.delete_delivery_vectors(tenant, dataset, 2)
    left = backend.query_lsh_candidates(tenant, dataset, asked, limit=2, threshold=0.5)
    assert (pairs(left), left.degraded) == ([(k, k) for k in range(50) if k // 20 % 2 == 0], False)
    with pytest.raises(errors.NotStored):
        backend.batch_insert_lsh_samples("nobody", samples(str(dataset), some))


def test_without_milvus_the_run_goes_on_and_says_so(tmp_path: Path) -> None:
    some = signatures(50)
    away = MilvusConfig(f"http://127.0.0.1:{servers.free_port()}", timeout=0.5)
    with _backend(tmp_path, away).closing() as backend:
        tenant, dataset = filled(backend, some)
        found = backend.query_lsh_candidates(tenant, dataset, altered(some, 0.2), limit=2)
        assert (pairs(found), found.degraded) == ([(k, k) for k in range(50)], True)
        with pytest.raises(errors.VectorsUnavailable):
            backend.relay_vectors(tenant)


def milvus_is_filled_when_it_answers_again_or_was_emptied(tmp_path: Path, milvus: servers.Milvus) -> None:
    some = signatures(50)
    with _backend(tmp_path, MilvusConfig(f"http://127.0.0.1:{servers.free_port()}", timeout=0.5)).closing() as backend:
        tenant, dataset = filled(backend, some)
    config = MilvusConfig(milvus.uri, timeout=30)
    with _backend(tmp_path, config).closing() as backend:
        assert backend.relay_vectors(tenant) == 3
        found = backend.query_lsh_candidates(tenant, dataset, some)
        assert (pairs(found), found.degraded) == ([(k, k) for k in range(50)], False)
        MilvusVectors(config).delete(tenant, str(dataset), None)
        assert backend.query_lsh_candidates(tenant, dataset, some).degraded
        assert backend.rebuild_vectors() == 50
        assert not backend.query_lsh_candidates(tenant, dataset, some).degraded


def test_a_scan_finds_what_an_index_finds() -> None:
    stored, memory = signatures(3000, seed=3), MemoryVectors()
    batches = [samples("6f1c2f6e-0000-4000-8000-000000000000", stored[k : k + 700], 1 + k // 1400, k, k) for k in range(0, 3000, 700)]
    for batch in batches:
        memory.upsert("acme", batch)
    asked = np.concatenate([altered(stored[::7], 0.3), altered(stored[::7], 0.2, 4), signatures(50, seed=8)])
    index = memory.search("acme", batches[0].dataset, asked, 2, 0.4, 3000)
    found = scan(lambda: batches, asked, 2, 0.4)
    assert pairs(found) == pairs(index)
    assert found.similarity.tolist() == index.similarity.tolist()
    assert len(pairs(found)) >= 2 * len(stored[::7])


def test_earlier_deliveries_alone_can_be_asked_for(tmp_path: Path) -> None:
    some = signatures(60)
    with _backend(tmp_path, None).closing() as backend:
        tenant, dataset = filled(backend, some)
        every = backend.query_lsh_candidates(tenant, dataset, some)
        before = backend.query_lsh_candidates(tenant, dataset, some, before=2)
        assert pairs(backend.query_lsh_candidates(tenant, dataset, some, before=9)) == pairs(every)
        backend.delete_delivery_vectors(tenant, dataset, 2)
        assert pairs(before) == pairs(backend.query_lsh_candidates(tenant, dataset, some))
        assert 0 < len(pairs(before)) < len(pairs(every))


def test_stored_signatures_are_found_in_the_process(tmp_path: Path) -> None:
    with _backend(tmp_path, None).closing() as backend:
        stored_signatures_are_found(backend)


def test_a_real_milvus(tmp_path: Path) -> None:
    """All promises in one test: the server takes ten seconds and 600 MB, and two of them on one machine get into each other's way."""
    server = servers.milvus_server()
    try:
        vectors = MilvusVectors(MilvusConfig(server.uri, timeout=30))
        for check in CHECKS:
            check(vectors, str(uuid.uuid4()))
        vectors.close()
        with _backend(tmp_path / "stored", MilvusConfig(server.uri, timeout=30)).closing() as backend:
            stored_signatures_are_found(backend)
        milvus_is_filled_when_it_answers_again_or_was_emptied(tmp_path / "emptied", server)
    finally:
        server.remove()


# Newer servers: no server of that kind runs in the tests, so what is asked of it is compared with what its documentation wants.


CLIENT = pymilvus.MilvusClient


class Recorded:
    """Stands for the client of pymilvus; keeps the calls."""

    def __init__(self, version: str) -> None:
        self.version, self.calls = version, dict[str, Any]()

    def get_server_version(self) -> str:
        return self.version

    def has_collection(self, name: str) -> bool:
        return False

    def create_schema(self, **options: Any) -> Any:
        return CLIENT.create_schema(**options)

    def prepare_index_params(self) -> Any:
        return CLIENT.prepare_index_params()

    def query(self, *_: Any, **options: Any) -> list[dict[str, int]]:
        self.calls["query"] = options
        return [{"count(*)": 2}]

    def search(self, collection: str, data: list[bytes], **options: Any) -> list[list[dict[str, Any]]]:
        self.calls["search"] = options
        entity = {"row_hash": "00" * 15 + "07", "minhash_vector": data[0]}
        return [[{"entity": entity, "distance": 1.0}] for _ in data]

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: self.calls.update({name: (arguments, options)})


@pytest.mark.parametrize(
    ("version", "kind", "metric", "build", "ask"),
    [
        ("v2.6.4", "MINHASH_LSH", "MHJACCARD", {"mh_element_bit_width": 32, "mh_lsh_band": 32, "with_raw_data": True},
         {"mh_search_with_jaccard": True, "refine_k": 8}),
        ("3.0.2-rc1", "MINHASH_LSH", "MHJACCARD", {"mh_element_bit_width": 32, "mh_lsh_band": 32, "with_raw_data": True},
         {"mh_search_with_jaccard": True, "refine_k": 8}),
        ("2.5.9", "BIN_FLAT", "HAMMING", {}, {}),
        ("v2.3.5-lite", "BIN_FLAT", "HAMMING", {}, {}),
    ],
)  # fmt: skip
def test_index_and_metric_follow_the_server(
    monkeypatch: pytest.MonkeyPatch, version: str, kind: str, metric: str, build: dict[str, Any], ask: dict[str, Any]
) -> None:
    client = Recorded(version)
    monkeypatch.setattr("pymilvus.MilvusClient", lambda *_, **__: client)
    some = signatures(2)
    found = MilvusVectors(MilvusConfig("http://nowhere")).search("acme", str(uuid.uuid4()), some, 2, 0.5, 2)
    index = next(iter(client.calls["create_collection"][1]["index_params"]))
    assert (index.index_type, index.get_index_configs()["metric_type"]) == (kind, metric)
    assert {k: v for k, v in index.get_index_configs().items() if k in build} == build
    fields = {f.name: f for f in client.calls["create_collection"][1]["schema"].fields}
    assert (fields["tenant"].is_partition_key, fields["minhash_vector"].params["dim"]) == (True, 4096)
    assert client.calls["search"]["search_params"] == {"metric_type": metric, "params": ask}
    assert "tenant ==" in client.calls["search"]["filter"]
    assert "acme" not in client.calls["search"]["filter"]
    assert pairs(found) == [(0, 7)]  # what the server calls similar is counted: the second is not
