"""Tables in object stores and on this machine, by URL: read in chunks, written as one object that appears when it is complete.

>>> import tempfile, polars as pl
>>> folder = tempfile.mkdtemp()
>>> with CSVStreamWriter(f"{folder}/table.csv") as table:
...     table.write(pl.DataFrame({"id": ["1"], "city": ["Köln"]}))
...     table.write(pl.DataFrame({"id": ["2"], "city": ["Genève"]}))
>>> [chunk.rows() for chunk in create_file_reader(f"{folder}/table.csv").stream_chunks()]
[[('1', 'Köln'), ('2', 'Genève')]]

Settings and credentials come from the environment (docs/object-stores.md), or are given as `stores`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import polars as pl
from polars.io.plugins import register_io_source

from data_sanitizer import formats, settings
from data_sanitizer.errors import UsageError
from data_sanitizer.formats._frozen import Frozen
from data_sanitizer.model import Decision, ReadOptions, RowIssue
from data_sanitizer.stores import Location, Stores, is_url
from data_sanitizer.stores._parts import of_file
from data_sanitizer.stores._stream import StoredSource


def create_file_reader(url: str, options: ReadOptions | None = None, stores: Stores | None = None) -> FileReader:
    """A reader for s3://bucket/key, gs://bucket/key, file:///path or a path; nothing is read yet.

    Raises UsageError for another scheme.

    >>> create_file_reader("s3://bucket/in/table.csv.gz")
    <S3FileReader of s3://bucket/in/table.csv.gz>
    """
    location = _location(url, stores)
    kind = {"s3": S3FileReader, "gs": GCSFileReader}.get(location.scheme)
    return kind(location.bucket, location.key, options, stores) if kind else FileReader(location, options)


class FileReader:
    """One table, in whatever of the formats it is: CSV, JSON, JSONL, Parquet, Arrow or Excel, also compressed.

    After `stream_chunks` has been read, `decisions` says how the table was understood and `quarantined` which records are in no chunk.
    """

    def __init__(self, location: Location, options: ReadOptions | None = None) -> None:
        self._location, self._options = location, options or ReadOptions()
        self.decisions: tuple[Decision, ...] = ()
        self.quarantined: list[RowIssue] = []

    def stream_chunks(self, chunk: int | None = None) -> Iterator[pl.DataFrame]:
        """The rows in order, as frames of the same columns; `chunk` is how much is read at a time (bytes of text, rows of typed tables).

        Text columns are text as it was read. Raises the InputErrors, StoreRefused and StoreUnavailable; InputChanged where the object is
        replaced meanwhile.
        """
        source = StoredSource(self._location, self._location.store.find(self._location.key))
        with tempfile.TemporaryDirectory(prefix="data-sanitizer-") as scratch:
            reading = formats.open_source(source, self._options, Path(scratch), chunk)
            self.quarantined = []
            for block in reading.blocks():
                self.quarantined += block.quarantined
                yield block.frame
            self.decisions = reading.decisions

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._location}>"


class S3FileReader(FileReader):
    """A table in Amazon S3, or in a server that speaks its protocol.

    >>> S3FileReader("bucket", "in/table.csv")
    <S3FileReader of s3://bucket/in/table.csv>
    """

    def __init__(self, bucket: str, key: str, options: ReadOptions | None = None, stores: Stores | None = None) -> None:
        super().__init__(_location(f"s3://{bucket}/{key}", stores), options)


class GCSFileReader(FileReader):
    """A table in Google Cloud Storage.

    >>> GCSFileReader("bucket", "in/table.parquet")
    <GCSFileReader of gs://bucket/in/table.parquet>
    """

    def __init__(self, bucket: str, key: str, options: ReadOptions | None = None, stores: Stores | None = None) -> None:
        super().__init__(_location(f"gs://{bucket}/{key}", stores), options)


class _StreamWriter:
    """Frames of the same columns, gathered on disk; leaving the block writes them all as one object, an error writes nothing."""

    FORMAT: ClassVar[str]

    def __init__(self, url: str, stores: Stores | None = None, *, new: bool = False) -> None:
        self._location, self._new = _location(url, stores), new
        self._scratch = tempfile.TemporaryDirectory(prefix="data-sanitizer-")
        self._frames, self._schema = Frozen(Path(self._scratch.name)), pl.Schema()

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows; raises UsageError where the columns or their types are not those of the first frame."""
        if self._schema and frame.schema != self._schema:
            raise UsageError(why=f"A frame for {self._location} has other columns than the first one. Give all the same names and types.")
        self._schema = frame.schema
        self._frames.append(frame)

    def close(self) -> None:
        """Write the object; raises OutputExists where it shall be `new` and is not, StoreRefused, StoreUnavailable, and DiskFull."""
        path = Path(self._scratch.name) / f"table.{self.FORMAT}"
        table = register_io_source(lambda *_: self._frames.frames(), schema=self._schema)
        try:
            formats.write(table, path, self.FORMAT)
            self._location.store.write(self._location.key, of_file(path), new=self._new)
        finally:
            self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._scratch.cleanup()


class ParquetStreamWriter(_StreamWriter):
    """Writes frames as one Parquet file at a URL: the same rows give the same bytes, however they are cut into frames.

    >>> import tempfile, polars as pl
    >>> folder = tempfile.mkdtemp()
    >>> with ParquetStreamWriter(f"{folder}/table.parquet") as table:
    ...     table.write(pl.DataFrame({"id": [1, 2]}))
    >>> pl.read_parquet(f"{folder}/table.parquet").height
    2
    """

    FORMAT = "parquet"


class CSVStreamWriter(_StreamWriter):
    """Writes frames as one CSV file at a URL: UTF-8, comma, one header line."""

    FORMAT = "csv"


def _location(url: str, stores: Stores | None) -> Location:
    given = url if is_url(url) else f"file://{Path(url).absolute()}"
    return (stores or settings.stores()).location(given)
