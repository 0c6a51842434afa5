"""HEST-Benchmark on three neighbouring sections, or on three synthetic ones, as a task of its layout.

python benchmarks/hest_task.py ../shared/data [--out hest]
python benchmarks/hest_task.py [--out hest]
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import histosge as hs
from histosge.evaluation.hest.result import HestResult
from histosge.evaluation.hest.written_task import write_task
from histosge.evaluation.tables import markdown_table

_SECTIONS = ("C2", "C4", "C5")
_KNOWN = ("0", "10", "50", "half")
NUMBERS = ("0", *(f"{number} of half" for number in _KNOWN))


def sections_of(data: Path | None) -> list[hs.Section]:
    """Return sections of one patient, or synthetic ones, whose tissue differs."""
    if data is not None:
        return [hs.read(data / "her2st" / name) for name in _SECTIONS]
    made = (hs.synthetic(columns=12, rows=12, seed=seed).section for seed in range(len(_SECTIONS)))
    return [replace(section, name=f"seed{number}") for number, section in enumerate(made)]


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
    print(*markdown_table("Within samples", ("head", *NUMBERS), rows_of(result)), sep="\n")


def rows_of(result: HestResult) -> list[tuple[str, ...]]:
    """Return r within samples, a row for each head, a column for each number of known spots."""
    table = result.summary().pivot(index="head", columns="known", values="within")[list(NUMBERS)]
    table = table.sort_values(NUMBERS[-1], ascending=False)
    return [
        (str(head), *("–" if math.isnan(r) else f"{r:.3f}" for r in row))
        for head, row in zip(table.index, table.to_numpy(), strict=True)
    ]


if __name__ == "__main__":
    main()
