"""What the API asks of the storage beside what workers do: lists, uploads under way, keys, rates, decisions of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from data_sanitizer.storage import _keys, _listing, _outbox, _rates, _webhooks
from data_sanitizer.storage._jobs import Job
from data_sanitizer.storage._keys import ApiKey
from data_sanitizer.storage._listing import Reservation, Usage
from data_sanitizer.storage._part import Part
from data_sanitizer.storage._webhooks import Message
from data_sanitizer.storage.schema import EVERY_TENANT


class Requests(Part):
    """A part of StorageBackend, which gives it transactions. Every method names its tenant and is one transaction."""

    def list_jobs(self, tenant_id: str, *, states: Sequence[str] = (), before: UUID | None = None, limit: int = 100) -> list[Job]:
        """Jobs of a tenant, the newest first, from below `before` on; of any state where none is named."""
        return self._read(tenant_id, lambda c: _listing.listed(c, tenant_id, states, before, limit))

    def usage(self, tenant_id: str) -> Usage:
        """How many jobs a tenant has by state, and how large their inputs are."""
        return self._read(tenant_id, lambda c: _listing.usage(c, tenant_id))

    def reserve_job(self, tenant_id: str, job_id: UUID, idempotency_key: str) -> Reservation:
        """Take an idempotency key for an upload that begins, or tell which job has it."""
        return self._run(tenant_id, lambda c: _listing.reserve(c, tenant_id, job_id, idempotency_key))

    def keep_reservation(self, tenant_id: str, job_id: UUID) -> None:
        """Say that an upload still goes on."""
        self._run(tenant_id, lambda c: _listing.alive(c, tenant_id, job_id))

    def submit_job(self, tenant_id: str, job_id: UUID, **values: Any) -> bool:
        """Queue the job whose upload is complete (`source`, `options`, `lane`, …); False where its reservation is gone."""
        return self._run(tenant_id, lambda c: _listing.submit(c, tenant_id, job_id, values))

    def abandon_job(self, tenant_id: str, job_id: UUID) -> None:
        """Give a reservation back: its upload failed."""
        self._run(tenant_id, lambda c: _listing.abandon(c, tenant_id, job_id))

    def check_same_request(self, tenant_id: str, job_id: UUID, fingerprint: str, idempotency_key: str) -> None:
        """Raise IdempotencyKeyReused where the job came from another request."""
        self._read(tenant_id, lambda c: _listing.same_request(c, tenant_id, job_id, fingerprint, idempotency_key))

    def delivering(self, tenant_id: str, dataset_id: UUID | None) -> bool:
        """Whether a job that is not at its end delivers to the dataset."""
        return self._read(tenant_id, lambda c: _listing.delivering(c, tenant_id, dataset_id))

    def dataset_jobs(self, tenant_id: str, dataset_id: UUID, delivery: int | None = None) -> list[UUID]:
        """The jobs that delivered to a dataset; those that made one delivery where it is given."""
        return self._read(tenant_id, lambda c: _listing.of_dataset(c, tenant_id, dataset_id, delivery))

    def delete_job(self, tenant_id: str, job_id: UUID) -> bool:
        """Delete a job at its end, and all that hangs on it but the audit log; False where it is not at its end. Raises NotStored."""
        return self._run(tenant_id, lambda c: _listing.delete(c, tenant_id, job_id))

    def decide_cluster(self, tenant_id: str, job_id: UUID, cluster: str, decision: str, actor: str) -> None:
        """Keep what somebody decided about a cluster of duplicates; the last decision counts."""
        self._run(tenant_id, lambda c: _listing.decide(c, tenant_id, job_id, cluster, decision, actor))

    def cluster_decisions(self, tenant_id: str, job_id: UUID, clusters: Sequence[str]) -> dict[str, str]:
        """What was decided about these clusters, for those with a decision."""
        return self._read(tenant_id, lambda c: _listing.decisions(c, tenant_id, job_id, clusters))

    def audit_page(self, tenant_id: str, *, subject: str | None = None, after: int = 0, limit: int = 100) -> list[Mapping[str, Any]]:
        """Entries of the audit log behind the number `after`, in order; of one subject where it is given."""
        return self._read(tenant_id, lambda c: _listing.audit_page(c, tenant_id, subject, after, limit))

    def create_key(
        self, tenant_id: str, key_id: str, digest: bytes, *, label: str, scopes: Sequence[str], created_by: str,
        lifetime: float | None = None, delay: float | None = None,
    ) -> None:  # fmt: skip
        """Store an API key by the digest of its secret; it holds from `delay` seconds on, for `lifetime` seconds from now."""
        values = {"id": key_id, "digest": digest, "label": label, "scopes": list(scopes), "created_by": created_by}
        self._run(tenant_id, lambda c: _keys.create(c, tenant_id, values, lifetime, delay))

    def find_key(self, tenant_id: str, key_id: str) -> ApiKey | None:
        """One API key, None where the tenant has none of this name or is no more."""
        return self._read(tenant_id, lambda c: _keys.find(c, tenant_id, key_id))

    def list_keys(self, tenant_id: str) -> list[ApiKey]:
        """All API keys of a tenant, the oldest first."""
        return self._read(tenant_id, lambda c: _keys.all_of(c, tenant_id))

    def revoke_key(self, tenant_id: str, key_id: str) -> None:
        """End an API key now; raises NotStored where there is none."""
        self._run(tenant_id, lambda c: _keys.revoke(c, tenant_id, key_id))

    def touch_key(self, tenant_id: str, key_id: str) -> None:
        """Note that a key was used; exact to a minute."""
        self._run(tenant_id, lambda c: _keys.touch(c, tenant_id, key_id))

    def count_rate(self, tenant_id: str, subject: str, most: int, seconds: int, count: int = 1) -> tuple[int, int]:
        """Count an event of a subject unless there were `most` in the last seconds; gives how many, and seconds to wait (0: it counted)."""
        return self._run(tenant_id, lambda c: _rates.hit(c, tenant_id, subject, most, seconds, count))

    def add_webhook(self, tenant_id: str, webhook: UUID, url: str, created_by: str) -> None:
        """Keep an address that is told when a job ends."""
        self._run(tenant_id, lambda c: _webhooks.add(c, tenant_id, webhook, url, created_by))

    def webhooks(self, tenant_id: str) -> list[tuple[UUID, str]]:
        """The addresses of a tenant, the oldest first."""
        return self._read(tenant_id, lambda c: _webhooks.all_of(c, tenant_id))

    def delete_webhook(self, tenant_id: str, webhook: UUID) -> None:
        """Forget an address; raises NotStored where there is none."""
        self._run(tenant_id, lambda c: _webhooks.delete(c, tenant_id, webhook))

    def told_tenants(self) -> list[str]:
        """Tenants with messages about jobs that wait to be passed on."""
        return self._read(EVERY_TENANT, _webhooks.tenants_due)

    def messages(self, tenant_id: str) -> list[Message]:
        """Messages of a tenant about jobs whose turn it is, the oldest first."""
        return self._read(tenant_id, lambda c: _webhooks.due(c, tenant_id))

    def message_done(self, tenant_id: str, message: UUID) -> None:
        """A message was passed on, or is given up."""
        self._run(tenant_id, lambda c: _outbox.done(c, tenant_id, [message]))

    def message_failed(self, tenant_id: str, message: Message, why: str) -> None:
        """A message could not be passed on: it is tried again, later each time."""
        self._run(tenant_id, lambda c: _outbox.failed(c, tenant_id, message.id, message.attempts, why))
