"""The child process seen from the parent: starts it, asks it, watches it while it waits, and says why it died."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_sanitizer import errors
from data_sanitizer.sandbox import wire
from data_sanitizer.sandbox.limits import DISK, MEMORY, SECONDS

if TYPE_CHECKING:
    from data_sanitizer.ports import Source
    from data_sanitizer.sandbox.far import Answering

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from data_sanitizer.sandbox import child; child.main(*map(int, sys.argv[2:]))"
)
_LOOK = 0.2  # seconds between two looks at a child that is waited for
_STILL = 300  # seconds without any work, after which a child that shall answer is taken to be stuck
_STOOD_STILL = "stood still"
_START_MEMORY = 256 << 20  # bytes that the libraries take before anything is read
_LAST_WORDS = 4096  # bytes at the end of what the child printed
_NO_MEMORY = b"memory allocation of "  # what programs written in Rust print before they abort
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2",
                "_RJEM_MALLOC_CONF": "narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0"}  # fmt: skip


@dataclass(slots=True)
class Question:
    """Something the child was asked, about the source of that name, and its answer when it is there."""

    name: str
    answer: dict[str, Any] | None = None


class ReaderProcess:
    """A child and the ends to it. Any thread may ask; answers come in the order of the questions."""

    def __init__(self) -> None:
        self._cache = _cache_folder()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  as long as this object
        control, theirs = socket.socketpair()
        far, far_theirs = socket.socketpair()
        their_lifeline, self._lifeline = os.pipe()
        passed = (theirs.fileno(), their_lifeline, far_theirs.fileno())
        paths = json.dumps([os.path.abspath(p) for p in sys.path])  # noqa: PTH100
        command = [sys.executable, "-I", "-B", "-c", _START, paths, *map(str, passed)]
        environment = {**_ENVIRONMENT, "HOME": self._cache, "XDG_CACHE_HOME": self._cache}
        try:
            self.process = subprocess.Popen(  # noqa: S603  our own module
                command, env=environment, pass_fds=passed, cwd="/", start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._printed,
            )  # fmt: skip
        except OSError as error:
            raise _not_started(os.strerror(error.errno or 0)) from error
        for end in (theirs, far_theirs):
            end.close()
        os.close(their_lifeline)
        self._control, self._far = control, far
        self._asked: deque[Question] = deque()
        self._asking, self._hearing = threading.Lock(), threading.Lock()
        self._folder, self._most, self._over = Path(), dict[str, int](), ""
        self._answering: Answering | None = None
        self.end: errors.DataSanitizerError | None = None  # why it is no more

    def begin(self, folder: Path, most: Mapping[str, int]) -> None:
        """Give the child its folder, which it alone writes to, and its limits."""
        self._folder, self._most = folder, dict(most)
        self._hello = self.ask("", {"folder": str(folder), "cache": self._cache, "limits": dict(most)})

    def ask(self, name: str, message: Mapping[str, Any], *, answered: bool = True) -> Question:
        """Send a question about the source of that name."""
        question = Question(name)
        with self._asking:
            if answered:
                self._asked.append(question)
            with contextlib.suppress(OSError):  # a dead child is noticed, and its death explained, where its answer is missing
                wire.send(self._control, pickle.dumps(message))
        return question

    def result(self, question: Question) -> dict[str, Any]:
        """The answer, waited for; raises the error that it tells of, or that of the child's death."""
        while question.answer is None:
            with self._hearing:
                if question.answer is None:
                    self._hear()
        if error := wire.rebuilt(question.answer, question.name, self._limit):
            raise error
        return question.answer

    def answer_for(self, sources: Mapping[int, Source]) -> None:
        """From now on a thread answers the child's questions about sources that are not on this machine."""
        if self._answering is None:
            from data_sanitizer.sandbox.far import Answering

            self._answering = Answering(self._far, sources)
            threading.Thread(target=self._answering.serve, name="far-sources", daemon=True).start()

    def close(self) -> None:
        """End the child."""
        self.end = self.end or errors.ReaderCrashed(path="the source", why="the reader was closed")
        self.process.kill()
        self.process.wait()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
            self._control.close()
            self._printed.close()
            with contextlib.suppress(OSError):
                self._far.shutdown(socket.SHUT_RDWR)
            if self._answering is None:
                self._far.close()

    def _hear(self) -> None:
        """Take the next answer; raises the reason where the child is dead."""
        if self.end is not None:
            raise self.end
        data = wire.receive(self._control, self._watch)
        told = wire.parsed(data) if data is not None else None
        if told is None:
            self.end = self._reason()
            raise self.end
        question = self._asked.popleft()
        if question is self._hello:
            logging.getLogger(__name__).debug("a reader started; walls that hold: %s", ", ".join(map(str, told.get("held", []))) or "none")
        question.answer = told
        if not {"bug", "crash", "limit"}.isdisjoint(told):  # after these it is not used any more
            self.end = wire.rebuilt(told, question.name, self._limit)

    def _limit(self, name: str) -> int:
        return self._most.get(name, 0)

    def _watch(self) -> None:
        """Wait until the child says something, and look every now and then what it takes."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        worked, since = -1.0, time.monotonic()
        while not poll.poll(_LOOK * 1000):
            size, used = self._taken()
            if used != worked or (self._answering is not None and self._answering.busy):
                worked, since = used, time.monotonic()
            over = MEMORY if size[MEMORY] > self._most[MEMORY] + _START_MEMORY else DISK if size[DISK] > self._most[DISK] else ""
            if over or time.monotonic() - since > _STILL:
                self._over = over or _STOOD_STILL
                self.process.kill()

    def _taken(self) -> tuple[dict[str, int], float]:
        """Bytes of memory and disk that the child takes, and its processor seconds."""
        import psutil

        disk = os.fstat(self._printed.fileno()).st_size
        for folder, _, files in os.walk(self._folder):
            with contextlib.suppress(FileNotFoundError):  # files come and go meanwhile
                disk += sum(os.lstat(os.path.join(folder, name)).st_size for name in files)  # noqa: PTH118
        try:
            child = psutil.Process(self.process.pid)
            return {MEMORY: child.memory_info().rss, DISK: disk}, sum(child.cpu_times()[:2])
        except psutil.Error:
            return {MEMORY: 0, DISK: 0}, -1.0  # it has just ended

    def _reason(self) -> errors.DataSanitizerError:
        """Why the child died, as an error about the source that it was asked about."""
        name = next((q.name for q in self._asked if q.name), "the source")
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:  # it lives, but what it says is no answer
            self.process.kill()
            self.process.wait()
            return errors.ReaderCrashed(path=name, why="what its reader said made no sense")
        if self._hello.answer is None and not self._over:
            return _not_started(f"it ended with code {code}")
        if self._over == _STOOD_STILL:
            return errors.ReaderCrashed(path=name, why=f"its reader did nothing for {_STILL} seconds")
        self._printed.seek(max(0, os.fstat(self._printed.fileno()).st_size - _LAST_WORDS))
        limit = self._over or {-signal.SIGXCPU: SECONDS, -signal.SIGXFSZ: DISK}.get(code, "")
        if limit or _NO_MEMORY in self._printed.read():
            return wire.reached(name, limit or MEMORY, self._most[limit or MEMORY])
        why = f"its reader was ended by {signal.Signals(-code).name}" if code < 0 else f"its reader ended with code {code}"
        return errors.ReaderCrashed(path=name, why=why)


_spare: list[ReaderProcess] = []


def prepare() -> None:
    """Start a child for the next who needs one, so that its libraries load while ours do."""
    if not _spare:
        _spare.append(ReaderProcess())


def discard() -> None:
    """End the child that nobody needed."""
    while _spare:
        _spare.pop().close()


def take() -> ReaderProcess:
    """The child that was prepared, or a new one."""
    try:
        return _spare.pop()
    except IndexError:
        return ReaderProcess()


def _not_started(why: str) -> errors.EnvironmentFailed:
    return errors.EnvironmentFailed(path="The process that reads files", why=f"it could not start ({why})")


def _cache_folder() -> str:
    """Where readers keep compiled kernels: apart from ours, for what a reader wrote shall never run outside of one."""
    from platformdirs import user_cache_path

    folder = user_cache_path("data-sanitizer") / "reader"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        logging.getLogger(__name__).info("readers compile their kernels anew: the cache folder cannot be made (%s)", error.strerror)
        return tempfile.gettempdir()
    return str(folder)
