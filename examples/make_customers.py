"""Writes customers.csv: 300 customers of an invented shop, as such a table arrives from someone else's export.

The export ran under a European setting, so amounts have a decimal comma, dates put the day first, and fields are separated by
semicolons. Every person is invented; e-mail addresses are at example domains and phone numbers in the range kept for fiction.
Each kind of damage below is something the cleaner repairs, or asks about, or must leave alone.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from random import Random
from unicodedata import normalize

HEADER = ["customer_id", "name", "email", "phone", "street", "city", "state", "zip", "signup_date", "newsletter", "tier", "amount", "note"]
FIRST = """Amelia Benjamin Chloé Daniel Elena Felix Grace Hugo Irène Jonas Katarína Liam María Noah Olivia Paul Quentin Rosa Søren
Teresa Ursula Víctor Wendy Xavier Yara Zoë""".split()
LAST = """Abbott Bergström Castillo Delacroix Eriksen Fitzgerald García Hoffmann Iglesias Jensen Kowalski Lindqvist Müller Nakamura
O'Connor Pérez Quinn Rossi Sørensen Thompson Urbina Vogel Whitaker Young Zimmermann""".split()
PLACES = [
    ("Boston", "Massachusetts", "0211", "617"),
    ("Newark", "New Jersey", "0710", "973"),
    ("Hartford", "Connecticut", "0610", "860"),
    ("Portland", "Maine", "0410", "207"),
    ("Albany", "New York", "1220", "518"),
    ("Austin", "Texas", "7870", "512"),
    ("Denver", "Colorado", "8020", "303"),
    ("Seattle", "Washington", "9810", "206"),
]
STREETS = ["Maple Street", "Station Road", "Harbor View", "Mill Lane", "Church Street", "Orchard Avenue", "King's Row"]
NOTES = [
    "",
    "",
    "",
    "prefers e-mail",
    "gift wrapping; no invoice in the box",
    'asked for the 5" model',
    "moved in spring",
    "calls before delivery",
]
UNKNOWN = ["", "", "N/A", "n/a", "-", "null", "unknown"]
ROWS = 300


def mailbox(first: str, last: str) -> str:
    """A name as it stands in an address: no accents."""
    return normalize("NFKD", f"{first}.{last}".replace("ø", "o")).encode("ascii", "ignore").decode().replace("'", "").lower()


def customer(number: int, random: Random) -> list[str]:
    """One clean record."""
    first, last = random.choice(FIRST), random.choice(LAST)
    city, state, zip_code, area = random.choice(PLACES)
    amount = round(random.lognormvariate(4.2, 0.8), 2)
    return [
        f"{number * 7 + 112:06d}",
        f"{first} {last}",
        f"{mailbox(first, last)}{number}@example.{random.choice(['com', 'org', 'net'])}",
        f"({area}) 555-01{random.randrange(100):02d}",
        f"{random.randrange(1, 240)} {random.choice(STREETS)}",
        city,
        state,
        f"{zip_code}{random.randrange(10)}",
        (date(2019, 1, 1) + timedelta(days=random.randrange(2300))).strftime("%d/%m/%Y"),
        random.choice(["yes", "no"]),
        random.choices(["standard", "silver", "gold"], [6, 3, 1])[0],
        f"{amount:,.2f}".translate(str.maketrans(",.", ".,")),
        random.choice(NOTES),
    ]


def damage(row: list[str], random: Random) -> list[str]:
    """The same record after careless hands: case, blanks, unknown values, spellings of yes and no."""
    row = list(row)
    if random.random() < 0.16:
        row[6] = random.choice([str.upper, str.lower, lambda s: f" {s}", lambda s: f"{s}  "])(row[6])
    if random.random() < 0.10:
        row[1] = random.choice([f"  {row[1]}", row[1].replace(" ", "  "), f"{row[1]}\u00a0"])
    if random.random() < 0.10:
        row[10] = random.choice([row[10].upper(), row[10].title()])
    if random.random() < 0.12:
        row[9] = {"yes": ["Y", "YES", "true"], "no": ["N", "NO", "false"]}[row[9]][random.randrange(3)]
    for place, share in ((2, 0.04), (3, 0.08), (8, 0.03), (11, 0.05)):
        if random.random() < share:
            row[place] = random.choice(UNKNOWN)
    return row


def table() -> list[list[str]]:
    """All rows: damaged records, exact repetitions further down, and a few single cases worth seeing."""
    random = Random(20240229)
    rows = [damage(customer(n, random), random) for n in range(ROWS - 14)]
    for place, first, last in ((17, "Zoë", "García"), (88, "Søren", "Müller"), (203, "Irène", "Pérez")):
        mistaken = f"{first} {last}".encode().decode("cp1252")  # UTF-8 that was once read as Windows-1252
        rows[place][1:3] = mistaken, f"{mailbox(first, last)}@example.com"
    rows[41][11], rows[150][11], rows[151][11] = "1.250.000,00", "-75,00", "0,00"  # an outlier; a refund; nothing bought
    rows[64][6], rows[120][6] = "Masachusetts", "New Jersy"
    rows[230][8] = "31/02/2023"  # no such day: a question, never a guess
    rows[99][1:9], rows[99][2] = rows[98][1:9], "second.person@example.com"  # namesakes at one address stay two people
    copies = [list(rows[place]) for place in random.sample(range(len(rows)), 14)]
    for copy in copies[:5]:
        copy[5] = f"{copy[5]} "  # says the same, written with a blank
    for copy in copies:
        rows.insert(random.randrange(len(rows)), copy)
    return rows


def field(text: str) -> str:
    """A field as CSV has it."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ';"\n') else text


def text() -> str:
    """The whole file."""
    return "".join(";".join(map(field, row)) + "\r\n" for row in [HEADER, *table()])


if __name__ == "__main__":
    Path(__file__).with_name("customers.csv").write_bytes(text().encode("utf-8"))
