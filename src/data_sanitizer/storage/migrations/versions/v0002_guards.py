"""The database itself keeps tenants apart (Postgres) and lets nobody change the audit log (both)."""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0002"
down_revision = "0001"

TENANT: Final = "tenant_id = (select current_setting('app.tenant_id', true))"  # once for a statement; nothing fits where it is not set
WORKER: Final = "(select current_setting('app.tenant_id', true)) = '*'"  # workers look for jobs of all tenants: in these tables only
FOR_WORKERS: Final = ("jobs", "outbox", "tenants")
TABLES: Final = (
    "tenants", "api_keys", "audit_logs", "datasets", "deliveries", "jobs", "job_chunks", "outbox", "imputation_stats", "profiles",
    "cell_provenance", "row_hashes", "lsh_samples", "entities", "entity_events", "must_not_link",
)  # fmt: skip
APPEND_ONLY: Final = """
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'audit_logs is append-only' using errcode = 'insufficient_privilege';
end $$
"""


def upgrade() -> None:
    """Row-level security, also for the owner of the tables; and triggers on the audit log."""
    if op.get_bind().dialect.name == "sqlite":
        for event in ("update", "delete"):
            refuse = "select raise(abort, 'audit_logs is append-only');"
            op.execute(f"create trigger audit_logs_{event} before {event} on audit_logs begin {refuse} end")
        return
    for table in TABLES:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        seen = f"{TENANT} or {WORKER}" if table in FOR_WORKERS else TENANT
        op.execute(f"create policy tenant on {table} using ({seen}) with check ({seen})")
    op.execute(APPEND_ONLY)
    op.execute("create trigger append_only before update or delete on audit_logs for each row execute function refuse_change()")
    op.execute("create trigger never_emptied before truncate on audit_logs for each statement execute function refuse_change()")


def downgrade() -> None:
    """Take the guards away."""
    if op.get_bind().dialect.name == "sqlite":
        for event in ("update", "delete"):
            op.execute(f"drop trigger audit_logs_{event}")
        return
    op.execute("drop trigger append_only on audit_logs")
    op.execute("drop trigger never_emptied on audit_logs")
    op.execute("drop function refuse_change()")
    for table in TABLES:
        op.execute(f"drop policy tenant on {table}")
        op.execute(f"alter table {table} no force row level security")
        op.execute(f"alter table {table} disable row level security")
