"""Errors of databases in our own words. What a driver says may quote values, so its text is never shown; codes and known phrases are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from data_sanitizer import errors

_CODES: Final[tuple[tuple[str, type[errors.DataSanitizerError], str], ...]] = (  # the first that a code of Postgres begins with
    ("08", errors.DatabaseUnreachable, "the connection was lost"),
    ("57014", errors.DatabaseBusy, "a statement took longer than statement_timeout"),
    ("57P0", errors.DatabaseUnreachable, "the server is stopping or starting"),
    ("25P03", errors.DatabaseBusy, "a transaction was idle for too long"),
    ("25006", errors.DatabaseRefused, "it only reads at present"),
    ("28", errors.DatabaseRefused, "user or password is wrong"),
    ("3D000", errors.DatabaseRefused, "the database does not exist"),
    ("40", errors.DatabaseBusy, "another transaction was in the way"),
    ("42501", errors.DatabaseRefused, "the user lacks a right"),
    ("42P01", errors.SchemaOutdated, ""),
    ("42703", errors.SchemaOutdated, ""),
    ("53100", errors.DatabaseFull, ""),
    ("53", errors.DatabaseBusy, "the server lacks connections or memory"),
    ("55P03", errors.DatabaseBusy, "a lock was not to be had"),
)
_PHRASES: Final[tuple[tuple[str, type[errors.DataSanitizerError], str], ...]] = (  # what SQLite says
    ("locked", errors.DatabaseBusy, "another process writes"),
    ("disk is full", errors.DatabaseFull, ""),
    ("unable to open", errors.DatabaseUnreachable, "the file cannot be opened"),
    ("readonly", errors.DatabaseRefused, "the file cannot be written"),
    ("no such table", errors.SchemaOutdated, ""),
    ("no such column", errors.SchemaOutdated, ""),
    ("not a database", errors.DatabaseRefused, "the file is no database"),
)


@contextmanager
def translated(driver: type[Exception]) -> Iterator[None]:
    """Turn errors of SQLAlchemy and of one driver into ours."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, driver) as error:
        original = getattr(error, "orig", None) or error
        raise _meaning(original) from error


def _meaning(error: BaseException) -> errors.DataSanitizerError:
    code = str(getattr(error, "sqlstate", None) or "")
    text = str(error).lower()
    for known, kind, why in (*((c, k, w) for c, k, w in _CODES if code.startswith(c)), *((p, k, w) for p, k, w in _PHRASES if p in text)):
        return _error(kind, why, known)
    if type(error).__name__ == "OperationalError" and not code:
        return errors.DatabaseUnreachable(why="the connection was lost or refused")
    return errors.DatabaseRefused(why=f"{type(error).__name__} {code}".strip())


def _error(kind: type[errors.DataSanitizerError], why: str, known: str) -> errors.DataSanitizerError:
    if kind is errors.SchemaOutdated:
        return kind(found=f"without something that is needed ({known})", needed="all of it")
    return kind(why=why) if why else kind()
