"""What counts as personal data, what only looks like it, and the verdict on a column."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import pytest

from data_sanitizer import pii
from data_sanitizer.steps import flag_personal_data

RNG = random.Random(20_150_318)


def digits(count: int, first: str = "") -> str:
    return first + "".join(RNG.choice("0123456789") for _ in range(count - len(first)))


def luhn(head: str) -> str:
    """The digits with their check digit."""
    places = [int(d) for d in reversed(head)]
    total = sum(sum(divmod(2 * d, 10)) for d in places[::2]) + sum(places[1::2])
    return head + str(-total % 10)


def ean(head: str) -> str:
    return head + str(-sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(head)) % 10)


def iban(country: str, account: str) -> str:
    number = int("".join(str(int(c, 36)) for c in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02d}{account}"


def ssn() -> str:
    return f"{RNG.randint(100, 650)}-{RNG.randint(1, 99):02d}-{RNG.randint(1, 9999):04d}"


def american() -> str:
    return f"{RNG.randint(201, 989)}-{RNG.randint(200, 999)}-{RNG.randint(0, 9999):04d}"


def date(form: str) -> str:
    return form.format(d=RNG.randint(1, 28), m=RNG.randint(1, 12), y=RNG.randint(1940, 2024))


def column(make: Callable[[], str], count: int = 400) -> pl.Series:
    return pl.Series([make() for _ in range(count)])


def count_of(kind: str, *texts: str) -> int:
    return int(pii.matches(kind, pl.Series(texts, dtype=pl.String)).sum())


# --- values ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a@b.co", "jane_doe@mail.example.org", "o'neil@example.ie", "李@例子.中国", "x@sub-domain.example.com"])
def test_these_are_email_addresses(text: str) -> None:
    assert count_of("email", text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a@b",
        "@example.com",
        "a@@b.com",
        "a..b@example.com",
        "a.@example.com",
        "a@b..com",
        "a b@example.com",
        "a@-b.com",
        "a" * 65 + "@b.com",
        "a@" + "b" * 64 + ".com",
        "user@192.0.2.1",
        "a@b.c",
        "j***@example.com",
        "price@2.50",
    ],
)
def test_these_are_not_email_addresses(text: str) -> None:
    assert count_of("email", text) == 0


@pytest.mark.parametrize(
    "text",
    [
        "+49 30 901820",
        "+1 (212) 555-0123",
        "+442079460958",
        "(212) 555-0123",
        "212.555.0123",
        "06 12 34 56 78",
        "(030) 12 34 56 78",
        "030/9018200",
        "020 7946 0958",
        "415/668-6654",
        "1-800-555-0199",
        "212-555-0123x45",
        "+1-212-555-0123 ext. 99",
    ],
)
def test_these_are_phone_numbers_under_any_name(text: str) -> None:
    assert pii.matches("phone", pl.Series([text]), sure=True)[0]


@pytest.mark.parametrize("text", ["5550123", "2125550123", "555-0123", "84 23 30", "0151 23456789", "21 259 903 5696"])
def test_these_are_phone_numbers_only_where_the_name_says_so(text: str) -> None:
    assert count_of("phone", text) == 1
    values = pl.Series([text[:-2] + f"{i:02d}" for i in range(10, 60)])
    assert pii.verdict("value", values) is None or text.startswith("0")
    assert (pii.verdict("Phone", values) or [None])[0] == "phone"


@pytest.mark.parametrize(
    "text",
    [
        "1234567.89",
        "-123456789",
        "2018-03-15",
        "15/03/2018",
        "3.15.2018",
        "20180315",
        "20180315123000",
        "1.234.567",
        "12 345 678",
        "192.168.100.1",
        "000-000-0000",
        "9999999999",
        "2018-2019",
        "12345",
        "+1234.5678",
        "+999 12 345 678",
        "(123-456-7890",
        "1" * 20,
        "52.5200, 13.4050",
        "12:30:45",
        "1234567e3",
        "12/10/95",
    ],
)
def test_these_are_never_phone_numbers(text: str) -> None:
    assert count_of("phone", text) == 0


def test_a_country_is_checked_where_it_stands_and_never_guessed() -> None:
    assert count_of("phone", "+49 30 901820") == 1
    assert count_of("phone", "+49 30", "+1 555 0123", "+999 30 901820") == 0


@pytest.mark.parametrize("text", ["000-12-3456", "666-12-3456", "900-12-3456", "999-99-9999", "123-00-4567", "123-45-0000", "078-05-1120"])
def test_these_were_never_issued_as_ssn(text: str) -> None:
    assert count_of("ssn", text, text.replace("-", ""), text.replace("-", " ")) == 0


def test_ssn_keeps_to_one_separator() -> None:
    assert count_of("ssn", "536-22-1234", "536 22 1234", "536.22.1234", "536221234") == 4
    assert count_of("ssn", "536-22.1234", "53-622-1234", "5362-21-234", "536-22-12345") == 0


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "30569309025904",
        "6011111111111117",
        "3530111333300000",
        "6200000000000005",
        "4111-1111-1111-1111",
        "3782 822463 10005",
    ],
)
def test_these_are_card_numbers(text: str) -> None:
    assert count_of("credit_card", text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "0000000000000000",
        "9999999999999995",
        luhn("35" + "1" * 12),
        luhn("7" * 15),
        "4111 11111111 1111",
        "41111111-11111111",
        ean("400638133393"),
    ],
)
def test_these_are_not_card_numbers(text: str) -> None:
    assert count_of("credit_card", text) == 0


@pytest.mark.parametrize("text", ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "gb82west12345698765432", "NO93-8601-1117-947"])
def test_these_are_bank_accounts(text: str) -> None:
    assert count_of("iban", text) == 1


@pytest.mark.parametrize("text", ["DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000", "DE89 37 0400440532013000"])
def test_these_are_not_bank_accounts(text: str) -> None:
    assert count_of("iban", text) == 0


def test_every_country_of_the_iban_registry_has_its_length() -> None:
    from data_sanitizer.pii.iban import LENGTHS

    for length, countries in LENGTHS.items():
        for country in countries.split():
            good = iban(country, "1" * (length - 4))
            assert count_of("iban", good) == 1
            assert count_of("iban", iban(country, "1" * (length - 3)), iban(country, "1" * (length - 5))) == 0


@pytest.mark.parametrize("text", ["192.0.2.1", "255.255.255.255", "::1", "fe80::1", "2001:db8::8a2e:370:7334", "::ffff:192.0.2.1"])
def test_these_are_ip_addresses(text: str) -> None:
    assert count_of("ip", text) == 1


@pytest.mark.parametrize(
    "text",
    ["256.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "::", "12:34:56", "00:1a:2b:3c:4d:5e", "1::2::3", "::ffff:256.0.0.1", "std::cout"],
)
def test_these_are_not_ip_addresses(text: str) -> None:
    assert count_of("ip", text) == 0


def test_a_web_address_without_scheme_needs_the_name_of_the_column() -> None:
    hosts = pl.Series([f"shop{i}.example.com/about" for i in range(50)])
    assert pii.verdict("source", hosts) is None
    assert (pii.verdict("website", hosts) or [None])[0] == "url"
    assert (pii.verdict("source", "https://" + hosts) or [None])[0] == "url"


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("email", "jane@example.com", "j***@example.com"),
        ("phone", "+49 30 901820", "***1820"),
        ("phone", "555-0123", "***23"),
        ("ssn", "536-22-1234", "***-**-1234"),
        ("credit_card", "4111 1111 1111 1111", "****1111"),
        ("url", "https://jane:secret@example.com/people?id=7", "https://example.com/***"),
        ("url", "www.example.com/people", "www.example.com/***"),
        ("ip", "192.0.2.146", "192.0.***.***"),
        ("ip", "2001:db8::1", "2001:0db8:***"),
        ("iban", "DE89 3704 0044 0532 0130 00", "DE***3000"),
        ("email", "not an address", "***"),
    ],
)
def test_partial_masks(kind: str, text: str, shown: str) -> None:
    assert pii.partial(kind, text) == shown


# --- columns --------------------------------------------------------------------------------------------------------------------

PERSONAL: dict[str, tuple[str, Callable[[], str]]] = {
    "column_1": ("email", lambda: f"{digits(6)}@example.com"),
    "column_2": ("phone", american),
    "column_3": ("phone", lambda: f"+49 30 {digits(7, '9')}"),
    "column_4": ("phone", lambda: "0" + RNG.choice("123456") + "".join(f" {digits(2)}" for _ in range(4))),
    "column_5": ("ssn", ssn),
    "column_6": ("credit_card", lambda: luhn(digits(15, "4"))),
    "column_7": ("ip", lambda: ".".join(str(RNG.randint(1, 254)) for _ in range(4))),
    "column_8": ("iban", lambda: iban("DE", digits(18))),
    "column_9": ("url", lambda: f"https://example.com/{digits(5)}"),
    "PhoneNumber": ("phone", lambda: digits(10, "2")),
    "Téléphone": ("phone", lambda: digits(9, "6")),
    "電話番号": ("phone", lambda: "0" + digits(9, "3")),
    "customer_ssn": ("ssn", lambda: ssn().replace("-", "")),
    "Social-Security No": ("ssn", lambda: ssn().replace("-", "")),
    "client ip": ("ip", lambda: f"10.0.0.{RNG.randint(1, 99)}"),
    "CCNumber": ("credit_card", lambda: luhn(digits(14, "37"))),
}
ORDINARY: dict[str, Callable[[], str]] = {
    "zip": lambda: digits(5),
    "zip_plus_4": lambda: f"{digits(5)}-{digits(4)}",
    "postal_code": lambda: f"{digits(4)} {RNG.choice('ABC')}{RNG.choice('XYZ')}",
    "account_no": lambda: digits(10),
    "account_number": lambda: f"{digits(3, '4')}-{digits(3)}-{digits(4)}",
    "bank_account": lambda: digits(12),
    "order_id": lambda: f"{digits(3)}-{digits(2)}-{digits(4)}",
    "order": lambda: f"ORD-{digits(7)}",
    "id": lambda: digits(9),
    "customer_id": lambda: digits(10, "5"),
    "phone_id": lambda: digits(9),
    "mobile_users": lambda: digits(8),
    "reference": lambda: digits(16, "4"),
    "number": lambda: digits(16, "5"),
    "amount": lambda: f"{RNG.randint(1, 10**9) / 100:.2f}",
    "price": lambda: f"$ {RNG.randint(1, 10**6):,}.{digits(2)}",
    "revenue": lambda: f"{RNG.randint(1, 999)}.{digits(3)}.{digits(3)},{digits(2)}",
    "population": lambda: f"{RNG.randint(1, 999)} {digits(3)} {digits(3)}",
    "signed": lambda: f"+{RNG.randint(1, 10**6)}",
    "date": lambda: date("{y}-{m:02d}-{d:02d}"),
    "us_date": lambda: date("{m:02d}/{d:02d}/{y}"),
    "de_date": lambda: date("{d:02d}.{m:02d}.{y}"),
    "dashed": lambda: date("{d:02d}-{m:02d}-{y}"),
    "compact_date": lambda: date("{y}{m:02d}{d:02d}"),
    "seconds": lambda: digits(10, "16"),
    "milliseconds": lambda: digits(13, "16"),
    "microseconds": lambda: digits(16, "16"),
    "years": lambda: f"{RNG.randint(1950, 2020)}-{RNG.randint(1950, 2020)}",
    "time": lambda: f"{RNG.randint(10, 23)}:{digits(2)}:{digits(2)}",
    "lat": lambda: f"{RNG.uniform(-90, 90):.6f}",
    "coordinates": lambda: f"{RNG.uniform(-90, 90):.4f}, {RNG.uniform(-180, 180):.4f}",
    "isbn": lambda: ean("978" + digits(9)),
    "isbn10": lambda: f"0-{digits(3)}-{digits(5)}-{digits(1)}",
    "book": lambda: f"978-{digits(1)}-{digits(2)}-{digits(6)}-{digits(1)}",
    "issn": lambda: f"{digits(4)}-{digits(4)}",
    "ean": lambda: ean("4" + digits(11)),
    "article": lambda: ean("40" + digits(10)),
    "imei": lambda: luhn("35" + digits(12)),
    "device": lambda: luhn("35" + digits(12)),
    "version": lambda: ".".join(str(RNG.randint(0, 200)) for _ in range(4)),
    "released": lambda: ".".join(str(RNG.randint(0, 30)) for _ in range(4)),
    "browser": lambda: f"{RNG.randint(80, 120)}.0.{RNG.randint(4000, 6000)}.{RNG.randint(1, 200)}",
    "mac": lambda: ":".join(f"{RNG.randint(0, 255):02x}" for _ in range(6)),
    "device_eui": lambda: ":".join(f"{RNG.randint(0, 255):02x}" for _ in range(8)),
    "sensor": lambda: ":".join(f"{RNG.randint(0, 255):02x}" for _ in range(8)),
    "uuid": lambda: f"{RNG.getrandbits(32):08x}-{digits(4)}-4{digits(3)}-a{digits(3)}-{RNG.getrandbits(48):012x}",
    "hash": lambda: f"{RNG.getrandbits(128):032x}",
    "sort_code": lambda: f"0{digits(1)}-{digits(2)}-{digits(2)}",
    "cpf": lambda: f"{digits(3)}.{digits(3)}.{digits(3)}-{digits(2)}",
    "vat": lambda: f"DE{digits(9)}",
    "cas_number": lambda: f"{digits(3)}-{digits(2)}-{digits(1)}",
    "draw": lambda: " ".join(f"{n:02d}" for n in sorted(RNG.sample(range(1, 70), 5))),
    "file": lambda: f"scan{digits(4)}.pdf",
    "handle": lambda: f"@user{digits(4)}",
    "host": lambda: f"node{digits(3)}.example.com",
    "street": lambda: f"{RNG.randint(1, 999)} Main Street, Apt {RNG.randint(1, 99)}",
    "score": lambda: f"{RNG.randint(0, 9)}:{RNG.randint(0, 9)}",
    "part": lambda: f"0{digits(1, '4')}-{digits(4)}-{digits(4)}",
}


@dataclass(frozen=True)
class Profile:
    """What a step reads of a column's profile."""

    name: str
    sample: pl.DataFrame
    kind: str = "text"
    sensitive: str | None = None


def profile(name: str, values: pl.Series, kind: str = "text") -> Profile:
    sample = values.rename("value").value_counts().sort("value").with_columns(pl.col("count").cast(pl.UInt32))
    return Profile(name, sample, kind)


@pytest.mark.parametrize("name", PERSONAL)
def test_a_personal_column_is_recognised(name: str) -> None:
    kind, make = PERSONAL[name]
    found = pii.verdict(name, column(make))
    assert found is not None
    assert found.kind == kind
    assert found.share > 0.85


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_column_raises_no_alarm(name: str) -> None:
    values = column(ORDINARY[name])
    assert pii.verdict(name, values) is None
    assert flag_personal_data.find(profile(name, values)) is None


@pytest.mark.parametrize("name", set(ORDINARY) - {"version", "account_number", "order_id", "part"})
def test_nor_does_it_without_its_name(name: str) -> None:
    assert pii.verdict("column_1", column(ORDINARY[name])) is None


def test_a_few_values_are_too_few_for_a_shape_that_others_share() -> None:
    assert pii.verdict("code", pl.Series([luhn(digits(15, "4"))] * 50)) is None
    assert pii.verdict("code", pl.Series([ssn()] * 50)) is None
    assert (pii.verdict("ssn", pl.Series([ssn()])) or [None])[0] == "ssn"


def test_counts_weigh_and_empty_words_do_not_count() -> None:
    values = pl.Series(["a@example.com", "b@example.com", "N/A", "", "-", "front desk", None])
    counts = pl.Series([60, 38, 500, 700, 300, 2, 1_000], dtype=pl.UInt32)
    found = pii.verdict("email", values, counts)
    assert found == ("email", 0.98, "e-mail addresses in 98 % of 100 sampled cells, and the name of the column says so")


def test_the_verdict_does_not_depend_on_the_order_of_the_values() -> None:
    values = column(american, 6_000).unique(maintain_order=True)
    shuffled = values.sample(fraction=1, shuffle=True, seed=7)
    assert pii.verdict("c", values) == pii.verdict("c", shuffled)


def test_evidence_quotes_no_value() -> None:
    values = column(lambda: f"{digits(6)}@example.com")
    found = pii.verdict("email", values)
    assert found is not None
    assert not any(value in found.evidence for value in values)


@pytest.mark.parametrize("values", [pl.Series([], dtype=pl.String), pl.Series([None, None], dtype=pl.String), pl.Series(["", "-", "n/a"])])
def test_a_column_that_says_nothing_has_no_verdict(values: pl.Series) -> None:
    assert pii.verdict("email", values) is None
    assert pii.inside("notes", values) is None
    assert pii.leaks(values) == {}


def test_a_column_of_numbers_is_judged_as_text() -> None:
    assert (pii.verdict("phone", pl.Series(range(2_125_550_000, 2_125_550_100))) or [None])[0] == "phone"


# --- text -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to <jane@example.com>.", "email"),
        ("mailto:jane@example.com?subject=x", "email"),
        ("call (212) 555-0123, ask for Jo", "phone"),
        ("fax: +49 30 901820-0", "phone"),
        ("office,212-555-0123-fax", "phone"),
        ("SSN 536-22-1234.", "ssn"),
        ("paid with 4111 1111 1111 1111 today", "credit_card"),
        ("to DE89 3704 0044 0532 0130 00 BIC COBADEFF", "iban"),
        ("from 192.168.100.17:8080", "ip"),
        ("see https://example.com/a, page 3", "url"),
    ],
)
def test_personal_data_is_found_inside_text(text: str, kind: str) -> None:
    assert pii.leaks(pl.Series([text, "nothing here"])) == {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112",
        "part 1212-555-01234",
        "on 2018-03-15 at 12:30",
        "v1.2.3.4 and 10.2.3.4.5",
        "total 1,234,567.89 EUR",
        "numbers 04 14 22 43 58",
        "J. Chem. (1998) 120-1234",
        "ISBN 978-3-16-148410-0",
        "536-22-1234-9",
        "std::dead",
        "x@y and a @ b.com",
    ],
)
def test_ordinary_text_raises_no_alarm(text: str) -> None:
    assert pii.leaks(pl.Series([text])) == {}


def test_numbers_that_mostly_fail_the_checksum_are_not_cards() -> None:
    texts = column(lambda: f"shipment {digits(16, '4')} left", 200)
    assert any(pii.leaks(pl.Series([text])) for text in texts)
    assert pii.leaks(texts) == {}


def test_the_column_says_how_many_cells_contain_what() -> None:
    values = pl.Series(["ask jane@example.com or 212-555-0123", "ask joe@example.com", "ask nobody"])
    assert pii.leaks(values, pl.Series([1, 11, 988])) == {"email": 12, "phone": 1}
    found = pii.inside("notes", values, pl.Series([1, 11, 988]))
    words = "e-mail addresses within 12 of 1,000 sampled cells; phone numbers within 1 of 1,000 sampled cells"
    assert found == ("email", 0.012, words)


def test_a_web_address_in_a_text_is_no_reason_to_flag_it() -> None:
    assert pii.inside("notes", pl.Series(["see https://example.com/a"])) is None


def test_finds_that_touch_are_all_replaced() -> None:
    text = "a@example.com b@example.com,c@example.com;é 192.168.100.1 192.168.100.2"
    assert (
        pii.replace_found(text, ["email", "ip"], lambda kind, find: f"<{kind}{len(find)}>")
        == "<email13> <email13>,<email13>;é <ip13> <ip13>"
    )


# --- the step -------------------------------------------------------------------------------------------------------------------


def test_the_step_notes_the_column_and_changes_nothing() -> None:
    values = column(lambda: f"{digits(6)}@example.com", 1_000)
    action = flag_personal_data.plan("contact", profile("contact", values), {})
    assert action is not None
    assert (action.step, action.column, action.mode) == ("flag_personal_data", "contact", "note")
    assert action.parameters == {"kind": "email", "share": 1.0}
    assert action.evidence == "e-mail addresses in 100 % of 1,000 sampled cells"
    assert not hasattr(flag_personal_data, "clean")


def test_the_step_searches_text_but_not_identifiers() -> None:
    values = pl.Series(["ask jane@example.com"] + [f"remark {i}" for i in range(99)])
    found = flag_personal_data.find(profile("notes", values))
    assert found == ("email", 0.01, "e-mail addresses within 1 of 100 sampled cells")
    assert flag_personal_data.find(profile("notes", values, "identifier")) is None


@pytest.mark.parametrize("kind", ["empty", "boolean", "date", "timestamp"])
def test_the_step_leaves_columns_alone_that_are_read_otherwise(kind: str) -> None:
    assert flag_personal_data.plan("phone", profile("phone", column(american), kind), {}) is None
