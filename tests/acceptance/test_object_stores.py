"""Tables and runs in object stores, through the command: as on this machine, byte for byte, and never half of a run."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import data_sanitizer as ds
from data_sanitizer.benchmark_generator import generate
from data_sanitizer.stores import Location
from tests.acceptance.command import Done, call, left_over, start
from tests.object_stores import Proxied, Proxy, environment, place, proxied, status

SCHEMES = ("s3", "gs")
count = iter(range(1_000_000))


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxy(scheme: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The store behind a proxy, and the environment that leads the command to it."""
    with proxied(request.getfixturevalue(f"{scheme}_server")) as made:
        for name, value in environment(scheme, made.endpoint).items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def prefix(scheme: str, proxy: Proxy) -> Location:
    return place(proxy.endpoint, scheme, f"acceptance/{os.getpid()}/{next(count)}")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(120, tmp_path_factory.mktemp("table"))["csv"]


def put(prefix: Location, name: str, data: bytes) -> str:
    prefix.store.write((prefix / name).key, [data])
    return str(prefix / name)


def names(prefix: Location) -> list[str]:
    start = (prefix / "").key
    return [found.key.removeprefix(start) for found in prefix.store.listed(start)]


def content(prefix: Location, name: str) -> bytes:
    found = prefix.store.find((prefix / name).key)
    return prefix.store.read(found, 0, found.size)


def written_as(path: Path, name: str, folder: Path) -> bytes:
    """The table in the format and the packing that a name promises."""
    if name.endswith(".gz"):
        return gzip.compress(path.read_bytes())
    frame, target = pl.read_csv(path, infer_schema=False), folder / f"as-{name}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet, "arrow": frame.write_ipc,
     "json": frame.write_json,
     "xlsx": frame.write_excel}[name.rpartition(".")[2]](target)  # fmt: skip
    return target.read_bytes()


@pytest.mark.parametrize(
    ("scheme", "name"),
    [*(("s3", f"in.{end}") for end in ("csv", "csv.gz", "jsonl", "json", "parquet", "arrow", "xlsx")), ("gs", "in.csv.gz")],
    indirect=["scheme"],
)
def test_a_run_in_a_store_is_the_run_on_this_machine(
    name: str, table: Path, prefix: Location, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = written_as(table, name, tmp_path)
    (tmp_path / name).write_bytes(data)
    url = put(prefix, name, data)
    assert call(capfd, "clean", tmp_path / name, "-o", tmp_path / "run", "--quiet").code == 0
    done = call(capfd, "clean", url, "-o", f"{prefix}/run/", "--quiet")
    assert (done.code, done.err) == (0, "")
    here = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    assert names(prefix / "run") == sorted(here)
    manifests = [json.loads(here["manifest.json"]), json.loads(content(prefix / "run", "manifest.json"))]
    assert manifests[0]["inputs"] == manifests[1]["inputs"]
    assert content(prefix / "run", "cleaned.parquet") == here["cleaned.parquet"]
    assert call(capfd, "verify", f"{prefix}/run", url).code == 0


def test_every_command_takes_and_gives_urls(table: Path, prefix: Location, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    url = put(prefix, "in.csv", table.read_bytes())
    done = call(capfd, "clean", url, "-o", f"{prefix}/run", "--format", "csv")
    assert f"Report: {prefix}/run/report.html" in done.err
    told = call(capfd, "explain", f"{prefix}/run", 1)
    assert (told.code, "row 1" in told.out) == (0, True)
    assert call(capfd, "undo", f"{prefix}/run", "--everything", "-o", f"{prefix}/undone").code == 0
    assert call(capfd, "verify", f"{prefix}/undone", url).code == 0
    assert call(capfd, "convert", url, "-o", f"{prefix}/plain.parquet").code == 0
    assert call(capfd, "convert", url, "-o", tmp_path / "plain.parquet").code == 0
    assert content(prefix, "plain.parquet") == (tmp_path / "plain.parquet").read_bytes()
    assert call(capfd, "convert", url, "-o", f"{prefix}/plain.parquet").code == 2
    assert call(capfd, "convert", url, "-o", f"{prefix}/plain.parquet", "--force").code == 0
    profile = json.loads(call(capfd, "profile", url).out)
    assert profile["rows"] == 120
    assert call(capfd, "explain", f"{prefix}/nothing", 1).code == 2


def test_many_files_are_one_table_in_the_order_of_their_names(
    table: Path, prefix: Location, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    header, *lines = table.read_bytes().splitlines(keepends=True)
    for name, part in (("b.csv", lines[40:]), ("a.csv", lines[:40])):
        (tmp_path / name).write_bytes(header + b"".join(part))
        put(prefix, f"in/{name}", header + b"".join(part))
    put(prefix, "in/_SUCCESS", b"")
    put(prefix, "in/deep/c.txt", header)
    expected = [f"{prefix}/in/a.csv", f"{prefix}/in/b.csv"]
    for given in (f"{prefix}/in/*.csv", f"{prefix}/in/[ab].*"):
        done = call(capfd, "clean", given, "--dry-run", "--json")
        assert [s["name"] for s in json.loads(done.out)["sources"]] == expected
    whole = json.loads(call(capfd, "clean", f"{prefix}/in/", "--dry-run", "--json").out)
    assert [s["name"] for s in whole["sources"]] == [*expected, f"{prefix}/in/deep/c.txt"]
    here = json.loads(call(capfd, "clean", f"{tmp_path}/?.csv", "--dry-run", "--json").out)
    assert [s["name"] for s in here["sources"]] == [f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"]
    assert here["totals"] == json.loads(done.out)["totals"]
    for nothing in (f"{prefix}/in/*.parquet", f"{prefix}/none/", f"{tmp_path}/*.parquet"):
        refused = call(capfd, "clean", nothing, "--dry-run")
        assert (refused.code, nothing in refused.err) == (3, True)
    assert call(capfd, "clean", f"{prefix}/in/", f"{prefix}/in/a.csv", "--dry-run").code == 2


def test_a_run_is_replaced_only_when_asked(table: Path, prefix: Location, capfd: pytest.CaptureFixture[str]) -> None:
    url = put(prefix, "in.csv", table.read_bytes())
    assert call(capfd, "clean", url, "-o", f"{prefix}/run", "--format", "csv", "--quiet").code == 0
    before = {name: content(prefix / "run", name) for name in names(prefix / "run")}
    done = call(capfd, "clean", url, "-o", f"{prefix}/run", "--quiet")
    assert (done.code, "exists already" in done.err) == (2, True)
    assert {name: content(prefix / "run", name) for name in names(prefix / "run")} == before
    assert call(capfd, "clean", url, "-o", f"{prefix}/run", "--quiet", "--force").code == 0
    assert "cleaned.csv" not in names(prefix / "run")
    assert call(capfd, "verify", f"{prefix}/run", url).code == 0


def test_an_input_that_changes_while_it_is_read_is_refused(
    scheme: str, table: Path, proxy: Proxy, prefix: Location, capfd: pytest.CaptureFixture[str]
) -> None:
    url = put(prefix, "in.csv", table.read_bytes())

    def replacing(request: Proxied) -> None:
        put(place(request.upstream, scheme, prefix.key), "in.csv", table.read_bytes() + b"\n")
        request.forward()

    proxy.fault("GET", "in.csv", replacing, times=1, after=1 if scheme == "gs" else 0)  # Google is asked for the facts by GET as well
    done = call(capfd, "clean", url, "-o", f"{prefix}/run")
    assert (done.code, "changed while it was being read" in done.err) == (3, True), done.err
    assert names(prefix / "run") == []


@pytest.mark.parametrize(
    ("code", "name", "exits"), [(403, "AccessDenied", 4), (503, "SlowDown", 4), (404, "NoSuchKey", 3)], ids=["403", "503", "404"]
)
def test_a_store_that_fails_has_its_exit_code_and_shows_no_secret(
    code: int, name: str, exits: int, table: Path, proxy: Proxy, prefix: Location, capfd: pytest.CaptureFixture[str]
) -> None:
    url = put(prefix, "in.csv", table.read_bytes())
    for method in ("GET", "HEAD"):
        proxy.fault(method, "in.csv", status(code, name))
    done: Done = call(capfd, "clean", url, "-o", f"{prefix}/run")
    assert (done.code, url in done.err) == (exits, True), done.err
    assert not [word for word in ("testsecret", "said by", "Signature", "Traceback") if word in done.err]


@pytest.mark.parametrize(
    ("scheme", "when"),
    [("s3", "ledger.parquet"), ("s3", "manifest.json"), ("s3", "partNumber=2"), ("gs", "manifest.json")],
    indirect=["scheme"],
)
def test_killed_in_the_middle_of_an_upload_nothing_looks_finished_and_the_next_run_cleans_up(
    scheme: str, when: str, table: Path, proxy: Proxy, prefix: Location, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Killed while the named request is on its way: of a file, of the manifest, of the second part of a large file."""
    source = table
    if when == "partNumber=2":
        chance, source = random.Random(1), tmp_path / "large.csv"
        source.write_text("id,text\n" + "".join(f"{i},{chance.randbytes(20_000).hex()}\n" for i in range(300)))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: exact\nduplicates:\n  near: false\n")
    url, reached, gone = put(prefix, "in.csv", source.read_bytes()), threading.Event(), threading.Event()

    def holding(request: Proxied) -> None:
        reached.set()
        gone.wait(60)
        request.close_connection = True

    # Google's uploads do not name the object in their address: the manifest comes after the claim and nine files
    method, part, after = ("PUT", when, 0) if scheme == "s3" else ("POST", "upload", 10)
    met = proxy.fault(method, part, holding, times=1, after=after)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = start("clean", url, "-o", f"{prefix}/run", "--format", "csv", "--recipe", recipe, env={**os.environ, "TMPDIR": str(scratch)})
    try:
        assert reached.wait(120)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        gone.set()
    assert met.met == after + 1
    left = names(prefix / "run")
    assert "manifest.json" not in left
    assert left
    capfd.readouterr()
    assert call(capfd, "explain", f"{prefix}/run", 0).code == 2
    environ = {**os.environ, "TMPDIR": str(scratch)}
    again = start("clean", url, "-o", f"{prefix}/run", "--quiet", "--recipe", recipe, env=environ)
    _, err = again.communicate(timeout=120)
    assert (again.returncode, err) == (0, "")
    after_all = names(prefix / "run")
    assert [name for name in after_all if name.startswith(("cleaned", "_"))] == ["cleaned.parquet"]
    assert left_over(scratch) == []
    if scheme == "s3":
        store: Any = prefix.store
        assert "Uploads" not in store._client.list_multipart_uploads(Bucket=prefix.bucket, Prefix=prefix.key)


@pytest.mark.parametrize(
    "url",
    ["s3://key:testsecret@bucket/x", "s3://host:9000/x", "s3://bucket/a/../b", "s3:///x", "file://host/x", "ftp://host/x", "https://h/x"],
)
def test_a_url_that_is_more_than_a_place_is_refused_before_anything_is_asked(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (("profile", url), ("clean", "in.csv", "-o", url)):
        done = call(capfd, *arguments)
        assert done.code == 2, done.err
        assert "testsecret" not in done.err


def test_a_file_url_is_a_path(table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, "clean", f"file://{table}", "-o", f"file://{tmp_path}/run", "--quiet").code == 0
    assert (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DATA_SANITIZER_S3_ATTEMPTS", "many"), ("DATA_SANITIZER_S3_TIMEOUT", "0"), ("DATA_SANITIZER_S3_ANONYMOUS", "perhaps"),
     ("DATA_SANITIZER_S3_ENCRYPTION", "rot13")],
)  # fmt: skip
def test_a_setting_that_is_none_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    done = call(capfd, "profile", "s3://bucket/in.csv")
    assert (done.code, variable in done.err) == (2, True)


def test_the_library_takes_and_gives_urls(table: Path, prefix: Location, tmp_path: Path) -> None:
    url = put(prefix, "in.csv", table.read_bytes())
    result = ds.clean(url, output=f"{prefix}/run")
    assert result.data.equals(ds.clean(table).data)
    assert result.verify().rows == 120
    result.save(f"{prefix}/copy")
    assert names(prefix / "copy") == names(prefix / "run")
    assert ds.profile(url)["rows"] == 120
