"""The command `data-sanitizer worker`."""

from __future__ import annotations

import signal
from dataclasses import replace
from types import FrameType

import click

from data_sanitizer import bootstrap, faults, logs, settings
from data_sanitizer.settings import ServiceSettings, StorageSettings


@click.command("worker")
@click.option("--lanes", default="small,large", show_default=True, help="The lanes of the queue that this worker serves.")
@click.option("--once", is_flag=True, help="Work on one job, if one waits, and end.")
@click.option("--drain", is_flag=True, help="Work until no job waits, and end.")
@click.option("--reconcile", is_flag=True, help="Remove the objects that no job needs any more, and end.")
def worker_command(lanes: str, once: bool, drain: bool, reconcile: bool) -> None:
    """Work on the jobs of the service, one at a time. Start as many as the machine has cores, on as many machines as needed.

    Told to stop (SIGTERM), it gives the job at hand back at its next chunk; what was done of it is found again.
    """
    from data_sanitizer.workers.loop import Worker  # with all that it needs: not for those who only ask for help

    logs.set_up()
    if fault := settings.fault():
        faults.arm(fault)
    service, stored = ServiceSettings.from_environment(), StorageSettings.from_environment()
    patient = replace(stored, retry_for=min(stored.retry_for, service.lease_seconds / 3))  # a heartbeat that comes later is of no use
    with bootstrap.storage_backend(patient).closing() as backend:
        backend.check()
        queue = bootstrap.queue(service, stored)
        worker = Worker(backend, service, queue, [lane.strip() for lane in lanes.split(",")])

        def stop(number: int, frame: FrameType | None) -> None:
            worker.stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        logs.tell("worker starts", lanes=lanes)
        if reconcile:
            worker.reconcile()
        elif once:
            worker.once()
            worker.close()
        elif drain:
            worker.drain()
        else:
            worker.serve()
        queue.close()
        logs.tell("worker ends")
