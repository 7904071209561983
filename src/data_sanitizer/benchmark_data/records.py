"""Clean records: each is a pure function of a seed and its number, so that any record can be made again at any time."""

from __future__ import annotations

import hashlib
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]

COLUMNS = (
    "customer_id", "full_name", "email", "phone", "street", "city", "postcode",
    "country", "signup_date", "amount", "quantity", "status", "note",
)  # fmt: skip
ID_STEP = 7  # ids rise with gaps, as in an export from which some customers were left out
FIRST_DAY, DAYS = date(2012, 1, 1), 5000
NO_ENDING = "."


@dataclass(frozen=True, slots=True)
class Dice:
    """Random numbers by counter: the same seed, purpose and number always throw the same."""

    seed: int

    def bits(self, numbers: Numbers, purpose: str) -> Numbers:
        """64 random bits for each number (SplitMix64, Steele, Lea and Flood 2014, with a salt by seed and purpose)."""
        salt = hashlib.blake2b(f"{self.seed}/{purpose}".encode(), digest_size=16).digest()
        z = numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(int.from_bytes(salt[:8], "little"))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (z ^ (z >> np.uint64(31))) ^ np.uint64(int.from_bytes(salt[8:], "little"))

    def below(self, numbers: Numbers, purpose: str, limit: int | Numbers) -> Numbers:
        """A number from 0 to limit - 1 for each number; limits below 2**32."""
        return ((self.bits(numbers, purpose) >> np.uint64(32)) * np.asarray(limit, np.uint64)) >> np.uint64(32)

    def chance(self, numbers: Numbers, purpose: str, share: float) -> NDArray[np.bool_]:
        """True for about `share` of the numbers."""
        return self.below(numbers, purpose, 1 << 31) < np.uint64(int(share * (1 << 31)))

    def early(self, numbers: Numbers, purpose: str, limit: int) -> Numbers:
        """As `below`, but small results are more frequent: the density falls as 1/sqrt."""
        u = self.bits(numbers, purpose) >> np.uint64(40)
        return (((u * u) >> np.uint64(24)) * np.uint64(limit)) >> np.uint64(24)


@cache
def words(name: str) -> pl.Series:
    """One list of the vocabulary; an underscore in the file stands for a blank within a word."""
    text = files(__package__).joinpath("vocabulary.toml").read_text(encoding="utf-8")
    return pl.Series([word.replace("_", " ") for word in tomllib.loads(text)[name].split()])


@cache
def _table(name: str, field: int) -> pl.Series:
    return pl.Series([entry.split("|")[field] for entry in words(name)])


@cache
def _numerals(digits: int) -> pl.Series:
    return pl.Series([str(number).zfill(digits) for number in range(10**digits)])


@cache
def _days() -> pl.Series:
    return pl.Series([(FIRST_DAY + timedelta(days=n)).strftime("%d/%m/%Y") for n in range(DAYS)])


@cache
def _last_names() -> pl.Series:
    endings = ["" if ending == NO_ENDING else ending for ending in words("last_name_endings")]
    return pl.Series([stem + ending for ending in endings for stem in words("last_name_stems")])


def _mailable(names: pl.Series) -> pl.Series:
    plain = unicodedata.normalize("NFD", "\n".join(names).lower().replace("ß", "ss"))
    return pl.Series("".join(c for c in plain if c.isascii() and (c.isalpha() or c == "\n")).split("\n"))


@cache
def _mail_names(first: bool) -> pl.Series:
    return _mailable(words("first_names") if first else _last_names())


def joined(parts: Iterable[pl.Series | str]) -> pl.Series:
    """One text for each row out of series of equal length and constants."""
    return pl.select(pl.concat_str([pl.lit(part) for part in parts])).to_series()


def identifiers(numbers: Numbers, dice: Dice) -> pl.Series:
    """The customer id given at registration: a prefix and ten digits, rising with the record number."""
    serial = numbers * np.uint64(ID_STEP) + dice.below(numbers, "id", ID_STEP)
    return joined(["C-", pl.Series(serial).cast(pl.String).str.zfill(10)])


def records(numbers: Numbers, homes: Numbers, dice: Dice) -> pl.DataFrame:
    """The clean records of these numbers; `homes` gives the record whose family name and address each one has."""
    last = dice.below(homes, "last name", len(_last_names()))
    city = dice.early(homes, "city", len(words("cities")))
    first = dice.early(numbers, "first name", len(words("first_names")))
    columns = (
        identifiers(numbers, dice),
        _names(numbers, first, last, dice),
        _emails(numbers, first, last, dice),
        _phones(numbers, city, dice),
        _streets(homes, dice),
        _table("cities", 0).gather(city),
        joined([_table("cities", 2).gather(city), _numerals(2).gather(dice.below(homes, "postcode", 100))]),
        _table("cities", 1).gather(city),
        _days().gather(np.maximum(dice.below(numbers, "day", DAYS), dice.below(numbers, "other day", DAYS))),
        _amounts(numbers, dice),
        _quantities(numbers, dice),
        words("statuses").gather(dice.early(numbers, "status", len(words("statuses")))),
        _notes(numbers, dice),
    )
    return pl.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _names(numbers: Numbers, first: Numbers, last: Numbers, dice: Dice) -> pl.Series:
    initials = pl.Series([" "] * 60 + [f" {letter}. " for letter in "ABCDEFGHIJKLMNOPRSTW"])
    middle = initials.gather(dice.below(numbers, "initial", len(initials)))
    return joined([words("first_names").gather(first), middle, _last_names().gather(last)])


def _emails(numbers: Numbers, first: Numbers, last: Numbers, dice: Dice) -> pl.Series:
    links = pl.Series([".", ".", "", "_", "-"])
    hosts = pl.Series([f"@{host}" for host in words("mail_hosts")])
    tails = pl.concat([pl.Series([""] * 9000), _numerals(2), _numerals(4)])
    return joined(
        [
            _mail_names(True).gather(first),
            links.gather(dice.below(numbers, "link", len(links))),
            _mail_names(False).gather(last),
            tails.gather(dice.below(numbers, "tail", len(tails))),
            hosts.gather(dice.early(numbers, "host", len(hosts))),
        ]
    )


def _phones(numbers: Numbers, city: Numbers, dice: Dice) -> pl.Series:
    codes = dict(entry.split("|") for entry in words("calling_codes"))
    code = _table("cities", 1).replace_strict(codes, return_dtype=pl.String).gather(city)
    area = _numerals(3).gather(city * np.uint64(7) + np.uint64(203))
    exchange = _numerals(3).gather(dice.below(numbers, "exchange", 800) + np.uint64(200))
    return joined([code, " ", area, " ", exchange, " ", _numerals(4).gather(dice.below(numbers, "line", 10_000))])


def _streets(homes: Numbers, dice: Dice) -> pl.Series:
    house = pl.Series(dice.early(homes, "house", 2400) + np.uint64(1)).cast(pl.String)
    flats = pl.Series([""] * 60 + [f", Apt {floor}{door}" for floor in range(1, 9) for door in "ABCD"])
    stem = words("street_stems").gather(dice.below(homes, "street", len(words("street_stems"))))
    kind = words("street_kinds").gather(dice.early(homes, "street kind", len(words("street_kinds"))))
    return joined([house, " ", stem, " ", kind, flats.gather(dice.below(homes, "flat", len(flats)))])


def _amounts(numbers: Numbers, dice: Dice) -> pl.Series:
    """Skewed to the right, from 0.64 to 5241.60: a mantissa of 10 bits, a binomial exponent (integers only: no rounding)."""
    bits = dice.bits(numbers, "amount")
    exponent = np.bitwise_count(bits & np.uint64(0xFFF)).astype(np.uint64)
    return money(((np.uint64(1024) + (bits >> np.uint64(54))) << exponent) >> np.uint64(4))


def money(cents: Numbers) -> pl.Series:
    """Amounts as text with two decimals."""
    return joined([pl.Series(cents // np.uint64(100)).cast(pl.String), ".", _numerals(2).gather(cents % np.uint64(100))])


def _quantities(numbers: Numbers, dice: Dice) -> pl.Series:
    bits = dice.bits(numbers, "quantity")
    few = np.bitwise_count(bits & (bits >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.uint64)
    return pl.Series(few + np.uint64(1)).cast(pl.String)


def _notes(numbers: Numbers, dice: Dice) -> pl.Series:
    """Four to seven terse clauses with numbers and times, about 310 bytes."""
    count = dice.below(numbers, "clauses", 4) + np.uint64(4)
    parts: list[pl.Series | str] = []
    for clause in range(7):
        absent = clause >= count
        for place, slot in enumerate(_slots()):
            index = dice.below(numbers, f"clause {clause} {place}", len(slot) - 1)
            index[absent] = len(slot) - 1
            parts.append(slot.gather(index))
    digits = [_numerals(4).gather(dice.below(numbers, f"file {half}", 10_000)) for half in (1, 2, 3)]
    return joined([*parts, "file ", digits[0], digits[1], "/", digits[2]])


@cache
def _slots() -> tuple[pl.Series, ...]:
    """What can stand in each place of a clause, with its blanks; the last entry of each is empty, for a clause left out."""
    subjects, verbs, kinds, manners = (words(f"note_{name}") for name in ("subjects", "verbs", "adjectives", "manners"))
    things = [*words("note_objects"), *(f'"{thing}"' for thing in words("note_objects")[:60])]
    codes = [f" {letter}{number:04d}" for letter in "ABCDEFGHKLMNPRSTUVWX" for number in range(1000, 5000)]
    clocks = [f" {hour:02d}:{minute:02d}" for hour in range(7, 19) for minute in range(60)]
    choices = (
        [f"{subject} " for subject in (*subjects, *words("first_names"), *words("last_name_stems"))],
        [f"{verb} " for verb in verbs],
        ["", "", *(f"{kind} " for kind in kinds)],
        things,
        ["", *codes],
        ["", *(f" {manner}" for manner in manners)],
        [*[""] * 500, *clocks],
        [f"{end} " for end in words("note_endings")],
    )
    return tuple(pl.Series([*entries, ""]) for entries in choices)
