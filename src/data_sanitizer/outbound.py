"""Requests that leave the service for an address that a tenant named: only to public hosts, by TLS, to the very address that was checked.

A name is resolved once; every address that it has must be public, and the connection is made to one of those, so that a name that means
something else a moment later leads nowhere. Nothing follows a redirect.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from data_sanitizer.errors import ServiceRefused

Resolve = Callable[[str, int], Sequence[str]]
_NAME: Final = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_NEVER: Final = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96"))
)  # ways round to IPv4
_OURS: Final = ("localhost", ".localhost", ".local", ".internal", ".localdomain", ".home.arpa")
_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: the address that was checked, under the name that it was asked by."""

    host: str
    address: str
    path: str


def target(url: str, hosts: Sequence[str] = (), resolve: Resolve | None = None) -> Target:
    """Check a URL; raises ServiceRefused (`address-not-allowed`) where it is not https, port 443, a name, and public throughout."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _refused("It is no URL.") from error
    host = (parts.hostname or "").lower()
    plain = url.isascii() and url.isprintable() and parts.scheme == "https" and parts.netloc.lower() in (host, f"{host}:443")
    if not plain:
        raise _refused("It has to be https://host/path, without an account and on port 443.")
    if not _NAME.fullmatch(host) or host.endswith(_OURS):
        raise _refused("The host has to be a public name.")
    if hosts and host not in hosts:
        raise _refused("The host is not among those that the operator of the service allows.")
    found = list((resolve or _resolved)(host, 443))
    if not found or not all(map(is_public, found)):
        raise _refused("The host has an address that is not public.")
    return Target(host, found[0], (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet, by none of the ways in which IPv6 stands for IPv4.

    >>> [is_public(a) for a in ("1.1.1.1", "127.0.0.1", "100.64.0.1", "64:ff9b::a9fe:a9fe", "::ffff:10.0.0.1", "2606:4700::1111")]
    [True, False, False, False, False, True]
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return is_public(str(address.ipv4_mapped))
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special and not any(address.version == net.version and address in net for net in _NEVER)


def post(to: Target, body: bytes, headers: Mapping[str, str], transport: Any = None) -> int:
    """Send a body to the checked address; gives the status. Raises ServiceRefused (`unreachable`)."""
    import httpx

    address = f"[{to.address}]" if ":" in to.address else to.address
    try:
        with (
            httpx.Client(timeout=_SECONDS, follow_redirects=False, trust_env=False, transport=transport) as client,
            client.stream("POST", f"https://{address}{to.path}", content=body, headers={**headers, "Host": to.host},
                          extensions={"sni_hostname": to.host}) as answer,
        ):  # fmt: skip
            return answer.status_code
    except httpx.HTTPError as error:
        raise ServiceRefused(reason="unreachable", why=f"The address does not answer ({type(error).__name__}).") from error


def _resolved(host: str, port: int) -> list[str]:
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []


def _refused(what: str) -> ServiceRefused:
    return ServiceRefused(reason="address-not-allowed", why=what)
