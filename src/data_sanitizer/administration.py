"""What an operator does with the storage of the service, as commands: migrate, audit, doctor, keys, backup, restore, forget."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from data_sanitizer import api_keys, settings
from data_sanitizer.bootstrap import object_store, storage_backend
from data_sanitizer.errors import DataSanitizerError, NotStored, UsageError
from data_sanitizer.settings import ApiSettings, ServiceSettings, StorageSettings

if TYPE_CHECKING:
    from data_sanitizer.retention import Forgotten
    from data_sanitizer.storage_backend import AuditHead, StorageBackend, Target

_DAY: Final = 86_400.0
_database: Callable[[Any], Any] = click.option(
    "--database", metavar="URL", help="sqlite:///FILE or postgresql://user@host:port/database. [default: DATA_SANITIZER_DATABASE_URL]"
)


@contextmanager
def _storage(database: str | None) -> Iterator[StorageBackend]:
    with storage_backend(StorageSettings.from_environment(database_url=database)).closing() as found:
        yield found


@click.command("migrate")
@_database
@click.option("--grant-to", metavar="ROLE", help="A role of Postgres that shall work with the tables: it gets what it needs and no more.")
def migrate_command(database: str | None, grant_to: str | None) -> None:
    """Make the database, or bring it to the schema of this version. Running it again changes nothing."""
    with _storage(database) as found:
        click.echo(f"The database has schema {found.migrate()}.", err=True)
        if grant_to:
            found.grant(grant_to)
            click.echo(f"{grant_to} may work with it.", err=True)


@click.group("audit")
def audit_commands() -> None:
    """The audit log: a chain of entries in which no change, removal or insertion goes unseen."""


@audit_commands.command("verify")
@click.argument("tenant")
@_database
@click.option("--anchor", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What `audit head` printed earlier.")
def verify_command(tenant: str, database: str | None, anchor: Path | None) -> None:
    """Follow the chain of a tenant; names the first entry that was changed, removed or inserted, and exits with 1.

    Without an anchor nobody can see that the newest entries were cut off.
    """
    with _storage(database) as found:
        found.check()
        state = found.verify_audit_log(tenant, _anchor(anchor) if anchor else None)
    signed = "all signed" if not state.unsigned else f"{state.unsigned} of them not signed"
    click.echo(f"{state.entries} entries verified, {signed}.", err=True)


@audit_commands.command("head")
@click.argument("tenant")
@_database
def head_command(tenant: str, database: str | None) -> None:
    """Print the newest entry's number and hash: kept elsewhere, they show later that nothing was cut off."""
    with _storage(database) as found:
        found.check()
        click.echo(json.dumps(asdict(found.verify_audit_log(tenant).head)))


def _anchor(path: Path) -> AuditHead:
    from data_sanitizer.storage_backend import AuditHead

    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return AuditHead(int(told["seq"]), str(told["hash"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(why=f"{path} is no anchor. Give the file that holds what `data-sanitizer audit head` printed.") from error


@click.command("doctor")
@_database
@click.option("--rebuild-vectors", is_flag=True, help="Make the vector index anew from the database.")
def doctor_command(database: str | None, rebuild_vectors: bool) -> None:
    """Look whether the service can work here, part by part, and say what helps; exits with the code of the first part that cannot.

    Database, vector index, clock, object store (an object is written, read and removed), broker, disk, packages, pepper: as the settings
    name them.
    """
    from data_sanitizer import health

    service, api = ServiceSettings.from_environment(), ApiSettings.from_environment()
    with _storage(database) as found:
        failed = [error for name, look in health.parts(found, service, api).items() if (error := _looked(name, look))]
        if rebuild_vectors and not failed:
            click.echo(f"{found.rebuild_vectors()} signatures put into the vector index.", err=True)
    if failed:
        raise failed[0]


def _looked(name: str, look: Callable[[], str]) -> DataSanitizerError | None:
    try:
        click.echo(f"{name}: {look()}", err=True)
    except DataSanitizerError as error:
        click.echo(f"{name}: {error}", err=True)
        return error
    return None


_files: Callable[[Any], Any] = click.option(
    "--files", multiple=True, metavar="FOLDER|URL", help="Files that belong to it: all below a folder or a prefix. May be repeated."
)


@click.command("backup")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_database
@_files
@click.option("--force", is_flag=True, help="Replace the folder.")
def backup_command(folder: Path, database: str | None, files: tuple[str, ...], force: bool) -> None:
    """Save the database and the files that belong to it in a new folder, while others work.

    On Postgres pg_dump does it: the user must be a role with BYPASSRLS that may read every table.
    """
    from data_sanitizer import safekeeping

    with _storage(database) as found:
        told = safekeeping.backup(found, folder, [settings.stores().place(place) for place in files], force=force)
    click.echo(f"Saved in {folder}: {safekeeping.described(told)}.", err=True)


@click.command("restore")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_database
@_files
def restore_command(folder: Path, database: str | None, files: tuple[str, ...]) -> None:
    """Put a backup into an empty database and empty places for files, and make the vector index anew.

    The audit logs are verified: they must reach at least as far as when the backup was begun. Give the roles their rights with
    `migrate --grant-to` afterwards.
    """
    from data_sanitizer import safekeeping

    with _storage(database) as found:
        told = safekeeping.restore(found, folder, [settings.stores().place(place) for place in files])
    click.echo(f"Restored: {safekeeping.described(told)}; {told['signatures']} signatures put into the vector index.", err=True)


@click.command("forget")
@click.option("--tenant", metavar="NAME", help="Whose. With --older-than it may be left out: then of all tenants.")
@click.option("--dataset", metavar="NAME", help="A dataset, with all its deliveries.")
@click.option("--delivery", type=click.IntRange(1), metavar="N", help="One delivery of the dataset.")
@click.option("--job", type=click.UUID, metavar="ID", help="A job, with its provenance and statistics.")
@click.option("--older-than", metavar="AGE", callback=lambda c, p, v: _age(v), help="Deliveries and finished jobs older than 90d, 12h …")
@click.option("--everything", is_flag=True, help="All of the tenant.")
@click.option("--keep-runs", is_flag=True, help="Leave the run directories of the deliveries where they are.")
@click.option("--dry-run", is_flag=True, help="Tell what would be deleted, and delete nothing.")
@click.option("--actor", default="operator", show_default=True, help="Who, for the audit log.")
@_database
def forget_command(tenant: str | None, dataset: str | None, delivery: int | None, job: UUID | None, older_than: float | None,
                   everything: bool, keep_runs: bool, dry_run: bool, actor: str, database: str | None) -> None:  # fmt: skip
    """Delete a tenant, a dataset, a delivery or a job everywhere: database, vector index, run directories, objects of the service.

    The audit log keeps that it happened and how much it was. What was stopped half-way goes on when the command is given again.
    """
    from data_sanitizer import retention

    chosen = [bool(everything), older_than is not None, job is not None, dataset is not None and older_than is None]
    if sum(chosen) != 1 or (delivery and (not dataset or older_than is not None)) or (tenant is None and older_than is None):
        raise UsageError(why="Say what to forget: --tenant with one of --dataset (and --delivery), --job, --everything; or --older-than.")
    act = retention.would_forget if dry_run else partial(retention.forget, actor=actor)
    root = object_store(settings.ServiceSettings.from_environment())
    with _storage(database) as found:
        found.check()
        for target in _targets(found, tenant, dataset, delivery, job, older_than):
            done = act(found, target, stores=settings.stores(), keep_runs=keep_runs, root=root)
            _tell_forgotten(target, done, dry_run)


def _targets(found: StorageBackend, tenant: str | None, dataset: str | None, delivery: int | None, job: UUID | None,
             age: float | None) -> list[Target]:  # fmt: skip
    from data_sanitizer.storage_backend import Target

    if tenant is None and age is not None:
        return [target for name in found.tenants() for target in _targets(found, name, dataset, None, None, age)]
    owner = tenant or ""
    known = dict(found.datasets(owner))
    if dataset is not None and dataset not in known:
        if tenant is None or age is not None:
            return []
        raise NotStored(what=f"Dataset {dataset}", tenant=owner)
    chosen = known[dataset] if dataset is not None else None
    if age is not None:
        return found.expired(owner, age, chosen)
    if delivery is not None and chosen and delivery not in {d.no for d in found.deliveries(owner, chosen)}:
        raise NotStored(what=f"Delivery {delivery} of {dataset}", tenant=owner)
    return [Target(owner, chosen, delivery, job)]


def _age(text: str | None) -> float | None:
    """Seconds, from a text such as 90d."""
    units = {"h": 3600, "d": 86_400, "w": 604_800}
    if text is None:
        return None
    if not text[:-1].isdecimal() or text[-1] not in units:
        raise click.BadParameter("write it as 90d, 12h or 4w")
    return float(int(text[:-1]) * units[text[-1]])


def _tell_forgotten(target: Target, done: Forgotten, dry: bool) -> None:
    verb = "would be deleted" if dry else "deleted"
    rows = ", ".join(f"{n} of {name}" for name, n in done.rows.items()) or "no rows"
    click.echo(f"{target.tenant}, {target.subject}: {verb}: {rows}; {len(done.runs)} run directories; {done.objects} objects.", err=True)
    for place in done.missing:
        click.echo(f"  not at {place}: the run was moved, deleted or replaced. See to its copies yourself.", err=True)


@click.group("keys")
def keys_commands() -> None:
    """API keys: who may use the service, for which tenant, and for what."""


@keys_commands.command("create")
@click.argument("tenant")
@_database
@click.option("--label", default="", help="What the key is for; shown by `keys list`.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(api_keys.SCOPES), help="[default: all but personal, metrics, admin]")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="How long the key holds. [default: until it is revoked]")
@click.option("--from-day", type=click.FloatRange(0, min_open=True), help="In how many days it begins to hold. [default: now]")
def create_key_command(
    tenant: str, database: str | None, label: str, scopes: tuple[str, ...], days: float | None, from_day: float | None
) -> None:
    """Make a key and print it: this is the only time that it is shown. Makes the tenant where it is not there."""
    with _storage(database) as found:
        click.echo(new_key(found, ApiSettings.from_environment(), tenant, label, scopes, days=days, delay=from_day))


def new_key(found: StorageBackend, settings: ApiSettings, tenant: str, label: str, scopes: Sequence[str] = (), *,
            days: float | None = None, delay: float | None = None) -> str:  # fmt: skip
    """Make a key of a tenant, as it is sent: TENANT:KEY. Raises UsageError where no tenant can have the name."""
    if not api_keys.is_tenant(tenant):
        raise UsageError(why=f"{tenant!r} cannot be the name of a tenant. Write it in lower-case letters, digits, - and _, at most 63.")
    key, pepper = api_keys.new_key(), settings.pepper()
    secret = api_keys.parsed(key.text)
    assert secret is not None
    found.create_tenant(tenant)
    found.create_key(
        tenant, key.id, api_keys.digest(pepper, secret[1]), label=label, scopes=scopes or api_keys.USUAL, created_by="operator",
        lifetime=days and days * _DAY, delay=delay and delay * _DAY,
    )  # fmt: skip
    found.insert_audit_log(tenant, "operator", "key.created", f"key:{key.id}", {"scopes": list(scopes or api_keys.USUAL)})
    return f"{tenant}:{key.text}"


@keys_commands.command("list")
@click.argument("tenant")
@_database
def list_keys_command(tenant: str, database: str | None) -> None:
    """Print the keys of a tenant as JSON, a line each; never a secret."""
    with _storage(database) as found:
        for key in found.list_keys(tenant):
            told = {name: value for name, value in asdict(key).items() if name != "digest"}
            click.echo(json.dumps(told, default=str))


@keys_commands.command("revoke")
@click.argument("tenant")
@click.argument("key_id")
@_database
def revoke_key_command(tenant: str, key_id: str, database: str | None) -> None:
    """End a key: within five seconds no process of the service takes it any more."""
    with _storage(database) as found:
        found.revoke_key(tenant, key_id)
        found.insert_audit_log(tenant, "operator", "key.revoked", f"key:{key_id}")
    click.echo(f"Key {key_id} is revoked.", err=True)
