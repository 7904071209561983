"""IP addresses, version 4 and 6."""

from __future__ import annotations

import ipaddress

NOUN = "IP addresses"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_BIG = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2})"
_V6 = r"[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:]*"
_V4_TAIL = rf"(?:{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET})?"
PATTERN = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}|{_V6}{_V4_TAIL}"
# Version numbers have small parts and 98 % of all addresses a part from 100 up; an EUI-64 has eight groups, each of two digits.
SURE = (
    rf"{_BIG}\.{_OCTET}\.{_OCTET}\.{_OCTET}|{_OCTET}\.{_BIG}\.{_OCTET}\.{_OCTET}"
    rf"|{_OCTET}\.{_OCTET}\.{_BIG}\.{_OCTET}|{_OCTET}\.{_OCTET}\.{_OCTET}\.{_BIG}"
    rf"|[0-9A-Fa-f:]*(?:[0-9A-Fa-f]{{3}}[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:|:[0-9A-Fa-f:]*:[0-9A-Fa-f]{{3}}|:[0-9A-Fa-f]{{3}}[0-9A-Fa-f]?:)"
    rf"[0-9A-Fa-f:]*{_V4_TAIL}"
)
DISTINCT = 3
CONTEXT = ("ip", "ips", "ipv4", "ipv6", "ip address", "ipaddress", "ip addr", "ipaddr", "remote addr", "adresse ip", "direccion ip")
AGAINST = ("version", "ver", "release", "build", "firmware", "section", "chapter", "clause", "oid", "enzyme", "ec", "mac", "time", "eui")
EXAMPLES = ("192.0.2.146", "2001:db8::8a2e:370:7334", "::ffff:192.0.2.1")


def valid(text: str) -> bool:
    """Whether it is an address by the rules of RFC 4291 and the dotted form, and not only colons."""
    if len(text) > 45 or not any(c.isalnum() for c in text):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def partial(text: str) -> str:
    """The network and not the machine: `192.0.***.***`, `2001:db8:***`."""
    if ":" in text:
        return f"{':'.join(ipaddress.ip_address(text).exploded.split(':')[:2])}:***"
    return f"{'.'.join(text.split('.')[:2])}.***.***"
