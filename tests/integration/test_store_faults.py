"""A store that fails: asked again where that helps, told in our words where it does not, and never a wrong byte."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import pytest

from data_sanitizer import errors
from data_sanitizer.stores import Location
from data_sanitizer.stores._parts import PART
from data_sanitizer.stores._stream import StoredSource
from tests.object_stores import Fault, Proxied, Proxy, cut_off, lost_answer, other_version, place, proxied, silence, status

DATA = bytes(range(256)) * 4096
SCHEMES = ("s3", "gs")
TEMPORARY = {
    "500": status(500, "InternalError"),
    "503": status(503, "SlowDown"),
    "429": status(429, "TooManyRequests"),
    "cut off": cut_off,
    "silent": silence,
}
count = iter(range(1_000_000))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between two tries are those of the client libraries: tests do not wait for them."""
    from botocore.retries.standard import ExponentialBackoff

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0.01)


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxy(scheme: str, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with proxied(request.getfixturevalue(f"{scheme}_server")) as made:
        yield made


@pytest.fixture
def prefix(scheme: str, proxy: Proxy) -> Location:
    return place(proxy.endpoint, scheme, f"faults/{os.getpid()}/{next(count)}", timeout=1.0)


def media(scheme: str) -> str:
    """What stands in the address of a request for bytes."""
    return "object" if scheme == "s3" else "alt=media"


@pytest.mark.parametrize("fault", TEMPORARY)
def test_what_passes_is_asked_for_again(fault: str, scheme: str, proxy: Proxy, prefix: Location) -> None:
    found = prefix.store.write((prefix / "object").key, [DATA])
    met = proxy.fault("GET", media(scheme), TEMPORARY[fault], times=1)
    assert prefix.store.read(found, 0, len(DATA)) == DATA
    assert met.met > 1


@pytest.mark.parametrize("fault", ["503", "cut off", "silent"])
def test_what_does_not_pass_is_an_unavailable_store(fault: str, scheme: str, proxy: Proxy, prefix: Location) -> None:
    found = prefix.store.write((prefix / "object").key, [DATA])
    proxy.fault("GET", media(scheme), TEMPORARY[fault])
    with pytest.raises(errors.StoreUnavailable) as caught:
        StoredSource(prefix / "object", found).open().read(10)
    assert caught.value.exit_code == 4
    assert f"{prefix}/object" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "name", "kind"),
    [(403, "AccessDenied", errors.StoreRefused), (401, "Unauthorized", errors.StoreRefused), (400, "ExpiredToken", errors.StoreRefused),
     (404, "NoSuchKey", errors.InputChanged), (412, "PreconditionFailed", errors.InputChanged), (416, "InvalidRange", errors.InputChanged)],
)  # fmt: skip
def test_an_answer_means_the_same_in_every_store(code: int, name: str, kind: type, scheme: str, proxy: Proxy, prefix: Location) -> None:
    found = prefix.store.write((prefix / "object").key, [DATA])
    proxy.fault("GET", media(scheme), status(code, name))
    with pytest.raises(errors.DataSanitizerError) as caught:
        prefix.store.read(found, 0, 10)
    assert type(caught.value) is kind
    assert not {"secret", "testsecret", "said by the server"} & set(str(caught.value).split())
    assert caught.value.__cause__ is not None


def test_bytes_of_another_version_are_not_taken(proxy: Proxy, scheme: str, prefix: Location) -> None:
    """Also from a server that takes no notice of the condition, where the answer itself tells its version."""
    if scheme == "gs":
        pytest.skip("a generation is part of the request: the server cannot answer with another one")
    found = prefix.store.write((prefix / "object").key, [DATA])
    proxy.fault("GET", "object", other_version)
    with pytest.raises(errors.InputChanged):
        prefix.store.read(found, 0, 10)


@pytest.mark.parametrize("size", [10, 2 * PART + 1], ids=["small", "large"])
@pytest.mark.parametrize("fault", ["500", "503"])
def test_an_upload_goes_on_after_a_fault(fault: str, size: int, scheme: str, proxy: Proxy, prefix: Location) -> None:
    data = (DATA * (size // len(DATA) + 1))[:size]
    for method in ("PUT", "POST"):
        proxy.fault(method, "object" if scheme == "s3" else "upload", TEMPORARY[fault], times=1)
    wrote = prefix.store.write((prefix / "object").key, [data], new=True)
    assert prefix.store.read(wrote, size - 10, 10) == data[-10:]


@pytest.mark.parametrize("size", [10, 2 * PART + 1], ids=["small", "large"])
def test_a_creation_whose_answer_is_lost_is_still_ours(size: int, scheme: str, proxy: Proxy, prefix: Location) -> None:
    """The server did it and the client did not hear of it: asked again it refuses, since the object is there."""
    method, part = {("s3", 10): ("PUT", "object"), ("s3", 2 * PART + 1): ("POST", "uploadId")}.get((scheme, size), ("POST", "upload"))
    if scheme == "gs" and size > PART:
        method, part = "PUT", "upload"
    proxy.fault(method, part, lost_answer, times=1, after=2 if method == "PUT" and size > PART else 0)
    wrote = prefix.store.write((prefix / "object").key, [bytes(size)], new=True)
    assert wrote == prefix.store.find(wrote.key)
    with pytest.raises(errors.OutputExists):
        prefix.store.write(wrote.key, [b"another"], new=True)


def test_an_upload_that_fails_for_good_leaves_nothing(scheme: str, proxy: Proxy, prefix: Location) -> None:
    if scheme == "s3":
        proxy.fault("PUT", "partNumber=2", status(503, "SlowDown"))
    else:
        proxy.fault("PUT", "upload", status(503, "SlowDown"), after=1)
    with pytest.raises(errors.StoreUnavailable):
        prefix.store.write((prefix / "object").key, [bytes(2 * PART + 1)])
    assert list(prefix.store.listed((prefix / "").key)) == []
    if scheme == "s3":
        left: Any = prefix.store._client.list_multipart_uploads(Bucket=prefix.bucket, Prefix=prefix.key)  # type: ignore[attr-defined]
        assert "Uploads" not in left


@pytest.mark.parametrize(
    ("code", "name", "kind"),
    [
        (412, "PreconditionFailed", errors.OutputExists),
        (403, "AccessDenied", errors.StoreRefused),
        (404, "NoSuchBucket", errors.StoreRefused),
    ],
)
def test_a_refused_creation_says_why(code: int, name: str, kind: type, scheme: str, proxy: Proxy, prefix: Location) -> None:
    proxy.fault("PUT" if scheme == "s3" else "POST", "object" if scheme == "s3" else "upload", status(code, name))
    with pytest.raises(errors.DataSanitizerError) as caught:
        prefix.store.write((prefix / "object").key, [b"x"], new=True)
    assert type(caught.value) is kind


def test_a_conflict_is_tried_again(s3_server: str) -> None:
    """S3 answers 409 while another creation of the same name goes on: then one of the two has won."""
    with proxied(s3_server) as proxy:
        where = place(proxy.endpoint, "s3", f"faults/{os.getpid()}/{next(count)}")
        met = proxy.fault("PUT", "object", status(409, "ConditionalRequestConflict"), times=1)
        where.store.write((where / "object").key, [b"x"], new=True)
        assert met.met == 2


@pytest.mark.parametrize("dead", SCHEMES)
def test_nobody_at_the_address_is_an_unavailable_store(dead: str) -> None:
    where = place("http://127.0.0.1:9", dead, "x")
    with pytest.raises(errors.StoreUnavailable):
        where.store.find("x")


def test_encryption_is_asked_for_with_every_upload(s3_server: str) -> None:
    seen: list[dict[str, str]] = []

    def noting(request: Proxied) -> None:
        seen.append({k.lower(): v for k, v in request.headers.items()})
        request.forward()

    with proxied(s3_server) as proxy:
        proxy.faults += [Fault("PUT", "small", noting), Fault("POST", "uploads", noting)]
        where = place(proxy.endpoint, "s3", f"faults/{os.getpid()}/{next(count)}", encryption="aws:kms", kms_key_id="alias/tables")
        for name, size in (("small", 3), ("large", PART + 1)):
            where.store.write((where / name).key, [bytes(size)])
        facts = where.store._client.head_object(Bucket=where.bucket, Key=(where / "large").key)  # type: ignore[attr-defined]
    told = ["x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"]
    assert [[headers.get(name) for name in told] for headers in seen] == [["aws:kms", "alias/tables"]] * 2
    assert facts["ServerSideEncryption"] == "aws:kms"


@pytest.mark.parametrize(
    ("more", "address"),
    [({}, "http://store.test:9000/tables/k"), ({"addressing": "virtual"}, "http://tables.store.test:9000/k"),
     ({"endpoint": None}, "https://tables.s3.eu-west-3.amazonaws.com/k"), ({"endpoint": None, "addressing": "path"},
                                                                         "https://s3.eu-west-3.amazonaws.com/tables/k")],
)  # fmt: skip
def test_the_address_follows_the_style(more: dict[str, Any], address: str) -> None:
    """And without an endpoint of one's own there is no plain http."""
    from botocore.awsrequest import AWSResponse
    from urllib3 import HTTPResponse

    from data_sanitizer.stores import s3

    told: dict[str, Any] = {"endpoint": "http://store.test:9000", **more}
    client = s3._client(s3.Settings("k", "s", region="eu-west-3", **told))
    asked: list[str] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        asked.append(request.url)
        return AWSResponse(request.url, 200, {}, HTTPResponse(io.BytesIO(), preload_content=False))

    client.meta.events.register("before-send.s3", answer)
    client.head_object(Bucket="tables", Key="k")
    assert asked == [address]


@pytest.mark.parametrize("told", [{"encryption": "rot13"}, {"kms_key_id": "k"}, {"encryption": "AES256", "kms_key_id": "k"}])
def test_settings_that_contradict_one_another_are_refused(told: dict[str, str]) -> None:
    with pytest.raises(errors.UsageError):
        place("http://127.0.0.1:9", "s3", "x", **told).store  # noqa: B018
