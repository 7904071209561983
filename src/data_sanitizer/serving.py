"""The command `serve`: the whole service on one machine, the API and its workers, from an empty folder on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from data_sanitizer import settings
from data_sanitizer.administration import new_key
from data_sanitizer.bootstrap import storage_backend
from data_sanitizer.errors import OutputNotWritable, PackageMissing, UsageError
from data_sanitizer.settings import ApiSettings, StorageSettings

_APP: Final = "data_sanitizer.api_server:app"
_PAUSE: Final = 2.0  # seconds before a worker that ended is started again
_DRAIN: Final = 30.0  # seconds that workers have to come to an end


@click.command("serve")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default="data-sanitizer-data", show_default=True,
              help="The folder of the service; made where it is not there.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Processes that clean; 0: they run elsewhere.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Processes that answer requests.")
def serve_command(data: Path, host: str, port: int, workers: int, processes: int) -> None:
    """Start the service: the API and workers, with all they need in one folder, or where the settings say.

    On the first start a tenant `default` is made with a key, which is printed once and left in default.key in the folder.
    """
    _prepare(data, alone=processes == 1)
    api = ApiSettings.from_environment()
    api.pepper()
    _ready(data, api)
    with _working(workers):
        _serve(host, port, processes, api)


def _prepare(data: Path, *, alone: bool) -> None:
    folder = data.absolute()
    try:
        for part in (folder, folder / "objects", folder / "work", folder / "cache"):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OutputNotWritable(path=folder, why=error.strerror) from error
    settings.embedded(folder, alone=alone)


def _ready(data: Path, api: ApiSettings) -> None:
    """Bring an embedded database to the schema, look whether another one has it, and make the first key."""
    described = StorageSettings.from_environment()
    with storage_backend(described).closing() as found:
        if described.database_url.startswith("sqlite:"):
            found.migrate()
        found.check()
        path = data / "default.key"
        if path.exists() or not described.database_url.startswith("sqlite:"):
            return
        key = new_key(found, api, "default", "made by serve")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{key}\n")
    click.echo(f"The key of the tenant default, shown this once and kept in {path}:\n{key}", err=True)


@contextmanager
def _working(count: int) -> Iterator[None]:
    """Worker processes for the time of the block; one that ends is started again."""
    ending = threading.Event()
    threads = [threading.Thread(target=_kept_up, args=(number, count, ending)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        ending.set()
        for thread in threads:
            thread.join()


def _kept_up(number: int, count: int, ending: threading.Event) -> None:
    """One worker; where there are several, the first of them is kept free for small jobs."""
    lanes = ["--lanes", "small"] if count > 1 and number == 0 else []
    while not ending.is_set():
        process = subprocess.Popen([sys.executable, "-m", "data_sanitizer.cli", "worker", *lanes], stdin=subprocess.DEVNULL)  # noqa: S603
        while process.poll() is None and not ending.wait(0.2):
            pass
        if process.poll() is None:
            _ended(process)
        ending.wait(_PAUSE)


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_DRAIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve(host: str, port: int, processes: int, api: ApiSettings) -> None:
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise PackageMissing(package="uvicorn", what="serve") from error

    if bool(api.tls_certificate) != bool(api.tls_key):
        raise UsageError(why="A certificate needs its key, and the key its certificate: set both, or neither.")
    tls: dict[str, Any] = {"ssl_certfile": api.tls_certificate, "ssl_keyfile": api.tls_key} if api.tls_certificate else {}
    click.echo(f"Listening on http{'s' if tls else ''}://{host}:{port}, documentation at /api/docs. Stop with Ctrl-C.", err=True)
    try:
        uvicorn.run(
            _APP, host=host, port=port, workers=processes if processes > 1 else None, access_log=False, server_header=False,
            log_level="warning", timeout_keep_alive=10, timeout_graceful_shutdown=10, limit_concurrency=1000, proxy_headers=False,
            http="h11", ws="none", h11_max_incomplete_event_size=64 << 10, **tls,
        )  # fmt: skip
    except KeyboardInterrupt:
        click.echo("The service ends.", err=True)
