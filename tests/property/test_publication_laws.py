"""Whenever a run is published, whatever dies and whoever else is at it: what has a manifest is whole, and the next attempt cleans up."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_sanitizer import errors, publication, stores
from data_sanitizer.stores import Location, Stores
from data_sanitizer.stores.file import Files, Settings

OPERATIONS = 60  # more than a publication of these files takes


class Killed(BaseException):
    """The process is no more."""


class Watched(Files):
    """The file store, which calls a hook before and after each operation."""

    def __init__(self, hook: Callable[[str], None]) -> None:
        self._hook = hook

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("find", "listed", "read", "write", "delete", "forget"):
            return found
        hook = super().__getattribute__("_hook")

        def called(*given: Any, **more: Any) -> Any:
            hook(name)
            plain = Files()  # not watched, so that one operation counts once
            result = list(plain.listed(*given)) if name == "listed" else getattr(plain, name)(*given, **more)
            hook(f"{name} done")
            return result

        return called


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[str], None]]:
    """What each thread has called before and after each operation of its store."""
    own: dict[str, Callable[[str], None]] = {}
    watched = Watched(lambda name: own.get(threading.current_thread().name, lambda name: None)(name))
    monkeypatch.setattr(stores, "_opened", lambda scheme, bucket, settings: watched)
    return own


def dying(after: int) -> Callable[[str], None]:
    """A hook that kills at the operation of this number, and at every one that a cleaning up would try."""
    seen = 0

    def hook(name: str) -> None:
        nonlocal seen
        seen += 1
        if seen > after:
            raise Killed

    return hook


def run_of(folder: Path, text: str, *names: str) -> Path:
    """A finished run with these files beside its manifest."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(f"{text} {name}")
    (folder / "report.html").write_text(text)
    outputs = {name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} for name in names}
    (folder / "manifest.json").write_text(json.dumps({"schema": "data-sanitizer.manifest/1", "outputs": outputs}))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs with some names in common."""
    return (
        run_of(tmp_path / "one", "one", "cleaned.csv", "ledger.parquet"),
        run_of(tmp_path / "two", "two", "cleaned.parquet", "ledger.parquet"),
    )


@pytest.fixture
def output(tmp_path: Path) -> Location:
    return Stores({"file": Settings()}).location(f"file://{tmp_path}/out")


def there(output: Location) -> dict[str, str]:
    folder = Path("/") / output.key
    return {p.name: p.read_text() for p in folder.iterdir()} if folder.exists() else {}


def is_whole(content: dict[str, str]) -> bool:
    """Every file that the manifest names is there as it was written."""
    outputs = json.loads(content["manifest.json"])["outputs"]
    return all(hashlib.sha256(content.get(name, "").encode()).hexdigest() == told["sha256"] for name, told in outputs.items())


def files_of(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir()}


@pytest.mark.parametrize("after", range(OPERATIONS))
@pytest.mark.parametrize("replacing", [False, True], ids=["new", "force"])
def test_killed_anywhere_nothing_looks_finished_that_is_not_and_the_next_run_cleans_up(
    after: int, replacing: bool, runs: tuple[Path, Path], output: Location, hooks: dict[str, Any]
) -> None:
    one, two = runs
    if replacing:
        publication.publish(two, output)
    hooks["MainThread"] = dying(after)
    died = False
    try:
        publication.publish(one, output, force=replacing)
    except Killed:
        died = True
    hooks.clear()
    content = there(output)
    if "manifest.json" in content:
        assert is_whole(content)
    if not died:
        assert content == files_of(one)
    publication.publish(two, output, force=replacing or "manifest.json" in content)
    assert there(output) == files_of(two)


class Turns:
    """Two threads, of which one runs at a time; at each operation chance may hand over to the other."""

    def __init__(self, seed: int, names: list[str]) -> None:
        self._chance, self._live, self._changed = random.Random(seed), list(names), threading.Condition()
        self._share = self._chance.choice([0.03, 0.1, 0.3])
        self._turn = self._chance.choice(names)

    def hook(self, _: str = "") -> None:
        me = threading.current_thread().name
        with self._changed:
            if self._turn == me and self._chance.random() < self._share:
                self._pass_on()
            assert self._changed.wait_for(lambda: self._turn == me, 30)

    def end(self) -> None:
        with self._changed:
            self._live.remove(threading.current_thread().name)
            self._pass_on()

    def _pass_on(self) -> None:
        others = [name for name in self._live if name != self._turn]
        self._turn = (others or self._live or [""])[0]
        self._changed.notify_all()


@pytest.mark.parametrize("seed", range(150))
def test_of_two_at_once_at_most_one_wins_and_nothing_is_mixed(
    seed: int, runs: tuple[Path, Path], output: Location, hooks: dict[str, Any]
) -> None:
    names, outcome = ["first", "second"], dict[str, bool]()
    turns = Turns(seed, names)

    def attempt(run: Path) -> None:
        try:
            turns.hook()
            publication.publish(run, output)
            outcome[threading.current_thread().name] = True
        except errors.OutputExists:
            outcome[threading.current_thread().name] = False
        finally:
            turns.end()

    hooks.update(dict.fromkeys(names, turns.hook))
    threads = [threading.Thread(target=attempt, name=name, args=(run,)) for name, run in zip(names, runs, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    content = there(output)
    assert len(outcome) == 2
    assert sum(outcome.values()) <= 1
    assert ("manifest.json" in content) == any(outcome.values())
    if any(outcome.values()):
        assert is_whole(content)
        assert files_of(runs[0 if outcome["first"] else 1]).items() <= content.items()


def test_what_is_there_already_is_not_touched(runs: tuple[Path, Path], output: Location) -> None:
    """Neither by a run that is refused, nor, where it is no part of a run, by one that replaces."""
    foreign = (output / "in.csv").key
    output.store.write(foreign, [b"mine"])
    with pytest.raises(errors.OutputExists):
        publication.publish(runs[0], output)
    publication.publish(runs[0], output, force=True)
    publication.publish(runs[1], output, force=True)
    assert there(output) == {**files_of(runs[1]), "in.csv": "mine"}


def test_a_claim_that_names_files_elsewhere_deletes_none(runs: tuple[Path, Path], output: Location, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    claim = {"attempt": "x", "files": ["../precious", "/precious", "..", ""]}
    output.store.write((output / publication.CLAIM).key, [json.dumps(claim).encode()])
    publication.publish(runs[0], output)
    assert precious.read_text() == "kept"


def test_a_run_is_brought_back_as_it_was(runs: tuple[Path, Path], output: Location, tmp_path: Path) -> None:
    publication.publish(runs[0], output)
    (Path("/") / output.key / "beside.csv").write_text("no part of the run")
    for number, (without, missing) in enumerate([(None, set[str]()), ("cleaned.", {"cleaned.csv"})]):
        folder = tmp_path / f"back{number}"
        folder.mkdir()
        publication.fetch(output, folder, without)
        assert files_of(folder) == {name: text for name, text in files_of(runs[0]).items() if name not in missing}


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff"], ids=["list", "cut", "binary"])
def test_a_manifest_that_is_none_is_not_a_run(content: bytes, output: Location, tmp_path: Path) -> None:
    output.store.write((output / "manifest.json").key, [content])
    with pytest.raises(errors.RunUnreadable):
        publication.fetch(output, tmp_path)
