"""HEST-Benchmark on three neighbouring sections, as a task of its layout.

python benchmarks/hest_task.py ../shared/data [--out hest]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import histosge as hs
from histosge.evaluation.hest.written_task import write_task

_SECTIONS = ("C2", "C4", "C5")
_KNOWN = ("10", "50", "half")


def main() -> None:
    """Write the task where it is not there, run it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("hest"))
    options = parser.parse_args()
    task = options.out / "tasks" / "HER2ST"
    if not task.exists():
        write_task([hs.read(options.data / "her2st" / name) for name in _SECTIONS], task)
    result = hs.hest(task.parent, options.out / "scores", known=_KNOWN)
    print(result.markdown())


if __name__ == "__main__":
    main()
