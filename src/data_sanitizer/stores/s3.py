"""Objects in Amazon S3 and in servers that speak its protocol: s3://bucket/key."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from data_sanitizer import errors
from data_sanitizer.model import StoredObject
from data_sanitizer.stores._parts import MARK, mark, parts
from data_sanitizer.stores._retries import repeated
from data_sanitizer.stores._settings import setting

_AT_ONCE = 3  # parts of one upload on their way
_CUT_OFF = "its answers break off"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the store is, who asks, and how what is written is encrypted."""

    access_key_id: str | None = setting(None, "The access key. Without one: the profile, the role of the machine or of the container.",
                                        "AWS_ACCESS_KEY_ID", secret=True)  # fmt: skip
    secret_access_key: str | None = setting(None, "The secret of the access key.", "AWS_SECRET_ACCESS_KEY", secret=True)
    session_token: str | None = setting(None, "The token of temporary credentials.", "AWS_SESSION_TOKEN", secret=True)
    profile: str | None = setting(None, "The profile in ~/.aws/config and ~/.aws/credentials.", "AWS_PROFILE")
    region: str | None = setting(None, "The region of the buckets.", "AWS_REGION", "AWS_DEFAULT_REGION")
    endpoint: str | None = setting(None, "The URL of another server than Amazon's. Only such a one may begin with http://.",
                                   "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")  # fmt: skip
    addressing: str = setting("auto", "`path` (server/bucket), `virtual` (bucket.server), or `auto`: path for a server of your own.",
                              "DATA_SANITIZER_S3_ADDRESSING")  # fmt: skip
    encryption: str | None = setting(None, "Encryption of what is written: `AES256` (SSE-S3), `aws:kms` or `aws:kms:dsse`.",
                                     "DATA_SANITIZER_S3_ENCRYPTION")  # fmt: skip
    kms_key_id: str | None = setting(None, "The key for `aws:kms`; without one, the bucket's.", "DATA_SANITIZER_S3_KMS_KEY_ID")
    anonymous: bool = setting(False, "Ask without credentials, for public buckets.", "DATA_SANITIZER_S3_ANONYMOUS")
    attempts: int = setting(6, "How often a request is made before it counts as failed; the pauses between grow to 20 s.",
                            "DATA_SANITIZER_S3_ATTEMPTS")  # fmt: skip
    timeout: float = setting(60.0, "Seconds without any answer before a request counts as lost.", "DATA_SANITIZER_S3_TIMEOUT")


def bucket(name: str, settings: Settings) -> Bucket:
    """One bucket; nothing is asked yet."""
    if settings.encryption not in (None, "AES256", "aws:kms", "aws:kms:dsse"):
        raise errors.UsageError(why="DATA_SANITIZER_S3_ENCRYPTION is AES256, aws:kms or aws:kms:dsse.")
    if settings.kms_key_id and settings.encryption in (None, "AES256"):
        raise errors.UsageError(why="DATA_SANITIZER_S3_KMS_KEY_ID needs DATA_SANITIZER_S3_ENCRYPTION=aws:kms.")
    return Bucket(name, settings)


class Bucket:
    """One S3 bucket. Reads are pinned to an ETag; an upload of several parts is completed or given up."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._name, self._settings = name, settings
        sse = {"ServerSideEncryption": settings.encryption, "SSEKMSKeyId": settings.kms_key_id}
        self._encryption = {option: value for option, value in sse.items() if value}

    @cached_property
    def _client(self) -> Any:
        return _client(self._settings)

    def find(self, key: str) -> StoredObject:
        """Size and ETag."""
        with self._translated(key):
            facts = self._client.head_object(Bucket=self._name, Key=key)
        return StoredObject(key, int(facts["ContentLength"]), _version(facts))

    def listed(self, prefix: str) -> Iterator[StoredObject]:
        """Keys in the order of their UTF-8 bytes, a thousand a request."""
        with self._translated(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix):
                for facts in page.get("Contents", []):
                    yield StoredObject(facts["Key"], int(facts["Size"]), _version(facts))

    def read(self, found: StoredObject, start: int, size: int) -> bytes:
        """One range, asked for again where its body breaks off."""
        if not size:
            return b""
        return repeated(lambda: self._range(found, start, size), self._settings.attempts, self._url(found.key), _CUT_OFF)

    def _range(self, found: StoredObject, start: int, size: int) -> bytes | None:
        from botocore import exceptions as vendor

        asked = {"Bucket": self._name, "Key": found.key, "Range": f"bytes={start}-{start + size - 1}"}
        with self._translated(found.key, changed=True):
            answer = self._client.get_object(**asked, **({"IfMatch": found.version} if found.version.startswith('"') else {}))
            if _version(answer) != found.version:
                raise errors.InputChanged(path=self._url(found.key))
            try:
                data: bytes = answer["Body"].read()
            except (vendor.IncompleteReadError, vendor.HTTPClientError):
                return None
        return data if len(data) == size else None

    def signed(self, key: str, seconds: int, name: str, kind: str) -> str | None:
        """An address by signature version 4."""
        if self._settings.anonymous:
            return None
        asked = {"Bucket": self._name, "Key": key, "ResponseContentDisposition": name, "ResponseContentType": kind}
        with self._translated(key):
            return str(self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))

    def write(self, key: str, pieces: Iterable[bytes], *, new: bool = False) -> StoredObject:
        """One request for what fits into a part, else a multipart upload, given up on any failure."""
        if new and self._exists(key):  # for servers that take no notice of If-None-Match
            raise errors.OutputExists(path=self._url(key))
        stream = parts(pieces)
        first, second = next(stream), next(stream, None)
        if second is None:
            return self._put(key, first, new)
        return self._upload(key, chain((first, second), stream), new)

    def _exists(self, key: str) -> bool:
        with suppress(errors.InputNotFound):
            return bool(self.find(key))
        return False

    def _put(self, key: str, data: bytes, new: bool) -> StoredObject:
        token = mark()

        def put() -> StoredObject | None:
            with self._translated(key, writing=True):
                try:
                    answer = self._client.put_object(Bucket=self._name, Key=key, Body=data, Metadata={MARK: token}, **_condition(new),
                                                     **_checksum(data, self._settings), **self._encryption)  # fmt: skip
                except self._client.exceptions.ClientError as error:
                    if _code(error) == "ConditionalRequestConflict":  # somebody else is at it: by the next try one of us has won
                        return None
                    if _status(error) == 412 and (ours := self._ours(key, token)):
                        return ours
                    raise
            return StoredObject(key, len(data), _version(answer))

        return repeated(put, self._settings.attempts, self._url(key), "another upload of the same name goes on")

    def _ours(self, key: str, token: str) -> StoredObject | None:
        """The object where this very upload made it: it was done, and only the answer was lost, so that asking again was refused."""
        if not self._exists(key):
            return None
        facts = self._client.head_object(Bucket=self._name, Key=key)
        if facts.get("Metadata", {}).get(MARK) != token:
            return None
        return StoredObject(key, int(facts["ContentLength"]), _version(facts))

    def _upload(self, key: str, stream: Iterator[bytes], new: bool) -> StoredObject:
        token = mark()
        with self._translated(key, writing=True):
            begun = self._client.create_multipart_upload(Bucket=self._name, Key=key, Metadata={MARK: token}, **self._encryption)
            target = {"Bucket": self._name, "Key": key, "UploadId": begun["UploadId"]}
            try:
                done, size = self._sent(target, stream)
                return StoredObject(key, size, self._completed(target, done, token, new))
            except BaseException:
                with suppress(errors.DataSanitizerError), self._translated(key):
                    self._client.abort_multipart_upload(**target)
                raise

    def _completed(self, target: dict[str, str], done: list[dict[str, Any]], token: str, new: bool) -> str:
        try:
            answer = self._client.complete_multipart_upload(**target, MultipartUpload={"Parts": done}, **_condition(new))
        except self._client.exceptions.ClientError as error:
            if _status(error) in (404, 412) and (ours := self._ours(target["Key"], token)):
                return ours.version
            raise
        return _version(answer)

    def _sent(self, target: dict[str, str], stream: Iterator[bytes]) -> tuple[list[dict[str, Any]], int]:
        """The parts as the completion names them, and their size together; a few are on their way at once, in order."""
        done: list[dict[str, Any]] = []
        waiting: deque[Future[dict[str, Any]]] = deque()
        total = 0
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for number, data in enumerate(stream, 1):
                total += len(data)
                waiting.append(pool.submit(self._part, target, number, data))
                if len(waiting) >= _AT_ONCE:
                    done.append(waiting.popleft().result())
            done.extend(future.result() for future in waiting)
        return done, total

    def _part(self, target: dict[str, str], number: int, data: bytes) -> dict[str, Any]:
        answer = self._client.upload_part(**target, PartNumber=number, Body=data, **_checksum(data, self._settings))
        sums = {name: value for name, value in answer.items() if name.startswith("Checksum") and name != "ChecksumType"}
        return {"PartNumber": number, "ETag": answer["ETag"], **sums}

    def delete(self, key: str) -> None:
        """Remove the object; S3 says nothing where there is none."""
        with self._translated(key, writing=True):
            self._client.delete_object(Bucket=self._name, Key=key)

    def forget(self, key: str) -> None:
        """Abort the multipart uploads of this key, so that their parts are not kept and paid for."""
        with self._translated(key, writing=True):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._name, Prefix=key):
                for upload in page.get("Uploads", []):
                    if upload["Key"] == key:
                        self._client.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=upload["UploadId"])

    def _url(self, key: str) -> str:
        return f"s3://{self._name}/{key}"

    @contextmanager
    def _translated(self, key: str, writing: bool = False, changed: bool = False) -> Iterator[None]:
        """Turn what the client library raises into our errors; none of its texts is passed on, only codes."""
        from botocore import exceptions as vendor

        path, tries = self._url(key), self._settings.attempts
        try:
            yield
        except vendor.ClientError as error:
            raise _meaning(error, path, tries, writing, changed) from error
        except (vendor.NoCredentialsError, vendor.PartialCredentialsError, vendor.CredentialRetrievalError) as error:
            raise errors.StoreRefused(path=path, why="no complete credentials were found") from error
        except (vendor.ConnectionError, vendor.HTTPClientError, vendor.IncompleteReadError) as error:
            raise errors.StoreUnavailable(path=path, why=type(error).__name__, tries=tries) from error
        except vendor.BotoCoreError as error:
            raise errors.StoreRefused(path=path, why=type(error).__name__) from error


def _client(settings: Settings) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import Session

    own = settings.endpoint is not None
    style = "path" if own and settings.addressing == "auto" else settings.addressing
    # Servers other than Amazon's do not all know its newer checksums; for them each request carries an MD5.
    sums = "when_required" if own else "when_supported"
    config = Config(
        retries={"mode": "standard", "total_max_attempts": settings.attempts}, connect_timeout=min(10.0, settings.timeout),
        read_timeout=settings.timeout, max_pool_connections=16, s3={"addressing_style": style}, request_checksum_calculation=sums,
        response_checksum_validation=sums, signature_version=UNSIGNED if settings.anonymous else "s3v4",
    )  # fmt: skip
    return Session(profile=settings.profile).create_client(
        "s3", region_name=settings.region or ("us-east-1" if own else None), endpoint_url=settings.endpoint,
        aws_access_key_id=settings.access_key_id, aws_secret_access_key=settings.secret_access_key,
        aws_session_token=settings.session_token, config=config,
    )  # fmt: skip


def _checksum(data: bytes, settings: Settings) -> dict[str, str]:
    if settings.endpoint is None:
        return {}
    return {"ContentMD5": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()}


def _condition(new: bool) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if new else {}


def _version(facts: dict[str, Any]) -> str:
    """The ETag in its quotes; the time of change where a server gives none."""
    tag = str(facts.get("ETag") or "").strip('"')
    return f'"{tag}"' if tag else str(facts.get("LastModified", ""))


def _code(error: Any) -> str:
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if code.isalnum() else "no code"


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _meaning(error: Any, path: str, tries: int, writing: bool, changed: bool) -> errors.DataSanitizerError:
    """What an answer of the server means, by its status and code; `changed` where the object was there before."""
    status, code = _status(error), _code(error)
    if status >= 500 or status == 429:
        return errors.StoreUnavailable(path=path, why=f"{status} {code}", tries=tries)
    if status in (409, 412) and writing:
        return errors.OutputExists(path=path)
    if status in (412, 416) or (status == 404 and changed):
        return errors.InputChanged(path=path)
    if status == 404 and not writing:
        return errors.InputNotFound(path=path)
    if code == "NoSuchUpload":
        return errors.OutputNotWritable(path=path, why="another run has given up this upload")
    return errors.StoreRefused(path=path, why=f"{status} {code}")
