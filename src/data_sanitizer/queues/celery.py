"""Celery on RabbitMQ or Redis wakes workers: a message says "look", nothing more, and is gone as soon as it is read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from threading import Event
from typing import Any, Final

from data_sanitizer.errors import PartUnfit

SCHEMES: Final = ("amqp", "amqps", "redis", "rediss")
TASK: Final = "data_sanitizer.look"
QUEUE: Final = "data_sanitizer"
_PATIENCE: Final = 5  # seconds
_OLD: Final = 60  # seconds after which a message has no news any more: workers have looked by themselves since


def connect(url: str, server: Mapping[str, Any] | None) -> Messages:
    """Sends through the broker; workers of Celery receive, all others look by themselves."""
    return Messages(application(url))


def look(url: str) -> str:
    """Connect to the broker once; gives its kind, and raises PartUnfit where it does not answer. Its address is not told."""
    from kombu.exceptions import OperationalError

    kind = url.partition(":")[0]
    with application(url).connection_for_write() as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_PATIENCE)
        except (OperationalError, OSError) as error:
            cure = "Check DATA_SANITIZER_BROKER_URL, and that it runs; until then workers look by themselves"
            raise PartUnfit(why=f"The broker ({kind}) does not answer: {type(error).__name__}", cure=cure) from error
    return f"{kind}, connected"


@cache
def application(url: str) -> Any:
    """The application of Celery for a broker: no results, no message held while work goes on, on RabbitMQ a quorum queue."""
    from celery import Celery

    app = Celery("data_sanitizer", broker=url, set_as_current=False)
    rabbit = url.startswith("amqp")
    app.conf.update(
        task_default_queue=QUEUE, task_default_queue_type="quorum" if rabbit else "classic", task_ignore_result=True,
        worker_detect_quorum_queues=True, broker_transport_options={"confirm_publish": True} if rabbit else {"socket_timeout": 5},
        worker_prefetch_multiplier=1, task_acks_late=False, worker_pool="threads", worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True, broker_connection_max_retries=None, broker_connection_timeout=2,
        worker_send_task_events=False, worker_hijack_root_logger=False, worker_cancel_long_running_tasks_on_connection_loss=False,
    )  # fmt: skip
    return app


class Messages:
    """As `ports.Queue`."""

    def __init__(self, app: Any) -> None:
        self._app, self.woken = app, Event()

    def wake(self) -> None:
        """Send a message; where the broker is away, workers look by themselves."""
        from celery.exceptions import CeleryError, OperationalError

        try:
            self._app.send_task(TASK, expires=_OLD, retry=False, ignore_result=True)
        except (OperationalError, CeleryError, OSError):
            time.sleep(0)  # a message lost costs the time until the next look, as `ports.Queue` says

    def wait(self, seconds: float) -> None:
        """Until a message has come."""
        self.woken.wait(seconds)
        self.woken.clear()

    def close(self) -> None:
        """Close the connections."""
        self._app.close()
