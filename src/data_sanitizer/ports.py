"""Every seam of the program on one screen. An implementation is a module in the folder named after the port."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.model import Action, Block, Candidates, DatasetState, Decision, NewDelivery, ReadOptions, RowPart, Samples, StoredObject

if TYPE_CHECKING:
    import sqlalchemy as sa


class Source(Protocol):
    """Where the bytes of one input are: a file of this machine, an object in a store, or the far end of a pipe."""

    @property
    def name(self) -> str:
        """As the user gave it."""
        ...

    @property
    def local(self) -> Path | None:
        """A plain file of this machine that holds the bytes, where there is one."""
        ...

    def open(self) -> io.RawIOBase:
        """The bytes from the start, seekable; each call gives a stream with a position of its own."""
        ...

    def stamp(self) -> object:
        """A plain value (numbers, texts, tuples of them) that is another one once the bytes have changed."""
        ...


class Store(Protocol):
    """stores/: one bucket, as it is read. A module there is named after its URL scheme; it has `Settings`, a frozen dataclass whose fields
    name their variables in the environment, and `bucket(name, settings)`, which gives a Store that is a WritableStore as well.

    Requests are repeated where that can help, and errors are those of errors.py: InputNotFound, StoreRefused, StoreUnavailable."""

    def find(self, key: str) -> StoredObject:
        """The object as it is now; raises InputNotFound."""
        ...

    def listed(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key begins with `prefix`, in the order of their keys."""
        ...

    def read(self, found: StoredObject, start: int, size: int) -> bytes:
        """Exactly these bytes of the object as it was found; raises InputChanged where it is another one by now."""
        ...


class WritableStore(Protocol):
    """stores/: one bucket, as it is written. An object is visible only when it is complete; what fails leaves nothing."""

    def write(self, key: str, pieces: Iterable[bytes], *, new: bool = False) -> StoredObject:
        """An object of these bytes, given in pieces of any size; with `new` raises OutputExists where there is one already."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens where there is none."""
        ...

    def forget(self, key: str) -> None:
        """Give up every upload of this object that was begun and not completed, whoever began it."""
        ...


class SigningStore(Protocol):
    """stores/: one bucket whose objects can be fetched by an address alone, for a time. Not every store is one."""

    def signed(self, key: str, seconds: int, name: str, kind: str) -> str | None:
        """Such an address; what comes has this name and media type. None where the credentials cannot sign. Nothing is asked."""
        ...


class Reading(Protocol):
    """A source that has been looked at and can be read from the start any number of times, with the same blocks' content."""

    name: str  # as the user gave it
    format: str  # name of the module in formats/
    schema: Mapping[str, pl.DataType]  # every column of the source in order; text columns are pl.String
    decisions: tuple[Decision, ...]

    def blocks(self) -> Iterator[Block]:
        """Every record of the source once, in order; frames have exactly the columns of `schema`."""
        ...


class Format(Protocol):
    """formats/: how one file format is read and written. `SUFFIXES` are its usual endings, without compression."""

    SUFFIXES: tuple[str, ...]

    def read(self, path: Path | Source, name: str, options: ReadOptions, scratch: Path, block: int = ...) -> Reading:
        """Look at the file, decide how to read it; `scratch` is a folder for frozen copies, removed after the run. `block` is how much is
        read at a time; it changes no row. Only a format that streams (csv) is given a Source; the others always have a path."""
        ...

    def write(self, table: pl.LazyFrame, path: Path) -> None:
        """Write all rows in order; the same rows give the same bytes. Raises NotImplementedError where we only read."""
        ...


class Step(Protocol):
    """steps/: one cleaning operation; its module gives `plan` and the functions that the mode of its actions needs.

    clean    `clean(action)`: the column after the step, over the columns as they stand when the step's turn comes
    convert  `parse(action)`: the typed column from the text, `back(action)`: the text from the typed column
    flag     `flag(action)`: true for the cells that look wrong
    note     nothing: the action itself, with its evidence, is the message about the column

    Where confidence or evidence differ from cell to cell, `confidence(action)` and `evidence(action)` are expressions as well.
    A step that puts in values which no cell has (filling, capping, masking) says `INVENTS = True`: such values make no two rows the same.
    A conversion also has `form(action)`, its ledger entry (how the column was written, its type), and `from_form(column, old, new)`, the
    action again from that entry alone. `VERSION` rises when the same profile and cell would give another result.
    """

    VERSION: int
    OPTIONS: Mapping[str, Any]  # option name -> default, as a recipe may set them

    def plan(self, column: str, profile: Any, options: Mapping[str, Any]) -> Action | None:
        """What this step would do to this column, from its profile alone; None where it has nothing to do."""
        ...


class Detector(Protocol):
    """pii/: one kind of personal data. A value counts when PATTERN matches all of it and, where there is one, `valid` agrees."""

    PATTERN: str  # RE2 syntax, anchored by the caller

    def valid(self, text: str) -> bool:
        """The checksum or the plausibility that the pattern cannot express."""
        ...


class Checkpoints(Protocol):
    """What parts of a run gave, kept for the next attempt at the same run. Whoever gives one answers for it that the run is the same."""

    worth: float  # seconds of work that are worth keeping

    def load(self, stage: str, no: int) -> bytes | None:
        """What the part gave that begins with this block of a stage; None where it is not there, or not whole."""
        ...

    def save(self, stage: str, no: int, data: bytes, rows: int) -> None:
        """Keep what the part gave that begins with this block and has so many rows."""
        ...


class Queue(Protocol):
    """queues/: what wakes a worker. A module there gives it as `connect(url, server)`. The queue itself is the database: a message lost
    costs the time until the next look, one that comes twice costs a look."""

    def wake(self) -> None:
        """Tell workers to look. Nothing is raised where it fails."""
        ...

    def wait(self, seconds: float) -> None:
        """Return when a worker should look, at the latest after some seconds."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class Database(Protocol):
    """storage/: a relational database. The statements are the same for all; a module gives what differs, as `connect(config)`."""

    dialect: str  # as SQLAlchemy names it

    def transaction(self, tenant: str, *, read_only: bool = False) -> AbstractContextManager[sa.Connection]:
        """A transaction that sees and writes what belongs to this tenant alone; errors are those of errors.py."""
        ...

    def stage(self, connection: sa.Connection, table: sa.Table, columns: Mapping[str, pl.Series | NDArray[Any]]) -> sa.Table:
        """Put many rows into a temporary table with these columns of `table` (and `place`, their number from 0), for this transaction."""
        ...

    def close(self) -> None:
        """Give all connections back."""
        ...


class Vectors(Protocol):
    """storage/: an index of MinHash signatures, by tenant and dataset. It can be rebuilt from the database and is never the truth."""

    def upsert(self, tenant: str, batch: Samples) -> None:
        """Add signatures; the same batch again changes nothing."""
        ...

    def search(self, tenant: str, dataset: str, signatures: NDArray[np.uint32], limit: int, threshold: float, expected: int) -> Candidates:
        """For each signature the most similar ones of the dataset, at most `limit`, with at least the similarity `threshold`.

        Raises VectorsUnavailable where it does not hold as many signatures of the dataset as `expected`.
        """
        ...

    def delete(self, tenant: str, dataset: str, delivery: int | None) -> None:
        """Forget a delivery, or all of the dataset."""
        ...


class RowIndex(Protocol):
    """storage/: the signatures of the rows of one dataset, by which those that are alike are found."""

    def opened(self, columns: Sequence[str]) -> tuple[tuple[str, ...], Mapping[tuple[int, int], int] | None]:
        """The columns that are signed, which are those that were given first; and (delivery, part) of what is signed, with the number of
        rows. None: nothing may be added.
        """
        ...

    def add(self, samples: Samples) -> None:
        """Add the signatures of a part; the same again changes nothing."""
        ...

    def similar(self, signatures: NDArray[np.uint32], limit: int, threshold: float, before: int) -> Candidates:
        """For each signature the most similar ones of deliveries before one, at most `limit`, with at least the similarity `threshold`."""
        ...


class Dataset(Protocol):
    """storage/: what is kept of a dataset from one delivery to the next, and where the next one goes; each method is one transaction."""

    index: RowIndex

    def state(self) -> DatasetState:
        """Its deliveries, how its rows are compared, and what was decided about them."""
        ...

    def parts(self) -> Iterator[RowPart]:
        """All its rows, packed, delivery after delivery, without their cells; those come from `cells`, part by part."""
        ...

    def cells(self, delivery: int, part: int) -> bytes:
        """The cells of one part, as an Arrow IPC file; raises NotStored where the delivery was deleted meanwhile."""
        ...

    def profile(self, delivery: int) -> Mapping[str, Any]:
        """What profile.json said of a delivery; raises NotStored."""
        ...

    def seen(self, delivery: int) -> bytes:
        """Which rows of earlier deliveries one had too, packed; empty where it did not keep that."""
        ...

    def knowledge(self, before: int) -> bytes:
        """What was learned of its rows by the last delivery before one that learned anything, packed; empty where none did."""
        ...

    def commit(self, new: NewDelivery, rows: Callable[[], Iterator[RowPart]], version: tuple[int, int]) -> None:
        """Store a delivery, all of it or nothing; raises DatasetBusy where the dataset is no more what it was at `version`."""
        ...
