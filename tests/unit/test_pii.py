"""What counts as personal data, what only looks like it, and what is found inside text."""

from __future__ import annotations

import random

import polars as pl
import pytest

from data_sanitizer import pii
from data_sanitizer.pii.iban import LENGTHS


def luhn(head: str) -> str:
    """The digits with their check digit."""
    places = [int(d) for d in reversed(head)]
    total = sum(sum(divmod(2 * d, 10)) for d in places[::2]) + sum(places[1::2])
    return head + str(-total % 10)


def iban(country: str, account: str) -> str:
    number = int("".join(str(int(c, 36)) for c in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02d}{account}"


def count_of(kind: str, *texts: str) -> int:
    return int(pii.matches(kind, pl.Series(texts, dtype=pl.String)).sum())


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
        "4006381333931",
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
    rng = random.Random(4)
    texts = pl.Series([f"shipment 4{rng.randrange(10**15):015d} left" for _ in range(200)])
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


def test_a_number_that_follows_a_number_hides_neither() -> None:
    mask = {"phone": "P", "ssn": "S", "credit_card": "C"}
    text = "+49 30 901820 536-22-1234, 1234 4111 1111 1111 1111 500"
    assert pii.replace_found(text, list(mask), lambda kind, find: mask[kind]) == "P S, 1234 C 500"


def test_a_find_far_down_a_long_text_is_found() -> None:
    assert pii.leaks(pl.Series(["remark 17; " * 20_000 + "ask jane@example.com"])) == {"email": 1}
