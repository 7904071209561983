"""Celery wakes workers; where its broker fails, workers look by themselves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_sanitizer import benchmark_generator
from data_sanitizer.queues import celery
from data_sanitizer.settings import PREFIX
from tests.contract.conftest import Place, migrated
from tests.contract.servers import free_port
from tests.service import LEASE, Service


@contextmanager
def redis_server() -> Iterator[int]:
    """A server that speaks the protocol of Redis, on 127.0.0.1 alone; gives its port."""
    fakeredis = pytest.importorskip("fakeredis", reason="no fakeredis: nothing here speaks the protocol of Redis")
    port = free_port()
    server = fakeredis.TcpFakeServer(("127.0.0.1", port), server_type="redis")
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    place = Place(*[f"sqlite:///{tmp_path}/service.db"] * 2)
    migrated(place)
    found = Service(place.user, tmp_path)
    yield found
    found.backend.close()


@contextmanager
def celery_worker(service: Service, url: str, poll: float) -> Iterator[subprocess.Popen[bytes]]:
    told = {"database_url": service.database, "object_store": str(service.folder / "objects"), "broker_url": url, "poll_seconds": poll,
            "lease_seconds": LEASE}  # fmt: skip
    environment = os.environ | {PREFIX + name.upper(): str(value) for name, value in told.items()}
    command = [sys.executable, "-m", "celery", "-A", "data_sanitizer.workers", "worker", "--concurrency", "1"]
    with (service.folder / "worker.log").open("ab") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=service.folder)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            code = worker.wait(30)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
            raise
    assert code == 0, service.log()[-3000:]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return benchmark_generator.generate(50, tmp_path / "g", ["csv"])["csv"]


def test_a_message_wakes_a_worker_and_ten_of_it_do_no_harm(service: Service, table: Path) -> None:
    with redis_server() as port, celery_worker(service, f"redis://127.0.0.1:{port}/0", poll=300):
        service.until_logged("worker starts")
        messages = celery.connect(f"redis://127.0.0.1:{port}/0", None)
        first = service.submit("acme", [table])
        for _ in range(10):
            messages.wake()
        assert service.ended("acme", first, 60).state == "success"
        second = service.submit("acme", [table])
        messages.wake()
        assert service.ended("acme", second, 60).state == "success"
        messages.close()
    assert [service.backend.get_job("acme", job).attempt for job in (first, second)] == [1, 1]


def test_without_its_broker_everything_is_done_all_the_same(service: Service, table: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    begun = time.monotonic()
    celery.connect(url, None).wake()  # nobody hears it
    assert time.monotonic() - begun < 10
    with celery_worker(service, url, poll=0.5):
        job = service.submit("acme", [table])
        assert service.ended("acme", job, 60).state == "success"


def test_on_rabbitmq_the_queue_is_a_quorum_queue() -> None:
    app = celery.application("amqp://guest@127.0.0.1//")
    queue = app.amqp.queues[celery.QUEUE]
    assert queue.queue_arguments == {"x-queue-type": "quorum"}
    assert queue.durable
    assert app.conf.broker_transport_options == {"confirm_publish": True}
    if not shutil.which("rabbitmq-server"):
        pytest.skip("no RabbitMQ on this machine: only what it would be asked for was looked at")
