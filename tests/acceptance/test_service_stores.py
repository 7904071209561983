"""The whole service on an object store: upload, process, report, download; also by addresses that the store signs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import polars as pl
import pytest

from tests import object_stores
from tests.api import TABLE, Running, served


@pytest.fixture(scope="module", params=["s3", "gs"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as resources:
        (folder / "store").mkdir()
        server = object_stores.moto() if request.param == "s3" else object_stores.fake_gcs(folder / "store")
        endpoint = resources.enter_context(server)
        told = {**object_stores.environment(request.param, endpoint), "DATA_SANITIZER_REDIRECT_DOWNLOADS": "60",
                "DATA_SANITIZER_OBJECT_STORE": f"{request.param}://{object_stores.BUCKET}/service"}  # fmt: skip
        yield resources.enter_context(served(folder, "--workers", "1", settings=list(told.items())))


def test_a_table_goes_through_the_service_on_an_object_store(running: Running, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(TABLE)
    with running.client() as client:
        job = client.ingest(tmp_path / "t.csv", dataset="people")
        status = client.wait(job, timeout=120)
        assert (status["status"], status["delivery"]) == ("success", 1)
        assert client.get_report(job)["schema"]
        for form in ("parquet", "csv"):
            path = client.download(job, tmp_path / f"out.{form}", format=form)
            assert isinstance(path, Path)
            rows = pl.read_parquet(path) if form == "parquet" else pl.read_csv(path)
            assert len(rows) == status["rows"]["kept"]
            assert client.download(job, format=form) == path.read_bytes()
        answer = httpx.get(f"{running.url}/api/v1/jobs/{job}/download", headers={"X-API-Key": running.key})
        assert answer.status_code == (307 if running.folder.parent.name.startswith("s3") else 200)  # that of GCS asks without credentials
        if answer.status_code == 307:
            plain = httpx.get(answer.headers["location"])  # without any key
            assert plain.content == (tmp_path / "out.parquet").read_bytes()
            assert "t-cleaned.parquet" in plain.headers["content-disposition"]
        client.delete(job)
