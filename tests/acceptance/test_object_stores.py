"""Tables and runs in object stores, through the command: as on this machine, byte for byte, and never half of a run."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import data_sanitizer as ds
from data_sanitizer import errors, inputs
from data_sanitizer.benchmark_generator import generate
from data_sanitizer.stores import Location, Stores
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
    {"jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[name.rpartition(".")[2]](target)
    return target.read_bytes()


@pytest.mark.parametrize(
    ("scheme", "name"),
    [("s3", "in.csv.gz"), ("s3", "in.jsonl"), ("s3", "in.parquet"), ("gs", "in.csv.gz")],
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


@pytest.mark.parametrize("scheme", ["s3"], indirect=True)
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


def test_patterns_and_prefixes_mean_tables_in_the_order_of_their_names(prefix: Location, tmp_path: Path) -> None:
    stores = Stores({prefix.scheme: prefix.settings})
    for name in ("b.csv", "a.csv", "_SUCCESS", ".hidden.csv", "deep/c.csv", "deep/er/d.csv", "w[1]t.csv", "w1t.csv"):
        put(prefix, f"in/{name}", b"x\n1\n")
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("x\n1\n")
    told = {
        "in/*.csv": ["a.csv", "b.csv", "w1t.csv", "w[1]t.csv"],
        "in/[!a].csv": ["b.csv"],
        "in/?.csv": ["a.csv", "b.csv"],
        "in/**/*.csv": ["a.csv", "b.csv", "deep/c.csv", "deep/er/d.csv", "w1t.csv", "w[1]t.csv"],
        "in/w[1]t.csv": ["w[1]t.csv"],
        "in/deep/*": ["deep/c.csv"],
    }
    for pattern, expected in told.items():
        for base in (prefix, tmp_path):
            found = [inputs.name(p).removeprefix(f"{base}/in/") for p in inputs.found([f"{base}/{pattern}"], stores)]
            assert found == expected, (pattern, base)
    below = [inputs.name(p).removeprefix(f"{prefix}/in/") for p in inputs.found([f"{prefix}/in/deep/"], stores)]
    assert below == ["deep/c.csv", "deep/er/d.csv"]
    for nothing in (f"{prefix}/in/*.parquet", f"{prefix}/none/", f"{tmp_path}/in/*.parquet"):
        with pytest.raises(errors.NothingMatches, match=re.escape(nothing)):
            inputs.found([nothing], stores)
    with pytest.raises(errors.UsageError, match="twice"):
        inputs.found([f"{prefix}/in/deep/", f"{prefix}/in/deep/c.csv"], stores)


@pytest.mark.parametrize("scheme", ["s3"], indirect=True)
def test_many_files_are_cleaned_as_one_table(table: Path, prefix: Location, capfd: pytest.CaptureFixture[str]) -> None:
    header, *lines = table.read_bytes().splitlines(keepends=True)
    for name, part in (("b.csv", lines[40:]), ("a.csv", lines[:40])):
        put(prefix, f"in/{name}", header + b"".join(part))
    report = json.loads(call(capfd, "clean", f"{prefix}/in/*", "--dry-run", "--json").out)
    assert [(s["name"], s["rows"]) for s in report["sources"]] == [(f"{prefix}/in/a.csv", 40), (f"{prefix}/in/b.csv", len(lines) - 40)]


@pytest.mark.parametrize("scheme", ["s3"], indirect=True)
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


@pytest.mark.parametrize("scheme", ["s3"], indirect=True)
def test_the_library_takes_and_gives_urls(table: Path, prefix: Location, tmp_path: Path) -> None:
    url = put(prefix, "in.csv", table.read_bytes())
    result = ds.clean(url, output=f"{prefix}/run")
    assert result.data.equals(ds.clean(table).data)
    assert result.verify().rows == 120
    result.save(f"{prefix}/copy")
    assert names(prefix / "copy") == names(prefix / "run")
    assert ds.profile(url)["rows"] == 120
