"""API keys: `dsk_live_<id>_<secret><checksum>`, of which only a digest under the service's pepper is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "dsk_live"
SCOPES: Final = ("jobs:read", "jobs:write", "reports:read", "audit:read", "audit:write", "personal:read", "metrics:read", "admin")
USUAL: Final = ("jobs:read", "jobs:write", "reports:read", "audit:read", "audit:write")
_SIGNS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM: Final = re.compile(rf"{PREFIX}_([0-9A-Za-z]{{12}})_([0-9A-Za-z]{{43}})([0-9A-Za-z]{{6}})")
TENANT: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Shown:
    """A new key: its id, which is no secret, and the whole text, which is shown once."""

    id: str
    text: str


def new_key() -> Shown:
    """A key with 256 bits of chance.

    >>> parsed(new_key().text) is not None
    True
    """
    key, secret = _chance(12), _chance(43)
    return Shown(key, f"{PREFIX}_{key}_{secret}{_checksum(key, secret)}")


def parsed(text: str) -> tuple[str, str] | None:
    """Id and secret of a key; None for what is none, also where a sign of it was mistyped.

    >>> parsed("dsk_live_x")
    """
    match = _FORM.fullmatch(text) if text.isascii() else None
    if match is None or not hmac.compare_digest(_checksum(match[1], match[2]), match[3]):
        return None
    return match[1], match[2]


def digest(pepper: bytes, secret: str) -> bytes:
    """What is stored of a secret. A slow hash would add nothing against 256 bits, and would be a lever for overload."""
    return hmac.new(pepper, secret.encode(), hashlib.sha256).digest()


def is_tenant(name: str) -> bool:
    """Whether a tenant may have this name, which is part of paths and keys: lower-case letters, digits, - and _."""
    return TENANT.fullmatch(name) is not None


def _chance(length: int) -> str:
    return "".join(secrets.choice(_SIGNS) for _ in range(length))


def _checksum(key: str, secret: str) -> str:
    number, signs = zlib.crc32(f"{key}_{secret}".encode()), ""
    for _ in range(6):
        number, rest = divmod(number, len(_SIGNS))
        signs = _SIGNS[rest] + signs
    return signs
