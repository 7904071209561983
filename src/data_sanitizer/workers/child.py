"""The process that works on one job: started by a supervisor, told of the job by it, killed by it where need be.

What it did is stored by its supervisor, who holds the lease. It has no connection to the database, except where it delivers to a dataset:
then it reads what was delivered before, and ends the job itself, in the transaction that makes the delivery.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from data_sanitizer import faults, settings
from data_sanitizer.errors import DataSanitizerError, EnvironmentFailed, RecipeError, WorkStopped
from data_sanitizer.workers.channel import Channel

STOPPED: Final = 75  # exit code of a process that ended because it was asked to
_BUG: Final = 5
_DIE_WITH_PARENT: Final = 1  # of prctl


def main(parent: int, answers: int) -> None:
    """The whole life of the process; `answers` is the descriptor to write to, orders come on standard input."""
    _die_with(parent)
    settings.spare_memory()
    channel = Channel(os.fdopen(0, "rb", buffering=0), os.fdopen(answers, "wb"))
    from data_sanitizer.pipeline import sanitize  # noqa: F401  loads the libraries while there is nothing to do yet

    task = channel.task()
    if task is None:
        return
    faults_armed = task.get("fault")
    if faults_armed:
        faults.arm(faults_armed)
    try:
        channel.tell("result", **_worked(task, channel))
    except WorkStopped:
        sys.exit(STOPPED)
    except DataSanitizerError as error:
        channel.tell("error", code=error.code, title=str(error), retryable=isinstance(error, EnvironmentFailed))
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does it to whoever needs more than there is
    except OSError as error:
        channel.tell("error", code="environment-failed", title=f"The system said: {os.strerror(error.errno or 0)}.", retryable=True)
    except Exception as error:  # noqa: BLE001  the last resort of this process: no text of a library, which may quote a cell
        channel.tell("error", code="internal-error", title=_bug(error), retryable=False)
        raise SystemExit(_BUG) from None


def _die_with(parent: int) -> None:
    """Be killed when the supervisor is, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(STOPPED)


def _worked(task: Mapping[str, Any], channel: Channel) -> dict[str, Any]:
    from data_sanitizer.workers import attempt

    service = settings.ServiceSettings(**task["settings"])
    if service.work_folder:
        Path(service.work_folder).mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = service.work_folder
    return attempt.work(task, service, channel)


def _bug(error: BaseException) -> str:
    trace, place = error.__traceback__, "?"
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "data_sanitizer" in name:
            place = f"{Path(name).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"This is a bug in Data Sanitizer ({type(error).__name__} at {place}). Please report it."


def recipe_of(given: object) -> Any:
    """The recipe of a job: by name or as a mapping, never the path of a file of this machine."""
    from data_sanitizer.recipe import RECIPES, load_recipe

    if isinstance(given, Mapping) or given is None or given in RECIPES:
        return load_recipe(given)
    raise RecipeError(recipe="recipe", why="it is neither a known name nor a mapping", kind="recipes", known=", ".join(RECIPES))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
