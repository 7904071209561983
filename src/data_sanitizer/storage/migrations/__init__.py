"""Brings a database to the schema of a version, with Alembic: expand first, contract in a later release.

A migration only adds what the running older version can ignore; what it no longer needs is taken away one release later. So workers of
two versions work on one database while they are exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from data_sanitizer.errors import SchemaOutdated, UsageError
from data_sanitizer.ports import Database
from data_sanitizer.storage.postgres import be_patient
from data_sanitizer.storage.schema import EVERY_TENANT, metadata

TABLE = "schema_version"
_LOCK = 0x6461_7461  # any number: two processes that migrate at once take turns


def _scripts() -> ScriptDirectory:
    folder = Path(__file__).parent
    return ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])


def newest() -> str:
    """The version of the schema that this version of the program works with."""
    return str(_scripts().get_current_head())


def current(database: Database) -> str | None:
    """The version of the schema that a database has; None where it has none."""
    with database.transaction(EVERY_TENANT, read_only=True) as connection:
        return _context(connection).get_current_revision()


def check(database: Database) -> None:
    """Raises SchemaOutdated where the database lacks a migration. One that is newer is fine: migrations expand first."""
    found, known = current(database), [script.revision for script in _scripts().walk_revisions()]
    if found is None or (found in known and found != known[0]):
        raise SchemaOutdated(found=found or "none", needed=known[0])


def upgrade(database: Database, to: str = "head") -> str:
    """Run every migration that is missing, up to a version; gives the version. All of it happens, or nothing."""
    scripts = _scripts()
    return _migrate(database, lambda revision, _: scripts._upgrade_revs(to, revision))


def downgrade(database: Database, to: str) -> str:
    """Take migrations back down to a version, or all of them with `base`. What the newer tables held is lost."""
    scripts = _scripts()
    return _migrate(database, lambda revision, _: scripts._downgrade_revs(to, revision))


def _migrate(database: Database, steps: Callable[[Any, MigrationContext], list[Any]]) -> str:
    with database.transaction(EVERY_TENANT) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            be_patient(connection, None)
            connection.execute(sa.select(sa.func.set_config("statement_timeout", "0", True)))
        context = _context(connection, fn=steps)
        with Operations.context(context):
            context.run_migrations()
        return context.get_current_revision() or "base"


def _context(connection: sa.Connection, **options: Any) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": TABLE, "target_metadata": metadata, **options})


def grant(database: Database, role: str) -> None:
    """Give a role of Postgres what the service needs, and no more: an audit log it can only add to."""
    if database.dialect != "postgresql":
        raise UsageError(why="Only Postgres has roles: leave --grant-to out.")
    from psycopg import sql

    with database.transaction(EVERY_TENANT) as connection:
        driver: Any = connection.connection.driver_connection
        there = set(sa.inspect(connection).get_table_names())  # an older schema has not all of them
        for table in (name for name in (*metadata.tables, TABLE) if name in there):
            rights = {"audit_logs": "SELECT, INSERT", TABLE: "SELECT"}.get(table, "SELECT, INSERT, UPDATE, DELETE")
            driver.execute(sql.SQL("GRANT " + rights + " ON {} TO {}").format(sql.Identifier(table), sql.Identifier(role)))
