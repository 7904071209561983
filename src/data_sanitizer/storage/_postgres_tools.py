"""Backups of a Postgres database by its own programs, pg_dump and pg_restore, which must not be older than the server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from data_sanitizer.errors import DatabaseFull, DatabaseRefused, DatabaseUnreachable, DataSanitizerError, PackageMissing

_PHRASES: Final[tuple[tuple[str, str], ...]] = (  # what the programs say, and what it means; their text is never shown, it may quote rows
    (
        "row-level security",
        "row-level security holds its user: give a role with BYPASSRLS and pg_read_all_data",
    ),
    ("server version mismatch", "pg_dump is older than the server: install that of the server's version"),
    ("unsupported version", "the dump was made by a newer pg_dump: install that version"),
    ("permission denied", "the user lacks a right: a backup reads every table, a restore makes them"),
    ("already exists", "it is not empty"),
    ("authentication failed", "user or password is wrong"),
    ("does not exist", "the database or the user does not exist"),
)


def dump(parameters: Mapping[str, Any], path: Path) -> None:
    """Save the database as it is at one moment; who writes meanwhile is not kept from it."""
    _run("pg_dump", parameters, "--format=custom", "--compress=1", "--no-owner", "--no-acl", "--lock-wait-timeout=60s", f"--file={path}")


def load(parameters: Mapping[str, Any], path: Path) -> None:
    """Put a saved database into an empty one: all of it, or nothing."""
    _run("pg_restore", parameters, "--no-owner", "--no-acl", "--single-transaction", "--exit-on-error", str(path))


def _run(program: str, parameters: Mapping[str, Any], *arguments: str) -> None:
    from psycopg.conninfo import make_conninfo

    found = shutil.which(program)
    if found is None:
        raise PackageMissing(package=program, what="backups of Postgres; it comes with the client programs of Postgres, not with pip")
    password = parameters.get("password")
    target = make_conninfo(**{k: v for k, v in parameters.items() if k != "password" and v is not None})
    secret = {"PGPASSWORD": password} if password else {}  # not as an argument: every user of the machine sees those
    command = [found, f"--dbname={target}", "--no-password", *arguments]
    done = subprocess.run(command, env={"LC_ALL": "C", **secret}, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise _meaning(program, done.stderr.decode("utf-8", "replace"))


def _meaning(program: str, said: str) -> DataSanitizerError:
    if "No space left on device" in said or "could not write" in said:
        return DatabaseFull()
    if why := next((why for phrase, why in _PHRASES if phrase in said), None):
        return DatabaseRefused(why=why)
    if "connection to server" in said or "server closed the connection" in said:
        return DatabaseUnreachable(why=f"{program} lost it, or did not reach it")
    return DatabaseRefused(why=f"{program} failed")
