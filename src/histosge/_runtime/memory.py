"""How much memory this process may still take."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["available_bytes"]

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available_bytes() -> int | None:
    """Return the memory that is free, within the limits of a container or job; ``None`` where it is not known.

    Examples
    --------
    >>> free = available_bytes()
    >>> free is None or free > 0
    True
    """
    limits = [_of_system(), *(_of_group(Path(most), Path(used)) for most, used in _CGROUPS)]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _of_system() -> int | None:
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    # other systems count what is installed, not what is free
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_group(most: Path, used: Path) -> int | None:
    """Return what a control group of Linux has left; pages that the system may drop count as used."""
    with suppress(OSError, ValueError):
        return max(int(most.read_text()) - int(used.read_text()), 0)
    return None
