"""The memory that a run records is its own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np


def test_memory_is_that_of_the_process_alone() -> None:
    """A small process started by a large one reports only its own memory."""
    array = np.ones(100_000_000)
    script = "from histosge._runtime.provenance import peak_memory_bytes; print(peak_memory_bytes())"
    completed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert array.nbytes == 800_000_000
    assert int(completed.stdout) < 500_000_000
