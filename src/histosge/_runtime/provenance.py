"""What made a result: versions, machine, seed, cost."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["Gauge", "Stopwatch", "environment", "peak_memory_bytes"]

_REPORTED = (
    "histosge",
    "numpy",
    "scipy",
    "anndata",
    "zarr",
    "tifffile",
    "openslide-python",
)
# named where they are installed: the extra ``deep``
_OPTIONAL = ("torch", "torchvision", "timm", "torch-geometric")


def environment() -> dict[str, Any]:
    """Return the versions and the machine that a result depends on; no user or host names."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": _packages(),
    }


def _processor() -> str:
    """Return the name of the processor; empty where the system does not tell."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _packages() -> dict[str, str | None]:
    """Return versions by package; ``None`` for a package that should be installed and is not."""
    versions = {name: _version(name) for name in (*_REPORTED, *_OPTIONAL)}
    return {name: version for name, version in versions.items() if version or name in _REPORTED}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def peak_memory_bytes() -> int | None:
    """Return the largest resident size this process has had; ``None`` on systems that do not count it (Windows)."""
    # Linux's getrusage begins with what the parent had at the time, if that was more; the kernel's own count does not
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts KiB, macOS bytes
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass
class Stopwatch:
    """Wall and CPU seconds of named stages: ``with watch("fit"): …``."""

    stages: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the time spent inside the ``with`` block to the stage ``name``."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            spent = self.stages.setdefault(name, {"wall_s": 0.0, "cpu_s": 0.0})
            spent["wall_s"] += time.perf_counter() - wall
            spent["cpu_s"] += time.process_time() - cpu


class Gauge:
    """Wall and CPU seconds and peak memory of what happens inside ``with gauge:``; read them from ``gauge.cost``."""

    def __init__(self) -> None:
        self.cost: dict[str, float] = {}
        self._begun = (0.0, 0.0)

    def __enter__(self) -> Gauge:
        # Linux forgets the peak so far; elsewhere it is that of the whole process
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._begun = (time.perf_counter(), time.process_time())
        return self

    def __exit__(self, *raised: object) -> None:
        self.cost = {
            "wall_s": time.perf_counter() - self._begun[0],
            "cpu_s": time.process_time() - self._begun[1],
        }
        if (peak := _recent_peak_bytes()) is not None:
            self.cost["peak_mb"] = peak / 2**20


def _recent_peak_bytes() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return peak_memory_bytes()
    kib = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return kib[0] * 1024 if kib else peak_memory_bytes()
