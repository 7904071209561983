"""The commands `job …`: what the client does, from a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from data_sanitizer import settings
from data_sanitizer.client import Client


def _service(command: Any) -> Any:
    """The options that say which service, and as whom. A key is never an argument: others could see it in the list of processes."""
    for option in (
        click.option("--key-file", type=click.Path(dir_okay=False, path_type=Path), help="A file with TENANT:KEY. "
                     "[default: DATA_SANITIZER_API_KEY_FILE, or the key itself in DATA_SANITIZER_API_KEY]"),
        click.option("--url", help="The address of the service. [default: DATA_SANITIZER_URL, or http://127.0.0.1:8000]"),
    ):  # fmt: skip
        command = option(command)
    return command


def _client(url: str | None, key_file: Path | None) -> Client:
    return Client(*settings.remote(url, key_file))


@click.group("job")
def job_commands() -> None:
    """Jobs of a service that runs elsewhere: hand tables in, wait, fetch results."""


@job_commands.command("submit")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dataset-name", help="A name to find the job by.")
@click.option("--dataset", help="The dataset that this is a delivery to.")
@click.option("--accept-changes", is_flag=True, help="Publish the delivery whatever the contract of its dataset says.")
@click.option("--recipe", default="careful", show_default=True, help="careful, complete, or a YAML file.")
@click.option("--format", "output_format", type=click.Choice(["parquet", "csv", "jsonl"]), default="parquet", show_default=True)
@click.option("--priority", type=click.IntRange(-9, 9), default=0, show_default=True, help="Larger ones first.")
@click.option("--wait", is_flag=True, help="Wait for the end of the job.")
@_service
def submit(file: Path, dataset_name: str | None, recipe: str, wait: bool, url: str | None, key_file: Path | None,
           **options: Any) -> None:  # fmt: skip
    """Hand a table in; prints the id of its job."""
    with _client(url, key_file) as client:
        job = client.ingest(file, dataset_name, recipe=_recipe(recipe), **options)
        click.echo(job)
        if wait:
            client.wait(job, told=_told())


def _recipe(name: str) -> Any:
    """A name as it is, a file as its content: the service has none of our files."""
    if not Path(name).is_file():
        return name
    import yaml

    return yaml.safe_load(Path(name).read_text("utf-8"))


@job_commands.command("watch")
@click.argument("job")
@_service
def watch(job: str, url: str | None, key_file: Path | None) -> None:
    """Wait for the end of a job, and tell how far it is; exits with 4 where it fails."""
    with _client(url, key_file) as client:
        status = client.wait(job, told=_told())
    click.echo(json.dumps(status))


def _told() -> Callable[[dict[str, Any]], None]:
    """A line on standard error for every stage, and for every tenth of it."""
    seen: set[Any] = set()

    def tell(status: dict[str, Any]) -> None:
        progress = status["progress"]
        percent = progress.get("percent")
        line = (status["status"], progress.get("stage"), None if percent is None else int(percent) // 10)
        if line not in seen:
            seen.add(line)
            parts = [status["status"], progress.get("stage") or "", "" if percent is None else f"{percent:.0f} %"]
            click.echo(" ".join(part for part in parts if part), err=True)

    return tell


@job_commands.command("list")
@click.option("--status", type=click.Choice(["queued", "running", "success", "failed", "cancelled"]))
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@_service
def list_(status: str | None, limit: int, url: str | None, key_file: Path | None) -> None:
    """Print jobs, the newest first, as JSON, a line each."""
    with _client(url, key_file) as client:
        for job, _ in zip(client.jobs(status), range(limit), strict=False):
            click.echo(json.dumps(job))


@job_commands.command("cancel")
@click.argument("job")
@_service
def cancel(job: str, url: str | None, key_file: Path | None) -> None:
    """Cancel a job; a running one ends within seconds."""
    with _client(url, key_file) as client:
        click.echo(client.cancel(job)["status"], err=True)


@job_commands.command("download")
@click.argument("job")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE")
@click.option("--format", "format_", type=click.Choice(["parquet", "csv", "jsonl", "xlsx"]), help="[default: by the ending of FILE]")
@click.option("--no-formula-guard", is_flag=True, help="CSV as it is, also where a spreadsheet takes a text for a formula.")
@click.option("--force", is_flag=True, help="Replace the file.")
@_service
def download(job: str, output: Path, format_: str | None, no_formula_guard: bool, force: bool, url: str | None,
             key_file: Path | None) -> None:  # fmt: skip
    """Fetch the cleaned table of a job."""
    ending = output.suffix[1:].lower()
    wanted = format_ or (ending if ending in ("parquet", "csv", "jsonl", "xlsx") else None)
    with _client(url, key_file) as client:
        client.download(job, output, format=wanted, formula_guard=not no_formula_guard, force=force)
