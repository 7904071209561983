"""Which encoding a text is in, from its first bytes: byte order marks, UTF-8 by its strict rules, the others by their statistics."""

from __future__ import annotations

import codecs

import numpy as np

from data_sanitizer import errors
from data_sanitizer.model import Decision

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GUESSED_FROM = 1 << 17  # bytes given to the statistics: they gain little from more and take a second per MB
_WESTERN = ("cp1252", "latin_1", "iso8859_15", "cp1250", "mac_roman", "cp437", "cp850", "cp858", "ascii", "cp037", "cp500")


def detect(sample: bytes, complete: bool) -> tuple[str, str]:
    """The encoding and the evidence for it; `complete` where the sample is the whole file."""
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding, "byte order mark"
    if wide := _wide(sample):
        return wide, "every second byte is zero"
    if sample.isascii():
        return "utf-8", "only ASCII so far"
    wrong, right = _utf8_faults(sample, complete)
    if wrong == 0:
        return "utf-8", "all bytes are valid UTF-8"
    if right > 4 * wrong:
        return "utf-8", "nearly all bytes are valid UTF-8"
    return _guess(sample[:_GUESSED_FROM])


def choose(asked: str | None, sample: bytes, complete: bool) -> tuple[str, str]:
    """The encoding that was asked for, under its usual name, or the one detected; raises UsageError for a name that nobody knows."""
    if asked is None:
        return detect(sample, complete)
    try:
        encoding = codecs.lookup(asked).name
    except LookupError as error:
        raise errors.UsageError(why=f"There is no encoding {asked}. Known ones are utf-8, cp1252, utf-16 and others.") from error
    return ("utf-8-sig" if encoding == "utf-8" and sample.startswith(codecs.BOM_UTF8) else encoding), "as asked for"


def decision(encoding: str, evidence: str) -> Decision | None:
    """What the report says about the encoding; nothing for plain UTF-8."""
    return None if encoding == "utf-8" and not evidence.startswith("nearly") else Decision("encoding", encoding, evidence)


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a mark: text in Latin letters has a zero in every second byte, other text has none anywhere."""
    even, odd = sample[0:4096:2], sample[1:4096:2]
    if len(odd) < 4:
        return None
    if odd.count(0) > 0.4 * len(odd) and even.count(0) < 0.05 * len(even):
        return "utf-16-le"
    if even.count(0) > 0.4 * len(even) and odd.count(0) < 0.05 * len(odd):
        return "utf-16-be"
    return None


def _utf8_faults(sample: bytes, complete: bool) -> tuple[int, int]:
    """(bytes that break UTF-8, characters beyond ASCII that are right)."""
    wrong, start, right = 0, 0, 0
    while start < len(sample):
        try:
            rest = sample[start:]
            rest.decode("utf-8")
        except UnicodeDecodeError as error:
            good = sample[start : start + error.start]
            right += _beyond_ascii(good)
            if not complete and error.end + start >= len(sample) and error.reason == "unexpected end of data":
                break
            wrong += 1
            start += error.end
            if wrong > 1000:
                break
        else:
            right += _beyond_ascii(rest)
            break
    return wrong, right


def _beyond_ascii(text: bytes) -> int:
    """Characters beyond ASCII in UTF-8: each has one byte from C0 on."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) >= 0xC0))


def _guess(sample: bytes) -> tuple[str, str]:
    """The encoding that charset-normalizer finds most language-like; Western texts are all read as cp1252, which includes Latin-1."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    if best is None or best.encoding in _WESTERN or best.coherence < 0.05:
        return "cp1252", "not UTF-8; read as Western Europe"
    return best.encoding, f"not UTF-8; the letters fit {best.language}"
