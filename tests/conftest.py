"""For all tests: steady property tests, no process left behind, object stores, and the number of skipped tests at the end."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import HealthCheck, settings

from data_sanitizer import logs
from data_sanitizer.formats import open_source
from data_sanitizer.sandbox.reading import Sandbox

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A test that sets up the log of the service does so for itself alone."""
    own = logging.getLogger(logs.LOGGER)
    handlers, propagate, level = [*own.handlers], own.propagate, own.level
    yield
    own.handlers, own.propagate = handlers, propagate
    own.setLevel(level)


@pytest.fixture(autouse=True, scope="session")
def no_process_is_left() -> Iterator[None]:
    """Fails the last test where a child process outlives the tests that started it."""
    before = set(psutil.Process().children(recursive=True))
    yield
    _, alive = psutil.wait_procs([p for p in psutil.Process().children(recursive=True) if p not in before and _counts(p)], timeout=5)
    assert not alive, f"processes left running: {alive}"


def _counts(process: psutil.Process) -> bool:
    """Python's own resource tracker and fork server end with their parent, by design."""
    try:
        return not any(own in " ".join(process.cmdline()) for own in ("resource_tracker", "forkserver"))
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3, with the bucket of the tests."""
    from tests import object_stores

    with object_stores.moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def gs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that speaks GCS, with the bucket of the tests."""
    from tests import object_stores

    with object_stores.fake_gcs(tmp_path_factory.mktemp("gcs")) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def second_s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of another server that speaks S3, by other people."""
    from tests import object_stores

    with object_stores.juicefs(tmp_path_factory.mktemp("juicefs")) as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def read_in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of other matters read without a child process, which costs each run half a second of processor time. In `acceptance`, in
    `contract` and where a test asks for the fixture `sandbox`, sources are read as users read them."""
    apart = {"acceptance", "contract"} & set(request.node.path.parts) or "sandbox" in request.fixturenames
    if not apart:
        monkeypatch.setattr(Sandbox, "open", lambda self, place, options, block=None: open_source(place, options, self._scratch, block))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the number of skipped tests just before pytest's closing line."""
    terminalreporter.write_line(f"skipped tests: {len(terminalreporter.stats.get('skipped', []))}")
