"""How much a reader may take: memory, processor time, disk. The system holds it to that, and the parent looks as well."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

# Address space that threads and allocators reserve and do not use, a fixed allowance: the parent watches the memory really taken.
_RESERVED = 1 << 30
MEMORY, SECONDS, DISK = "reader_memory", "reader_seconds", "reader_disk"  # names in model.ReadLimits
NAMES = (MEMORY, SECONDS, DISK)


class Limiter:
    """Limits of this process, counted from what it has when it begins to read."""

    def __init__(self, most: Mapping[str, int]) -> None:
        self._most, self._space, self._files = most, _space(), 0
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self.own_disk = _lower(resource.RLIMIT_FSIZE, most[DISK])
        self.more_space(0)

    def more_space(self, size: int) -> None:
        """A file of this size may be mapped, too: that takes address space, and no memory that the system cannot take back."""
        self._files += size
        if self._space:
            _lower(resource.RLIMIT_AS, self._space + self._files + _RESERVED + self._most[MEMORY])

    def until_next_answer(self) -> None:
        """The processor time counts anew."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + self._most[SECONDS])


def _lower(kind: int, value: int) -> bool:
    """Set the limit that is acted on, within the one that the process has been given; whether it is not that one."""
    hard = resource.getrlimit(kind)[1]
    own = hard == resource.RLIM_INFINITY or value < hard
    resource.setrlimit(kind, (value if own else hard, hard))
    return own


def _space() -> int:
    """Bytes of address space of this process now; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
