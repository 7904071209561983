"""The verdict on a column: what is recognised under which name, what raises no alarm, and the step that tells."""

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
    personal: object = None


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


@pytest.mark.parametrize("name", sorted(set(ORDINARY) - {"version", "account_number", "order_id", "part"}))
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
    action = flag_personal_data.plan("notes", profile("notes", values), {})
    assert action is not None
    assert action.confidence == 0.9
    assert flag_personal_data.find(profile("notes", values, "identifier")) is None


@pytest.mark.parametrize("kind", ["empty", "boolean", "date", "timestamp"])
def test_the_step_leaves_columns_alone_that_are_read_otherwise(kind: str) -> None:
    assert flag_personal_data.plan("phone", profile("phone", column(american), kind), {}) is None
