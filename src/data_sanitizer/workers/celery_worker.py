"""`celery -A data_sanitizer.workers worker`: as many workers as its `--concurrency` says, woken by messages, looking by themselves too."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from data_sanitizer import bootstrap, logs
from data_sanitizer.errors import SettingUnusable
from data_sanitizer.queues.celery import TASK, Messages, application
from data_sanitizer.settings import ServiceSettings, StorageSettings, variable
from data_sanitizer.workers.loop import Worker

_LANES = ("small", "large")


@dataclass
class _Workers:
    """The workers of this process, each in a thread; what they do goes on in processes of their own."""

    workers: list[Worker] = field(default_factory=list)
    messages: list[Messages] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    closing: Any = None

    def begin(self, app: Any, count: int, service: ServiceSettings) -> None:
        """Start them; they need no broker."""
        backend = bootstrap.storage_backend(StorageSettings.from_environment())
        backend.check()
        self.closing = backend
        logs.tell("worker starts", lanes=",".join(_LANES), threads=count)
        for _ in range(count):
            self.messages.append(Messages(app))
            self.workers.append(Worker(backend, service, self.messages[-1], _LANES))
            self.threads.append(threading.Thread(target=self.workers[-1].serve))
            self.threads[-1].start()

    def look(self) -> None:
        """A message has come."""
        for one in self.messages:
            one.woken.set()

    def stop(self) -> None:
        """Have the jobs at hand given back at their next chunk."""
        for worker in self.workers:
            worker.stop.set()
        self.look()

    def end(self) -> None:
        """Wait for them."""
        for thread in self.threads:
            thread.join()
        if self.closing:
            self.closing.close()


def made() -> Any:
    """The application that Celery is started with; raises SettingUnusable where no broker is set."""
    from celery import signals

    service = ServiceSettings.from_environment()
    if not service.broker_url:
        raise SettingUnusable(name=variable("broker_url"), why="it is not set, and Celery needs a broker")
    logs.set_up()
    app, workers = application(service.broker_url), _Workers()
    app.task(name=TASK, ignore_result=True)(workers.look)

    def begin(sender: Any = None, **_: Any) -> None:
        workers.begin(app, int(getattr(sender, "concurrency", None) or 1), service)

    def stop(**_: Any) -> None:
        workers.stop()

    def end(**_: Any) -> None:
        workers.stop()
        workers.end()

    signals.worker_init.connect(begin, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    signals.worker_shutdown.connect(end, weak=False)
    return app
