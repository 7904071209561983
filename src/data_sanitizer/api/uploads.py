"""Uploads on their way to the object store: in pieces, with a bound on memory, hashed and counted, nothing left of one that fails."""

from __future__ import annotations

import asyncio
import hashlib
import queue
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from data_sanitizer.api.problems import refused
from data_sanitizer.errors import DataSanitizerError
from data_sanitizer.settings import ApiSettings
from data_sanitizer.stores import Location

_PIECE: Final = 1 << 20  # bytes that are handed on at a time
_WAITING: Final = 4  # pieces that wait for the store
FIELD: Final = 256 << 10  # bytes of a field that is no file
_FIELDS: Final = 30
_FILES: Final = 100
_NAME: Final = 200  # characters of a file's name that are kept


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of an upload as it lies in the object store."""

    key: str  # relative to the root of the service
    name: str
    bytes: int
    sha256: str


@dataclass(slots=True)
class Upload:
    """What an upload brought: files, and fields with it."""

    files: list[Stored] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


async def body(request: Request, settings: ApiSettings) -> AsyncIterator[bytes]:
    """The body of a request in pieces; raises payload-too-large and upload-too-slow. What a header announces is not believed."""
    given = request.headers.get("content-length", "0")
    if given.isdigit() and int(given) > settings.upload_bytes:
        raise refused("payload-too-large", limit=settings.upload_bytes)
    start, total, stream = time.monotonic(), 0, aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(settings.upload_idle):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise refused("upload-too-slow", idle=settings.upload_idle, rate=settings.upload_rate) from error
        total += len(piece)
        if total > settings.upload_bytes:
            raise refused("payload-too-large", limit=settings.upload_bytes)
        seconds = time.monotonic() - start
        if piece and seconds > settings.upload_idle and total < settings.upload_rate * seconds:
            raise refused("upload-too-slow", idle=settings.upload_idle, rate=settings.upload_rate)
        yield piece


class Writer:
    """One object that is written while its bytes arrive: a thread of its own hands them to the store, `WAITING` pieces behind at most."""

    def __init__(self, place: Location, key: str, name: str) -> None:
        self._place, self._key, self._name = place, key, plain_name(name)
        self._sum, self.size, self._held = hashlib.sha256(), 0, bytearray()
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._broken = False
        self._pool = ThreadPoolExecutor(1, "upload")
        self._done: Future[Any] = self._pool.submit(lambda: place.store.write(place.key, self._arriving()))

    def _arriving(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            self._sum.update(piece)
            yield piece
        if self._broken:  # so that the store drops what it has, and no object appears
            raise refused("bad-body", what="It broke off.")

    async def write(self, piece: bytes) -> None:
        """Take bytes."""
        self._held += piece
        if len(self._held) >= _PIECE:
            await self._flush()

    async def _flush(self) -> None:
        piece, self._held = bytes(self._held), bytearray()
        self.size += len(piece)
        await anyio.to_thread.run_sync(self._put, piece)

    def _put(self, piece: bytes | None) -> None:
        while not self._done.done():
            with suppress(queue.Full):
                self._pieces.put(piece, timeout=0.5)
                return

    async def finish(self) -> Stored:
        """The object, complete; raises the errors of stores."""
        if self._held:
            await self._flush()
        await anyio.to_thread.run_sync(self._put, None)
        await asyncio.wrap_future(self._done)
        self._pool.shutdown(wait=False)
        return Stored(self._key, self._name, self.size, self._sum.hexdigest())

    def drop(self) -> None:
        """Give the object up."""
        self._broken = True
        self._put(None)
        with suppress(DataSanitizerError):
            self._done.result()
        self._pool.shutdown()


async def receive(request: Request, settings: ApiSettings, root: Location, folder: str) -> Upload:
    """Read the body, raw or as a form, and store its files below `folder`; what fails leaves nothing there."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    receiving = _Receiving(root, folder)
    try:
        if kind == b"multipart/form-data":
            await _form(request, settings, options, receiving)
        else:
            await receiving.begin(request.query_params.get("filename", "upload"))
            async for piece in body(request, settings):
                await receiving.data(piece)
            await receiving.end()
    except BaseException:
        await anyio.to_thread.run_sync(receiving.drop, abandon_on_cancel=False)
        raise
    return receiving.upload


class _Receiving:
    """The files of an upload while they come in."""

    def __init__(self, root: Location, folder: str) -> None:
        self.upload, self._root, self._folder = Upload(), root, folder
        self._writer: Writer | None = None

    async def begin(self, name: str) -> None:
        if len(self.upload.files) >= _FILES:
            raise refused("bad-body", what=f"A form has at most {_FILES} files.")
        key = f"{self._folder}/{len(self.upload.files)}"
        self._writer = Writer(self._root / key, key, _another(plain_name(name), {file.name for file in self.upload.files}))

    async def data(self, piece: bytes) -> None:
        if self._writer:
            await self._writer.write(piece)

    async def end(self) -> None:
        if self._writer:
            writer, self._writer = self._writer, None
            try:
                self.upload.files.append(await writer.finish())
            except BaseException:
                writer.drop()
                raise

    def drop(self) -> None:
        if self._writer:
            self._writer.drop()
        drop(self._root, self.upload)


def drop(root: Location, upload: Upload) -> None:
    """Delete the files of an upload."""
    for file in upload.files:
        place = root / file.key
        place.store.delete(place.key)


async def _form(request: Request, settings: ApiSettings, options: dict[bytes, bytes], receiving: _Receiving) -> None:
    """A form: parts named `file` are stored as they come, the others are kept as short texts."""
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:
        raise refused("bad-body", what="A form needs a boundary of at most 70 signs.")
    events = _Events()
    parser = MultipartParser(boundary, events.callbacks())
    part: _Part | None = None
    async for piece in body(request, settings):
        try:
            parser.write(piece)
        except FormParserError as error:
            raise refused("bad-body", what="It is no valid form.") from error
        for name, value in events.taken():
            part = await _event(name, value, part, receiving)
    if not events.ended:
        raise refused("bad-body", what="The form breaks off before its last boundary.")


@dataclass(slots=True)
class _Part:
    name: str
    is_file: bool
    text: bytearray = field(default_factory=bytearray)


async def _event(name: str, value: Any, part: _Part | None, receiving: _Receiving) -> _Part | None:
    if name == "head":
        part = _opened(value)
        if part.is_file:
            await receiving.begin(_given_name(value))
    elif part is not None and part.is_file:
        await (receiving.data(value) if name == "data" else receiving.end())
    elif part is not None and name == "data":
        part.text += value
        if len(part.text) > FIELD:
            raise refused("payload-too-large", limit=FIELD)
    elif part is not None:
        _keep(part, receiving.upload)
    return part


def _keep(part: _Part, upload: Upload) -> None:
    if part.name in upload.fields or len(upload.fields) >= _FIELDS:
        raise refused("bad-body", what=f"A form has each field once, and at most {_FIELDS} of them.")
    try:
        upload.fields[part.name] = part.text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused("bad-body", what="A field is not UTF-8.") from error


def _opened(head: dict[bytes, bytes]) -> _Part:
    _, options = parse_options_header(head.get(b"content-disposition", b""))
    name = options.get(b"name", b"").decode("utf-8", "replace")
    return _Part(name, is_file=name == "file")


def _given_name(head: dict[bytes, bytes]) -> str:
    _, options = parse_options_header(head.get(b"content-disposition", b""))
    return options.get(b"filename", b"upload").decode("utf-8", "replace")


class _Events:
    """What the parser found in the bytes given to it so far."""

    def __init__(self) -> None:
        self._found: list[tuple[str, Any]] = []
        self._head: dict[bytes, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self.ended = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._head.clear, "on_header_field": self._field, "on_header_value": self._text,
            "on_header_end": self._header, "on_headers_finished": lambda: self._found.append(("head", dict(self._head))),
            "on_part_data": lambda data, start, end: self._found.append(("data", data[start:end])),
            "on_part_end": lambda: self._found.append(("end", None)), "on_end": self._end,
        }  # fmt: skip

    def taken(self) -> list[tuple[str, Any]]:
        found, self._found = self._found, []
        return found

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _text(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        self._head[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        self.ended = True


def _another(name: str, taken: set[str]) -> str:
    """The name, with a number before its ending where it is taken: rows are told apart by the name of their source.

    >>> _another("a.csv", {"a.csv", "a-2.csv"})
    'a-3.csv'
    """
    stem, dot, ending = name.partition(".")
    number = 1
    while (found := name if number == 1 else f"{stem}-{number}{dot}{ending}") in taken:
        number += 1
    return found


def plain_name(name: str) -> str:
    """The name of a file as it is shown: the last part of what was given, without control characters. No path is ever made of it.

    >>> plain_name("../../x\\r\\n.csv"), plain_name("")
    ('x.csv', 'upload')
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable())[:_NAME].strip() or "upload"
