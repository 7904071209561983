"""Line ends that no parser knows, turned into LF on the way: the record separator, and the separators of Unicode."""

from __future__ import annotations

import io
from typing import Any

NAMES = {
    b"\x1e": "record separators",
    "\x85".encode(): "next-line signs",
    "\u2028".encode(): "line separators",
    "\u2029".encode(): "paragraph separators",
}


def unusual(sample: bytes) -> bytes | None:
    """The sign that ends the lines of a text (in UTF-8) which has neither LF nor CR; None for usual ones."""
    if b"\n" in sample or b"\r" in sample:
        return None
    found = max(NAMES, key=sample.count)
    return found if sample.count(found) else None


class WithLineFeeds(io.RawIOBase):
    """A stream with LF in place of one sign, which may be of several bytes."""

    def __init__(self, stream: io.RawIOBase, sign: bytes) -> None:
        self._stream, self._sign, self._rest, self._ready = stream, sign, b"", b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fills the buffer as far as there is data."""
        target = memoryview(buffer).cast("B")
        while not self._ready:
            data = self._stream.read(1 << 18) or b""
            whole = self._rest + data
            if not whole:
                return 0
            keep = next((k for k in range(len(self._sign) - 1, 0, -1) if data and whole.endswith(self._sign[:k])), 0)
            self._rest = whole[len(whole) - keep :]
            self._ready = whole[: len(whole) - keep].replace(self._sign, b"\n")
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def close(self) -> None:
        """Closes the stream below too."""
        self._stream.close()
        super().close()
