"""What made a result: versions, machine, seed, cost."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["Stopwatch", "environment", "peak_memory_bytes"]

_REPORTED = (
    "histosge",
    "numpy",
    "scipy",
    "torch",
    "timm",
    "anndata",
    "scanpy",
    "zarr",
    "tifffile",
    "openslide-python",
)


def environment() -> dict[str, Any]:
    """Return the versions and the machine that a result depends on; no user or host names."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": {name: _version(name) for name in _REPORTED},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def peak_memory_bytes() -> int | None:
    """Return the largest resident size this process has had; ``None`` on systems that do not count it (Windows)."""
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
