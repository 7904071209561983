"""The service as its users meet it: started by one command on an empty folder, spoken to by the client and by `job …`."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import polars as pl
import psutil
import pytest
import xlsxwriter

from data_sanitizer import Client, errors
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from tests.api import Running, served

TABLE = pl.DataFrame(
    {
        "id": [str(1000 + n) for n in range(40)],
        "name": [f"  Person {n}" if n % 5 else f"Person {n} " for n in range(40)],
        "joined": [f"{1 + n % 28:02}/11/2024" for n in range(40)],
        "note": ["=cmd()" if n == 3 else "-5" if n == 4 else "N/A" for n in range(40)],
    }
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with served(tmp_path_factory.mktemp("service"), "--workers", "2") as found:
        yield found


def files(folder: Path) -> list[Path]:
    """The same table in four formats."""
    paths = [folder / f"table.{ending}" for ending in ("csv", "jsonl", "parquet", "xlsx")]
    TABLE.write_csv(paths[0])
    TABLE.write_ndjson(paths[1])
    TABLE.write_parquet(paths[2])
    with xlsxwriter.Workbook(str(paths[3]), {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        for place, row in enumerate([TABLE.columns, *TABLE.iter_rows()]):
            for column, cell in enumerate(row):
                sheet.write_string(place, column, cell)
    return paths


def test_each_format_is_cleaned_as_the_command_cleans_it(running: Running, tmp_path: Path) -> None:
    paths = files(tmp_path)
    with running.client() as client, ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda path: client.ingest(path, "people"), paths))
        for path, job in zip(paths, jobs, strict=True):
            status = client.wait(job, timeout=120)
            assert status["rows"]["in"] == TABLE.height
            run = tmp_path / f"run-{path.suffix[1:]}"
            sanitize([str(path)], run, load_recipe("careful"), RunOptions())
            assert client.download(job) == (run / "cleaned.parquet").read_bytes(), path.name
            assert client.get_report(job)["totals"] == json.loads((run / "report.json").read_text())["totals"]
            target = client.download(job, tmp_path / f"{path.stem}-{path.suffix[1:]}.csv", format="csv")
            text = Path(str(target)).read_text()
            assert "'=cmd()" in text
            assert "'-5" not in text
            assert str(running.folder) not in client.report_page(job)


def test_what_cannot_be_cleaned_says_why(running: Running, tmp_path: Path) -> None:
    image = tmp_path / "table.csv"
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10)
    with running.client() as client:
        job = client.ingest(image)
        with pytest.raises(errors.ServiceRefused) as caught:
            client.wait(job, timeout=120)
        assert caught.value.reason == "unsupported-content"
        assert client.get_status(job)["status"] == "failed"
        with pytest.raises(errors.ServiceRefused) as caught:
            client.download(job)
        assert caught.value.reason == "no-result"


def test_the_first_key_is_shown_once_and_kept_from_others(running: Running) -> None:
    assert running.log.read_text().count(running.key) == 1
    for name in ("default.key", "pepper", "audit.key"):
        assert stat.S_IMODE((running.folder / name).stat().st_mode) == 0o600


def test_a_revoked_key_is_refused_within_five_seconds(running: Running) -> None:
    """T06."""
    made = running.command("keys", "create", "other", "--label", "x", "--scope", "jobs:read")
    key = made.stdout.strip()
    with running.client(key, tries=1) as client:
        assert list(client.jobs()) == []
        with pytest.raises(errors.ServiceRefused) as caught:
            client.ingest(Path(__file__))
        assert caught.value.reason == "insufficient-scope"
        listed = [json.loads(line) for line in running.command("keys", "list", "other").stdout.splitlines()]
        assert (listed[0]["label"], listed[0]["scopes"], "digest" in listed[0]) == ("x", ["jobs:read"], False)
        assert running.command("keys", "revoke", "other", listed[0]["id"]).returncode == 0
        until = time.monotonic() + 5
        while time.monotonic() < until and _answers(client):
            time.sleep(0.2)
        assert not _answers(client)


def _answers(client: Client) -> bool:
    try:
        list(client.jobs())
    except errors.ServiceRefused as error:
        return error.reason != "unauthorized"
    return True


def test_the_commands_of_a_job(running: Running, tmp_path: Path) -> None:
    path, target = files(tmp_path)[0], tmp_path / "out.jsonl"
    submitted = running.command("job", "submit", str(path), "--wait")
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    assert json.loads(running.command("job", "list", "--limit", "1").stdout)["id"] == job
    assert running.command("job", "download", job, "-o", str(target)).returncode == 0
    assert pl.read_ndjson(target).height == TABLE.height
    assert running.command("job", "download", job, "-o", str(target)).returncode == 2
    refused = running.command("job", "cancel", job)
    assert (refused.returncode, "ended" in refused.stderr) == (4, True)


def test_a_client_that_is_cut_off_asks_again_and_makes_one_job(running: Running, tmp_path: Path) -> None:
    path = files(tmp_path)[0]
    with running.client() as client:
        sent = []
        post = client._http.request

        def lossy(method: str, url: str, **how: object) -> httpx.Response:
            answer = post(method, url, **how)  # type: ignore[arg-type]
            sent.append(answer.json()["job_id"])
            if len(sent) == 1:
                raise httpx.ReadError("lost")
            return answer

        client._http.request = lossy  # type: ignore[method-assign, assignment]
        job = client.ingest(path)
    assert sent == [job, job]


def test_it_stops_when_it_is_told_to_and_leaves_no_process(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "1") as found:
        children = psutil.Process(found.process.pid).children(recursive=True)
        found.process.terminate()
        assert found.process.wait(30) == 0
    assert psutil.wait_procs(children, timeout=5)[1] == []
