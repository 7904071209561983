"""Checkpoints of a job in the object store, named by what they depend on, and found again by their digest in the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from data_sanitizer.errors import InputChanged, InputNotFound
from data_sanitizer.faults import crashpoint
from data_sanitizer.stores import Location
from data_sanitizer.workers.channel import Channel

FORM: Final = 1  # raised when the same run would be kept in another form


class Kept:
    """As `ports.Checkpoints`: an object is written first, then the supervisor stores that it is there."""

    def __init__(
        self, folder: Location, basis: Mapping[str, Any], known: Iterable[Mapping[str, Any]], channel: Channel, worth: float
    ) -> None:
        self.worth = worth
        self._folder, self._channel = folder, channel
        self._basis = json.dumps({**basis, "form": FORM}, sort_keys=True)
        self._known = {(chunk["stage"], chunk["no"]): chunk for chunk in known}
        self.saved = 0

    def load(self, stage: str, no: int) -> bytes | None:
        """What is kept of a chunk; None where nothing is, where another version kept it, or where the object is not what was written."""
        chunk = self._known.get((stage, no))
        if chunk is None or chunk["key"] != self._key(stage, no):
            return None
        place = self._folder / chunk["key"]
        try:
            found = place.store.find(place.key)
            data = place.store.read(found, 0, found.size)
        except (InputNotFound, InputChanged):
            return None
        return data if hashlib.sha256(data).hexdigest() == chunk["sha256"] else None

    def save(self, stage: str, no: int, data: bytes, rows: int) -> None:
        """Keep a chunk; ends the work where the supervisor wants to stop."""
        key = self._key(stage, no)
        place = self._folder / key
        crashpoint(f"{stage}.chunk.computed")
        place.store.write(place.key, [data])
        crashpoint(f"{stage}.chunk.written")
        self.saved += 1
        self._channel.tell("chunk", stage=stage, no=no, key=key, sha256=hashlib.sha256(data).hexdigest(), rows=rows)
        crashpoint(f"{stage}.chunk.told")

    def _key(self, stage: str, no: int) -> str:
        return hashlib.sha256(f"{self._basis}\0{stage}\0{no}".encode()).hexdigest()
