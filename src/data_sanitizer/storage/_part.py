"""What a part of StorageBackend has of the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

T = TypeVar("T")


class Part:
    """Methods of StorageBackend that are kept in a file of their own; the backend gives them transactions and the key of the audit log."""

    _audit_key: bytes | None

    def _run(self, tenant: str, work: Callable[[sa.Connection], T], *, read_only: bool = False) -> T:
        raise NotImplementedError

    def _read(self, tenant: str, work: Callable[[sa.Connection], T]) -> T:
        raise NotImplementedError
