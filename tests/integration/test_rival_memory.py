"""Memory of the rivals on a section of Visium's size stays within what is stated of each."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = Path(__file__).parents[2] / "benchmarks/rivals_memory.py"
# GB at 3000 spots, 1000 genes, half of the spots fitted; stEnTrans takes a minute an epoch, and is measured by hand
BOUNDS_GB = {
    "bleep": 0.1,
    "mclstexp": 0.5,
    "deepspot": 0.6,
    "triplex": 1.0,
    "istar": 1.8,
    "tesla": 0.05,
    "bayesspace": 0.3,
}
# what the libraries keep for themselves, more on some processors than on others
_LIBRARIES_GB = 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BOUNDS_GB))
def test_a_fit_and_its_predictions_take_no_more_memory_than_stated(name: str) -> None:
    """What the arrays of a fit of one epoch and of the prediction of all spots add to a process of their own."""
    command = [sys.executable, str(MEASURE), "--models", name, "--epochs", "1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    measured = re.search(r"([\d.]+) GB", printed)
    assert measured is not None, printed
    assert float(measured[1]) <= BOUNDS_GB[name] + _LIBRARIES_GB, printed
