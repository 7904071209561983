"""Phone numbers, with a country or without; the country is never guessed."""

from __future__ import annotations

import re

NOUN = "phone numbers"
_GAP = r"[ ./\x{A0}\x{202F}\x{2010}-\x{2014}-]"
_EXTENSION = r"(?: ?(?:x|#|[Ee]xt\.?|[Ee]xtension|[Dd]w\.?) ?[0-9]{1,6})?"
PATTERN = r"[+(]?[ (]?[0-9][0-9() ./\x{A0}\x{202F}\x{2010}-\x{2014}-]{4,24}[0-9]" + _EXTENSION
# The forms that nothing else has: international; area code in brackets; North American groups; a trunk 0 and groups.
_INTERNATIONAL = r"\+[ (]?[0-9][0-9() ./\x{A0}\x{202F}\x{2010}-\x{2014}-]{6,22}[0-9]"
_BRACKETS = (
    rf"(?:1[-. ]?)?\((?:0[0-9]{{1,4}}|[1-9][0-9]{{1,2}})\){_GAP}{{0,3}}"
    rf"(?:[0-9]{{6,8}}|[0-9]{{2,5}}{_GAP}[0-9]{{3,5}}|[0-9]{{2,3}}{_GAP}[0-9]{{2}}{_GAP}[0-9]{{2}}(?:{_GAP}[0-9]{{2}})?)"
)
_AMERICAN = r"(?:0{0,2}1[-. ])?[2-9][0-9]{2}(?:-[1-9][0-9]{2}-|\.[1-9][0-9]{2}\.| [1-9][0-9]{2}[ -]|/[1-9][0-9]{2}-)[0-9]{4}"
_TRUNK = r"0[1-9](?:[0-9]{1,3}[/ ][0-9]{5,8}|[0-9]{0,3} [0-9]{3,4} [0-9]{3,4}|[0-9]{0,3}-[0-9]{3,4}-[0-9]{3,4})"
_PAIRS = r"0[1-9](?:(?: [0-9]{2}){4}|(?:\.[0-9]{2}){4}|(?:-[0-9]{2}){4})"
SURE = rf"(?:{_INTERNATIONAL}|{_BRACKETS}|{_AMERICAN}|{_TRUNK}|{_PAIRS})" + _EXTENSION
INSIDE = rf"(?:{_INTERNATIONAL}|{_BRACKETS}|{_AMERICAN}|{_TRUNK})" + _EXTENSION  # five numbers in a row are a lottery draw as well
DISTINCT = 3
CONTEXT = (
    *("phone", "telephone", "phone number", "contact number", "mobile", "cell", "cellphone", "fax", "tel", "whatsapp", "gsm"),
    *("telefon", "handy", "mobil", "rufnummer", "telefono", "movil", "celular", "telefone", "telemovel", "cellulare"),
    *("telephone portable", "telefoon", "puhelin", "telefonszam", "телефон", "电话", "手机", "電話", "携帯", "전화", "هاتف"),
)
AGAINST = (
    *("account", "acct", "konto", "cuenta", "compte", "order", "invoice", "sku", "part", "item", "product", "serial", "policy"),
    *("isbn", "issn", "ean", "upc", "gtin", "barcode", "tracking", "ticket", "claim", "case", "duns", "siret", "siren", "cpf", "cnpj"),
    *("zip", "postal", "postcode", "plz", "date", "datum", "time", "year", "birth", "dob", "version", "coordinates"),
    *("amount", "price", "cost", "salary", "balance", "latitude", "longitude", "lat", "lon", "lng", "vat", "tax", "doi"),
)
EXAMPLES = ("+49 30 901820", "(212) 555-0123", "06 12 34 56 78", "212-555-0123 ext. 7", "5551234567")

_NOT_A_PHONE = re.compile(
    r"[0-9]+\.[0-9]+"  # a decimal number
    r"|[0-9]{1,2}(?:[. ][0-9]{3})+"  # an integer in groups of thousands
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"  # an IP address or a version
    r"|(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[0-9]{6})?"  # a date as 20180315, a time after it
    r"|(?:1[89]|2[01])[0-9]{2}[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12][0-9]|3[01])(?: .*)?"  # 2018-03-15
    r"|(?:0?[1-9]|[12][0-9]|3[01])[-/.](?:0?[1-9]|[12][0-9]|3[01])[-/.](?:(?:1[89]|2[01])[0-9]{2}|[0-9]{2})(?: .*)?"  # 15/03/2018
    r"|(?:19|20)[0-9]{2} ?[-/\u2013] ?(?:19|20)[0-9]{2}"  # a span of years
)


def valid(text: str) -> bool:
    """Whether it has the digits of a phone number (6 or 7 to 15, E.164) and is no date, decimal number or filler.

    With a country code its length must be possible there, by the numbering plans in `phonenumbers`.
    """
    number = re.split(r"[xX#EeDd]", text, maxsplit=1)[0].strip()
    digits = re.sub(r"[^0-9]", "", number)
    if number.count("(") != number.count(")") or len(set(digits)) == 1 or not 6 <= len(digits) <= 15:
        return False
    if number.startswith("+"):
        return len(digits) >= 8 and not re.fullmatch(r"\+[0-9]+\.[0-9]+", number) and _possible(digits)
    bare = number.isdigit()
    return not (bare and len(digits) < 7) and not _NOT_A_PHONE.fullmatch(number)


def _possible(digits: str) -> bool:
    import phonenumbers

    try:
        reason = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(f"+{digits}", None))
    except phonenumbers.NumberParseException:
        return False
    return bool(reason == phonenumbers.ValidationResult.IS_POSSIBLE)


def partial(text: str) -> str:
    """The last digits, at most four and never half of them: `***0123`."""
    digits = re.sub(r"[^0-9]", "", text)
    return f"***{digits[-4:] if len(digits) >= 10 else digits[-2:]}"
