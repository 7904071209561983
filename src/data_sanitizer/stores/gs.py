"""Objects in Google Cloud Storage: gs://bucket/key."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from data_sanitizer import errors
from data_sanitizer.model import StoredObject
from data_sanitizer.stores._parts import MARK, PART, mark, parts
from data_sanitizer.stores._retries import repeated
from data_sanitizer.stores._settings import setting

_CUT_OFF = "its answers break off"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the store is, who asks, and how what is written is encrypted."""

    credentials: str | None = setting(
        None,
        "The file with the credentials. Without one: those of gcloud, or the account of the machine.",
        "GOOGLE_APPLICATION_CREDENTIALS",
    )
    project: str | None = setting(None, "The project that is asked for.", "GOOGLE_CLOUD_PROJECT")
    endpoint: str | None = setting(None, "The URL of another server than Google's, asked without credentials.", "STORAGE_EMULATOR_HOST")
    kms_key: str | None = setting(None, "The key for what is written; without one, the bucket's.", "DATA_SANITIZER_GCS_KMS_KEY")
    anonymous: bool = setting(False, "Ask without credentials, for public buckets.", "DATA_SANITIZER_GCS_ANONYMOUS")
    attempts: int = setting(6, "How often an answer that broke off is asked for again.", "DATA_SANITIZER_GCS_ATTEMPTS")
    patience: float = setting(120.0, "Seconds for which a request that fails is repeated.", "DATA_SANITIZER_GCS_PATIENCE")
    timeout: float = setting(60.0, "Seconds without any answer before a request counts as lost.", "DATA_SANITIZER_GCS_TIMEOUT")


def bucket(name: str, settings: Settings) -> Bucket:
    """One bucket; nothing is asked yet."""
    return Bucket(name, settings)


class Bucket:
    """One bucket. Reads are pinned to a generation; uploads are resumable sessions, of which nothing is seen before their end."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._name, self._settings = name, settings

    @cached_property
    def _bucket(self) -> Any:
        with self._translated(""):
            return _client(self._settings).bucket(self._name)

    @cached_property
    def _asking(self) -> dict[str, Any]:
        from google.cloud.storage.retry import DEFAULT_RETRY

        return {"retry": DEFAULT_RETRY.with_delay(0.2, 20.0, 2.0).with_timeout(self._settings.patience), "timeout": self._settings.timeout}

    def find(self, key: str) -> StoredObject:
        """Size and generation."""
        with self._translated(key):
            blob = self._bucket.get_blob(key, **self._asking)
        if blob is None:
            raise errors.InputNotFound(path=self._url(key))
        return _facts(blob)

    def listed(self, prefix: str) -> Iterator[StoredObject]:
        """Keys in the order of their UTF-8 bytes, a thousand a request."""
        with self._translated(prefix):
            yield from map(_facts, self._bucket.list_blobs(prefix=prefix, **self._asking))

    def read(self, found: StoredObject, start: int, size: int) -> bytes:
        """One range as it is stored, asked for again where its body breaks off."""
        if not size:
            return b""
        return repeated(lambda: self._range(found, start, size), self._settings.attempts, self._url(found.key), _CUT_OFF)

    def _range(self, found: StoredObject, start: int, size: int) -> bytes | None:
        with self._translated(found.key, changed=True):
            blob = self._bucket.blob(found.key, generation=int(found.version))
            data: bytes = blob.download_as_bytes(start=start, end=start + size - 1, raw_download=True, checksum=None, **self._asking,
                                                 if_generation_match=int(found.version))  # fmt: skip
        return data if len(data) == size else None

    def signed(self, key: str, seconds: int, name: str, kind: str) -> str | None:
        """An address by signature version 4; credentials without a private key cannot make one."""
        with self._translated(key), suppress(AttributeError):  # as the library tells that there is no private key
            return str(self._bucket.blob(key).generate_signed_url(
                version="v4", expiration=dt.timedelta(seconds=seconds), method="GET", response_disposition=name, response_type=kind,
            ))  # fmt: skip
        return None

    def write(self, key: str, pieces: Iterable[bytes], *, new: bool = False) -> StoredObject:
        """One request for what fits into a part, else a resumable session, given up on any failure; each part has its CRC32C."""
        if new and self._exists(key):  # for servers that take no notice of the condition on a session
            raise errors.OutputExists(path=self._url(key))
        blob, token = self._bucket.blob(key, kms_key_name=self._settings.kms_key), mark()
        blob.metadata = {MARK: token}
        try:
            with self._translated(key, writing=True):
                self._send(blob, parts(pieces), {"if_generation_match": 0} if new else {})
        except (errors.OutputExists, errors.StoreRefused):
            with self._translated(key):
                made = self._bucket.get_blob(key, **self._asking)
            if made is None or (made.metadata or {}).get(MARK) != token:
                raise
            return _facts(made)  # by this very upload: only the answer was lost, so that asking again was refused
        return self.find(key)

    def _exists(self, key: str) -> bool:
        with suppress(errors.InputNotFound):
            return bool(self.find(key))
        return False

    def _send(self, blob: Any, stream: Iterator[bytes], condition: dict[str, int]) -> None:
        first, second = next(stream), next(stream, None)
        if second is None:
            blob.upload_from_string(first, checksum="crc32c", **condition, **self._asking)
            return
        with blob.open("wb", chunk_size=PART, checksum="crc32c", **condition, **self._asking) as upload:
            for part in chain((first, second), stream):
                upload.write(part)

    def delete(self, key: str) -> None:
        """Remove the object as it is now."""
        with suppress(errors.InputNotFound), self._translated(key):
            self._bucket.blob(key).delete(**self._asking)

    def forget(self, key: str) -> None:
        """Nothing to do: nobody sees or pays for a session that was not completed, and Google ends it after a week."""

    def _url(self, key: str) -> str:
        return f"gs://{self._name}/{key}"

    @contextmanager
    def _translated(self, key: str, writing: bool = False, changed: bool = False) -> Iterator[None]:
        """Turn what the client library raises into our errors; none of its texts is passed on, only codes."""
        from google.api_core import exceptions as api
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from requests.exceptions import RequestException

        path, tries = self._url(key), self._settings.attempts
        try:
            yield
        except api.GoogleAPICallError as error:
            raise _meaning(int(error.code or 0), path, tries, writing, changed) from error
        except InvalidResponse as error:
            raise _meaning(error.response.status_code, path, tries, writing, changed) from error
        except GoogleAuthError as error:
            raise errors.StoreRefused(path=path, why="no valid credentials were found") from error
        except (api.RetryError, RequestException, DataCorruption) as error:
            raise errors.StoreUnavailable(path=path, why=type(error).__name__, tries=tries) from error


def _client(settings: Settings) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    options = {"api_endpoint": settings.endpoint} if settings.endpoint else None
    if settings.anonymous or settings.endpoint:
        return storage.Client(project=settings.project, credentials=AnonymousCredentials(), client_options=options)  # type: ignore[no-untyped-call]
    if settings.credentials:
        from google.auth import load_credentials_from_file

        found, project = load_credentials_from_file(settings.credentials, scopes=storage.Client.SCOPE)  # type: ignore[no-untyped-call]
        return storage.Client(project=settings.project or project, credentials=found)
    return storage.Client(project=settings.project) if settings.project else storage.Client()


def _facts(blob: Any) -> StoredObject:
    return StoredObject(str(blob.name), int(blob.size), str(blob.generation))


def _meaning(status: int, path: str, tries: int, writing: bool, changed: bool) -> errors.DataSanitizerError:
    """What an answer of the server means, by its status; `changed` where the object was there before."""
    if status >= 500 or status in (408, 429):
        return errors.StoreUnavailable(path=path, why=str(status), tries=tries)
    if status == 412 and writing:
        return errors.OutputExists(path=path)
    if status in (304, 412, 416) or (status == 404 and changed):
        return errors.InputChanged(path=path)
    if status == 404 and not writing:
        return errors.InputNotFound(path=path)
    return errors.StoreRefused(path=path, why=str(status))
