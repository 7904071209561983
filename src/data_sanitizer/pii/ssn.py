"""Social security numbers of the United States."""

from __future__ import annotations

import re

NOUN = "US social security numbers"
SURE = r"[0-9]{3}-[0-9]{2}-[0-9]{4}"
PATTERN = SURE + r"|[0-9]{3} [0-9]{2} [0-9]{4}|[0-9]{3}\.[0-9]{2}\.[0-9]{4}|[0-9]{9}"
SHARE = 0.95  # of identifiers in the same groups about 12 % have an impossible area or group
DISTINCT = 3
CONTEXT = ("ssn", "ssns", "social security", "social security number", "soc sec", "socsec", "seguro social", "securite sociale")
AGAINST = (
    *("account", "acct", "order", "invoice", "sku", "part", "item", "product", "serial", "policy", "ticket", "claim"),
    *("zip", "postal", "phone", "fax", "date", "cas", "ndc", "duns", "ein"),
)
EXAMPLES = ("536-22-1234", "536 22 1234", "536221234")
_NEVER_ISSUED = {"078051120", "219099999"}  # printed on sample cards, then used by thousands; withdrawn


def valid(text: str) -> bool:
    """No area 000, 666 or 900 to 999, no group 00, no serial 0000 (Social Security Administration, POMS RM 10201.035)."""
    digits = re.sub(r"[^0-9]", "", text)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    issued = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return issued and len(set(digits)) > 1 and digits not in _NEVER_ISSUED


def partial(text: str) -> str:
    """The last four digits: `***-**-1234`."""
    return f"***-**-{text[-4:]}"
