"""HEST-Benchmark on three neighbouring sections, or on three synthetic ones, as a task of its layout.

python benchmarks/hest_task.py ../shared/data [--out hest]
python benchmarks/hest_task.py [--out hest]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import histosge as hs
from histosge.evaluation.hest.written_task import write_task

_SECTIONS = ("C2", "C4", "C5")
_KNOWN = ("0", "10", "50", "half")


def sections_of(data: Path | None) -> list[hs.Section]:
    """Return sections of one patient, or synthetic ones, whose tissue differs."""
    if data is not None:
        return [hs.read(data / "her2st" / name) for name in _SECTIONS]
    return [replace(hs.synthetic(seed=seed).section, name=f"seed{seed}") for seed in range(len(_SECTIONS))]


def main() -> None:
    """Write the task where it is not there, run it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="folder of her2st; none: synthetic sections")
    parser.add_argument("--out", type=Path, default=Path("hest"))
    options = parser.parse_args()
    task = options.out / ("SYNTHETIC" if options.data is None else "HER2ST")
    if not task.exists():
        write_task(sections_of(options.data), task)
    result = hs.hest(task, options.out / f"scores-{task.name}", known=_KNOWN)
    print(result.markdown())


if __name__ == "__main__":
    main()
