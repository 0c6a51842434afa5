"""Apply mutations one after the other in a process of its own, and write what came of each as a line of JSON.

python worker.py JOB.json
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

import every_kind
from judge import verdict
from kinds import Kind
from mutations import Mutation, apply
from seen import Seen, TimeLimit, files_under

# seconds of one mutation, and bytes that it may ask for beyond what the libraries take
_SECONDS, _BYTES = 10, 2 << 30


def main(job: Path) -> None:
    """Work on a job: kinds with their whole inputs and mutations, and where to write."""
    warnings.simplefilter("ignore")
    content = json.loads(job.read_text())
    folder = Path(content["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(folder / "tmp")
    Path(tempfile.tempdir).mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir
    noise = folder / "noise.txt"
    kept = os.dup(2)
    os.dup2(os.open(noise, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    with Path(content["results"]).open("a") as results:
        for part in content["parts"]:
            kind, source = every_kind.KINDS[part["kind"]], Path(part["whole"])
            whole = _whole(kind, source, folder)
            _limit_memory()
            for number, mutation in part["mutations"]:
                _say(results, {"kind": kind.name, "number": number})
                record = work(kind, source, folder, mutation, whole=whole, noise=noise)
                _say(results, {"kind": kind.name, "number": number, **record})
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    os.dup2(kept, 2)


def work(
    kind: Kind,
    source: Path,
    folder: Path,
    mutation: Mutation,
    *,
    whole: Seen,
    noise: Path | None = None,
) -> dict[str, Any]:
    """Apply one mutation to a fresh copy of the input, use it, and judge the outcome."""
    place, out = folder / "input", folder / "out"
    for path in (place, out):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(source, place)
    changed = apply(mutation, place)
    if not changed:
        return {"outcome": "unchanged", "why": "", "changed": []}
    out.mkdir()
    before = files_under(place, Path(tempfile.gettempdir()))
    size = noise.stat().st_size if noise is not None else 0
    seen = _timed(kind, place, out)
    debris = files_under(place, Path(tempfile.gettempdir())) - before
    if seen.code:
        debris |= files_under(out)
    outcome, why = verdict(kind, whole, seen, changed, _meant(debris, place), place)
    if noise is not None and outcome != "WRONG" and noise.stat().st_size > size:
        outcome, why = (
            "WRONG",
            f"a library printed: {noise.read_text(errors='replace')[size:][:300]}",
        )
    said = seen.said.replace(str(place), "").strip()[-400:]
    return {
        "outcome": outcome,
        "why": why,
        "changed": changed,
        "code": seen.code,
        "said": said,
        "trace": seen.trace,
    }


def _whole(kind: Kind, source: Path, folder: Path) -> Seen:
    """Use the unchanged input, twice: its results are equal."""
    found = []
    for _ in range(2):
        place, out = folder / "input", folder / "out"
        for path in (place, out):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(source, place)
        out.mkdir()
        found.append(kind.use(place, out))
    outcome, why = verdict(kind, found[0], found[1], [], set())
    if found[0].code or outcome != "equal":
        raise SystemExit(f"the unchanged input of {kind.name} gives {found[0].code} {found[1].said}{why}")
    return found[1]


def _timed(kind: Kind, place: Path, out: Path) -> Seen:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeLimit

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        return kind.use(place, out)
    except TimeLimit:
        return Seen(code=1, trace=f"took longer than {_SECONDS} s")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _meant(debris: set[str], place: Path) -> set[str]:
    """Return what was left behind without what a command writes on purpose into its own folders."""
    own = ("bench/", "features", "data/", "fitted/features", "0000")
    return {path for path in debris if not path.removeprefix(f"{place}/").startswith(own)}


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        limit = pages * resource.getpagesize() + _BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _say(results: Any, record: dict[str, Any]) -> None:
    results.write(json.dumps(record) + "\n")
    results.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
