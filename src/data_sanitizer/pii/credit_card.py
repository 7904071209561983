"""Credit and debit card numbers: 13 to 19 digits of a known issuer with a correct check digit."""

from __future__ import annotations

import re

NOUN = "credit card numbers"
PATTERN = (
    r"[0-9]{13,19}"
    r"|[0-9]{4} [0-9]{4} [0-9]{4} [0-9]{4}(?: [0-9]{3})?|[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{4}(?:-[0-9]{3})?"
    r"|[0-9]{4} [0-9]{6} [0-9]{4,5}|[0-9]{4}-[0-9]{6}-[0-9]{4,5}"
)
SHARE = 0.9  # one identifier in ten passes Luhn by chance, so nearly all must
DISTINCT = 5  # by chance: 1 in 100,000
CONTEXT = (
    *("credit card", "card number", "card no", "cc number", "ccnumber", "ccnum", "cc num", "cc", "pan", "debit card", "visa"),
    *("kreditkarte", "kartennummer", "carte bancaire", "carte de credit", "tarjeta", "cartao", "carta di credito", "creditcard"),
)
AGAINST = ("imei", "iccid", "imsi", "isbn", "ean", "gtin", "upc", "barcode", "timestamp")
EXAMPLES = ("4111111111111111", "5555 5555 5555 4444", "3714-496353-98431")

# First digits and lengths of the issuers (ISO/IEC 7812 ranges as the networks publish them). The exact length matters: an IMEI has
# 15 digits, a correct Luhn digit, and often starts with 35, as JCB does with 16.
_ISSUER = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|095|[689])[0-9]{11,13}"  # Diners Club; 14 to 16 digits
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2}|62[0-9]{2}|35(?:2[89]|[3-8][0-9]))[0-9]{12,15}"  # Discover, UnionPay, JCB
    r"|(?:50|5[6-8]|63|67)[0-9]{11,17}"  # Maestro and national debit cards
    r"|(?:220[0-4]|9792|60[0-9]{2}|8[12][0-9]{2})[0-9]{12}"  # Mir, Troy, RuPay
    r"|1[0-9]{14}"  # UATP
)
_DOUBLED = str.maketrans("0123456789", "0246813579")


def valid(text: str) -> bool:
    """Whether an issuer has such numbers and the check digit is right (Luhn, ISO/IEC 7812-1)."""
    digits = re.sub(r"[ -]", "", text)
    return _ISSUER.fullmatch(digits) is not None and len(set(digits)) > 1 and _luhn(digits)


def _luhn(digits: str) -> bool:
    single, doubled = digits[-1::-2], digits[-2::-2].translate(_DOUBLED)
    return (sum(single.encode()) + sum(doubled.encode()) - len(digits) * ord("0")) % 10 == 0


def partial(text: str) -> str:
    """The last four digits, as receipts show them: `****1234`."""
    return f"****{text[-4:]}"
