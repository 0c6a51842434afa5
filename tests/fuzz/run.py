"""Damage inputs of every kind at random, and count how the package takes it.

python tests/fuzz/run.py --count 5000 --seed 0 [--kind h5ad] [--jobs 2] [--out fuzzing]
python tests/fuzz/run.py --again fuzzing/h5ad-17

Each mutation makes one to three changes of a whole small input: bits, bytes and blocks of any file, files as such, and
structured changes of its format (columns, keys, dtypes, shapes, values, rows, modes of an image). Its property:

* The command ends with exit code 0, 2, 3 or 4; never with 1, a traceback, a crash, or for lack of time (10 s) or of
  memory (2 GiB beyond the libraries).
* With 2, 3 or 4 it has printed one sentence, and left no file behind.
* With 0, the result is that of the unchanged input, or another one that the changed file may have:
  - Files of our own with a checksum (fits, records, cells of a benchmark, features, files of a run) have none: they are
    refused, computed again, or equal.
  - A file without a checksum (HDF5, TIFF, JPEG, CSV, JSON, zarr), a file that people edit (tables, plans), and a
    compressed one that was written again is another valid input where it can be read: only those parts of the result
    may differ that the file holds (a table of positions changes no counts), numbers are finite, counts are whole
    numbers of 0 or more, names are unique, and spots or genes that are lost are named in a message.

The exit code of this script is 1 where any mutation is wrong. Each wrong one is kept in a folder of ``--out`` with the
changed input, ``mutation.json`` and what was printed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import every_kind
from judge import OUTCOMES
from kinds import Kind
from mutations import Mutation, apply, draw

__all__ = ["Result", "fuzz"]

_WORKER = Path(__file__).with_name("worker.py")
# mutations of one process
_BATCH = 250
# seconds without a word of a process; a mutation that hangs outside Python is stopped from here
_SILENCE = 90
_COLUMNS = (*OUTCOMES, "unchanged")


@dataclass
class Result:
    """Outcomes by kind, and what was wrong."""

    counts: dict[str, Counter[str]]
    wrong: list[dict[str, Any]]
    seconds: float

    @property
    def table(self) -> str:
        """The counts as text."""
        header = ["kind", "mutations", *_COLUMNS]
        rows = [
            [name, str(count.total()), *(str(count[key]) for key in _COLUMNS)]
            for name, count in self.counts.items()
        ]
        total: Counter[str] = sum(self.counts.values(), Counter())
        rows.append(["all", str(total.total()), *(str(total[key]) for key in _COLUMNS)])
        widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in [header, *rows]
        )


def fuzz(
    count: int,
    seed: int,
    *,
    kinds: list[str] | None = None,
    jobs: int = 1,
    out: Path | None = None,
) -> Result:
    """Draw ``count`` mutations over the kinds, apply each, and judge the outcomes."""
    chosen = [every_kind.KINDS[name] for name in kinds or every_kind.KINDS]
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    counts: dict[str, Counter[str]] = {kind.name: Counter() for kind in chosen}
    wrong: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as place,
        ThreadPoolExecutor(jobs) as pool,
    ):
        parts = _parts(chosen, count, seed, Path(place))
        whole = {part.kind.name: part.whole for part in parts}
        for records in pool.map(lambda batch: _worked(batch, Path(place)), _batches(parts, jobs)):
            for record in records:
                counts[record["kind"]][record["outcome"]] += 1
                if record["outcome"] == "WRONG":
                    wrong.append({"seed": seed, **record})
                    if out is not None:
                        keep(wrong[-1], whole[record["kind"]], out)
    return Result(counts, wrong, time.monotonic() - begun)


@dataclass(frozen=True)
class Part:
    """Mutations of one kind, with their numbers."""

    kind: Kind
    whole: Path
    mutations: list[tuple[int, Mutation]]


def _parts(kinds: list[Kind], count: int, seed: int, place: Path) -> list[Part]:
    """Make a whole input of each kind, and draw its share of the mutations."""
    parts = []
    for kind in kinds:
        whole = place / kind.name
        whole.mkdir()
        kind.make(whole)
        number = max(1, round(count * kind.share / sum(other.share for other in kinds)))
        parts.append(
            Part(
                kind,
                whole,
                list(enumerate(draw(kind, kind.files(whole), number, seed))),
            )
        )
    return parts


def _batches(parts: list[Part], jobs: int) -> list[list[Part]]:
    """Return the work of one process each: kinds are joined, because a process begins with seconds of imports."""
    total = sum(len(part.mutations) for part in parts)
    size = min(_BATCH, -(-total // jobs))
    batches: list[list[Part]] = [[]]
    room = size
    for part in parts:
        left = part.mutations
        while left:
            taken, left = left[:room], left[room:]
            batches[-1].append(Part(part.kind, part.whole, taken))
            room -= len(taken)
            if not room:
                batches.append([])
                room = size
    return [batch for batch in batches if batch]


def _worked(batch: list[Part], place: Path) -> list[dict[str, Any]]:
    """Work on a batch; a process that ends early is counted as one wrong mutation, and the others go on."""
    records: dict[tuple[str, int], dict[str, Any]] = {}
    left = batch
    while left:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            lines, reason = _process(left, Path(folder))
        found = [line for line in lines if "outcome" in line]
        if lines and "outcome" not in lines[-1]:
            found.append({**lines[-1], "outcome": "WRONG", "why": reason, "changed": []})
        if not found:
            # the unchanged input itself is at fault: counted, and the kind given up
            part = left[0]
            number = part.mutations[0][0]
            found = [
                {"kind": part.kind.name, "number": number, "outcome": "WRONG", "why": reason, "changed": []}
            ]
            batch = [other for other in batch if other.kind.name != part.kind.name] + [
                Part(part.kind, part.whole, part.mutations[:1])
            ]
            left = [other for other in left if other.kind.name != part.kind.name]
        records |= {(record["kind"], record["number"]): record for record in found}
        left = [
            Part(part.kind, part.whole, rest)
            for part in left
            if (rest := [item for item in part.mutations if (part.kind.name, item[0]) not in records])
        ]
    drawn = {(part.kind.name, number): mutation for part in batch for number, mutation in part.mutations}
    return [{**record, "mutation": drawn[key]} for key, record in records.items()]


def _process(parts: list[Part], folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Return what one process wrote, a line before and one after each mutation, and how it ended."""
    results = folder / "results.jsonl"
    results.touch()
    work = [{"kind": part.kind.name, "whole": str(part.whole), "mutations": part.mutations} for part in parts]
    job = {"folder": str(folder / "work"), "results": str(results), "parts": work}
    (folder / "job.json").write_text(json.dumps(job))
    with (folder / "error.txt").open("w") as error:
        process = subprocess.Popen(
            [sys.executable, str(_WORKER), str(folder / "job.json")],
            stdout=subprocess.DEVNULL,
            stderr=error,
        )
        silent = _waited(process, results)
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    noise = folder / "work" / "noise.txt"
    texts = [path.read_text(errors="replace") for path in (folder / "error.txt", noise) if path.exists()]
    ended = f"nothing happened for {_SILENCE} s" if silent else f"the process ended with {process.returncode}"
    return lines, f"{ended}: {' '.join(texts).strip()[-800:]}"


def _waited(process: subprocess.Popen[bytes], results: Path) -> bool:
    """Wait for a process; return whether it had to be stopped because it wrote nothing any more."""
    size, since = 0, time.monotonic()
    while process.poll() is None:
        time.sleep(0.05)
        if results.stat().st_size != size:
            size, since = results.stat().st_size, time.monotonic()
        elif time.monotonic() - since > _SILENCE:
            process.kill()
            process.wait()
            return True
    return False


def keep(record: dict[str, Any], whole: Path, out: Path) -> None:
    """Keep a wrong input with how to make it again."""
    folder = out / f"{record['kind']}-{record['number']}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder / "whole")
    shutil.copytree(whole, folder / "input")
    apply(record["mutation"], folder / "input")
    (folder / "mutation.json").write_text(json.dumps(record, indent=1) + "\n")


def again(folder: Path) -> None:
    """Use a kept input once more, and print what happens."""
    record = json.loads((folder / "mutation.json").read_text())
    kind = every_kind.KINDS[record["kind"]]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        part = Part(kind, folder / "whole", [(record["number"], record["mutation"])])
        print(json.dumps(_worked([part], Path(place))[0], indent=1))


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=sorted(every_kind.KINDS))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("fuzzing"))
    parser.add_argument("--again", type=Path)
    options = parser.parse_args()
    if options.again is not None:
        again(options.again)
        return 0
    result = fuzz(
        options.count,
        options.seed,
        kinds=options.kind,
        jobs=options.jobs,
        out=options.out,
    )
    print(result.table)
    print(f"{result.seconds:.0f} s, seed {options.seed}")
    for record in result.wrong:
        print(f"{record['kind']}-{record['number']}: {record['why']} [{', '.join(record['changed'])}]")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
