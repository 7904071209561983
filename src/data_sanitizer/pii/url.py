"""Web addresses."""

from __future__ import annotations

import re

NOUN = "web addresses"
_REST = r"(?::[0-9]{1,5})?(?:[/?#][^\x00-\x20\x7F\"<>\x{A0}\x{3000}]*)?"
_NAME = r"(?:[A-Za-z0-9\x{A1}-\x{2FFF}\x{3001}-\x{10FFFF}_-]+\.)+[A-Za-z\x{A1}-\x{2FFF}\x{3001}-\x{10FFFF}][A-Za-z0-9\x{A1}-\x{10FFFF}-]+"
SURE = (
    r"(?:[Hh][Tt][Tt][Pp][Ss]?|[Ss]?[Ff][Tt][Pp][Ss]?)://(?:[^\x00-\x20/?#@\"<>]*@)?"
    r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\x{A1}-\x{10FFFF}][A-Za-z0-9._\x{A1}-\x{10FFFF}-]*)" + _REST + r"|[Ww][Ww][Ww]\." + _NAME + _REST
)
PATTERN = SURE + "|" + _NAME + _REST
CONTEXT = ("url", "urls", "website", "web site", "web", "homepage", "link", "links", "uri", "webseite", "sitio", "site", "href", "网址")
EXAMPLES = ("https://example.com/people/jane?tab=1", "www.example.org", "http://192.168.0.1:8080/")


def partial(text: str) -> str:
    """The scheme and the host, without a user's name: `https://example.com/***`."""
    scheme, sign, rest = text.rpartition("://") if re.match(r"[A-Za-z]+://", text) is None else text.partition("://")
    return f"{scheme}{sign}{re.split(r'[/?#]', rest, maxsplit=1)[0].rpartition('@')[2]}/***"
