"""Servers for tests: one that the environment names, else one found on this machine and started for the tests, else none, with a reason."""

from __future__ import annotations

import contextlib
import io
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

ROLES = ("ds_owner", "ds_app")  # who migrates, and who works: neither is a superuser, for whom row-level security does not hold


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class PostgresServer:
    """A private server with a superuser `postgres`, on 127.0.0.1 alone; or the one of DATABASE_URL."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="ds-pg-", dir="/tmp"))
        self._user = _unprivileged()
        if self._user:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "-D", self.data, "-A", "trust", "-N", "-E", "UTF8", "-U", "postgres", "--locale=C")
        self.start()

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def start(self, *options: str) -> None:
        settings = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off {' '.join(options)}"
        self._run("pg_ctl", "-D", self.data, "-w", "-o", settings, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, user: str) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def _run(self, tool: str, *arguments: str) -> None:
        command = [str(self._binaries / tool), *arguments]
        drop = ["runuser", "-u", self._user, "--"] if self._user else []
        subprocess.run([*drop, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, cwd="/")


def _unprivileged() -> str | None:
    """Who the server runs as: Postgres refuses root."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return next(user for user in ("postgres", "nobody") if user in known)


def postgres_server() -> PostgresServer:
    """A new server; skips the test where there are no binaries."""
    folders = [Path(p).parent for p in (shutil.which("initdb"),) if p]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (os.geteuid() != 0 or shutil.which("runuser")):
            return PostgresServer(folder)
    pytest.skip("no Postgres: neither initdb on the PATH nor /usr/lib/postgresql")


def new_database(server: PostgresServer, name: str) -> tuple[str, str]:
    """An empty database; gives the URLs of its owner and of the role that the service runs as."""
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as connection:
        known = {row[0] for row in connection.execute("select rolname from pg_roles")}
        for role in ROLES:
            if role not in known:
                connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(ROLES[0])))
    return server.url(name, ROLES[0]), server.url(name, ROLES[1])


def rows(url: str, statement: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
    """What a statement gives, past the storage: for what a test must see or spoil by itself."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


class Milvus:
    """A private Milvus 2.3 from the package `milvus`: the real server, with its metadata and log embedded."""

    def __init__(self) -> None:
        from milvus import MilvusServer

        self.folder = Path(tempfile.mkdtemp(prefix="ds-milvus-"))
        self._server = MilvusServer(wait_for_started=False)
        self._server.set_base_dir(str(self.folder))
        self._server.config.set("proxy_port", free_port())
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self._server.start()
            self._server.wait_started(timeout=90_000)  # milliseconds
        except (OSError, RuntimeError, TimeoutError):
            self.remove()
            raise

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._server.listen_port}"

    def remove(self) -> None:
        self._server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def milvus_server() -> Milvus:
    """A new server; skips the test where the package is not there or the server does not start."""
    pytest.importorskip("milvus", reason="no Milvus server: the package milvus is made for Linux on x86-64 alone")
    try:
        return Milvus()
    except (OSError, RuntimeError, TimeoutError) as error:
        pytest.skip(f"no Milvus server: it did not start ({error})")
