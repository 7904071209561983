"""E-mail addresses, also with international names and domains."""

from __future__ import annotations

NOUN = "e-mail addresses"
# Letters beyond ASCII as one range: \pL and \w differ between regex engines and their versions of Unicode.
PATTERN = (
    r"[A-Za-z0-9_\x{A1}-\x{10FFFF}][A-Za-z0-9_.%+'&=~!#$?^\x{A1}-\x{10FFFF}-]*"
    r"@(?:[A-Za-z0-9\x{A1}-\x{10FFFF}](?:[A-Za-z0-9\x{A1}-\x{10FFFF}-]*[A-Za-z0-9\x{A1}-\x{10FFFF}])?\.)+"
    r"(?:[A-Za-z\x{A1}-\x{10FFFF}]{2,63}|[Xx][Nn]--[A-Za-z0-9-]{2,59})"
)
CONTEXT = ("email", "e mail", "mail", "correo", "courriel", "posta elettronica", "邮箱", "メール", "почта")
EXAMPLES = ("jane.doe+news@example.co.uk", "JÖRG@müller.example", "a@xn--d1acufc.xn--p1ai")


def valid(text: str) -> bool:
    """The lengths of RFC 5321 (64 before the @, 254 in all), no dots in a row and none beside the @."""
    if len(text) > 254:
        return False
    name, _, domain = text.rpartition("@")
    return len(name) <= 64 and not name.endswith(".") and ".." not in name and all(len(label) <= 63 for label in domain.split("."))


def partial(text: str) -> str:
    """The first letter and the domain: `j***@example.com`."""
    return f"{text[0]}***@{text.rpartition('@')[2]}"
