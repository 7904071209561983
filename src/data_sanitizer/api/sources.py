"""Tables that the service fetches itself: only from the buckets and prefixes that its operator allows to the tenant.

A URL is taken apart here, into a scheme, a bucket and a key; nothing that a caller wrote is given to a library that understands more.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from data_sanitizer import settings
from data_sanitizer.api.problems import refused
from data_sanitizer.api.service import Service
from data_sanitizer.api.uploads import Stored, Upload, plain_name
from data_sanitizer.model import StoredObject
from data_sanitizer.stores import Location

_FORM: Final = re.compile(r"(s3|gs)://([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])/([^?#]+)")
_PIECE: Final = 4 << 20


def allowed(url: str, tenant: str, sources: str) -> str:
    """The URL, where the operator allows it to this tenant; raises source-not-allowed.

    >>> allowed("s3://inbox/a/x.csv", "a", "s3://inbox/{tenant}/")
    's3://inbox/a/x.csv'
    """
    if not (parts := _FORM.fullmatch(url)):
        raise refused("source-not-allowed", what="Give s3://bucket/key or gs://bucket/key, without anything more.")
    steps = parts[3].split("/")
    if {"", ".", ".."} & set(steps) or "%" in parts[3] or not parts[3].isprintable() or set(parts[3]) & set("*[]\\"):
        raise refused("source-not-allowed", what="The key has empty parts, parts that are . or .., or signs that it may not have.")
    for place in sources.split():
        prefix = place.replace("{tenant}", tenant)
        if url.startswith(prefix if prefix.endswith("/") else f"{prefix}/") or url == prefix:
            return url
    raise refused("source-not-allowed", what="The place is not among those that the operator of the service allows to you.")


def copied(url: str, found: Service, tenant: str, folder: str) -> Upload:
    """Copy an allowed object into the service, so that it stays as it is now; raises the errors of stores."""
    place = settings.stores().location(allowed(url, tenant, found.settings.sources))
    there = place.store.find(place.key)
    if there.size > found.settings.upload_bytes:
        raise refused("payload-too-large", limit=found.settings.upload_bytes)
    key, sum_ = f"{folder}/0", hashlib.sha256()
    target = found.root / key
    target.store.write(target.key, _pieces(place, there, sum_))
    return Upload([Stored(key, plain_name(place.name), there.size, sum_.hexdigest())])


def _pieces(place: Location, there: StoredObject, sum_: hashlib._Hash) -> Iterator[bytes]:
    for start in range(0, there.size, _PIECE):
        piece = place.store.read(there, start, min(_PIECE, there.size - start))
        sum_.update(piece)
        yield piece
