"""Kill commands at random moments: ``python tests/fuzz/kill.py --count 74 --seed 0``.

A kill is survived when nothing of the user's has changed, each output is that of before or the finished one, the same
command then succeeds, and its files are those of a command that nobody interrupted, with nothing left over.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

# imported once: the commands run in forked processes, and a kill falls into their work
import anndata  # noqa: F401
import h5py  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import pooch  # noqa: F401
import requests  # noqa: F401
import sklearn.linear_model  # noqa: F401
import torch  # noqa: F401
import zarr  # noqa: F401

from histosge.cli import commands
from histosge.datasets.fetch import LOCK, fetch
from histosge.datasets.public import PublicDataset, Remote
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.evaluation import benchmark  # noqa: F401
from histosge.workflow import domains, run, steps  # noqa: F401

QUICK = ("--genes", "all", "--upsample", "1")
NETWORK = ("--set", "epochs=3", "--set", "crop_px=None", "--no-figures")
DOMAINS = ("--method", "kmeans", "--clusters", "3", "--seeds", "1", "--genes", "all")
PLAN = 'sections = ["section"]\nseeds = [0]\nbaselines = false\ngenes = "all"\nmodels = ["mean", "ridge"]\n'


@dataclass(frozen=True)
class Job:
    """A command, and those that must have run in its folder before."""

    name: str
    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    # run by Python where there is no such command
    call: Callable[[], object] | None = None


@dataclass
class Quiet:
    """The state that a job starts from, its end without a kill, and how long it takes."""

    start: Path
    end: Mapping[str, str]
    stable: set[str] = field(default_factory=set)
    seconds: float = 0.0


def jobs(address: str) -> list[Job]:
    """Return the commands that write; paths are relative to the folder of a trial."""
    first = ("run", "section", *QUICK, "--seed", "1", "--no-figures", "--out", "out")
    again = ("run", "section", *QUICK, "--also", "geojson", "--no-figures", "--out", "out")
    return [
        Job("run", ("run", "section", *QUICK, "--out", "out")),
        Job("run after another run", again, before=(first,)),
        Job(
            "run of a network",
            ("run", "section", *QUICK, "--model", "feedforward", *NETWORK, "--out", "out"),
        ),
        Job("fit", ("fit", "section", "--genes", "all", "--out", "out")),
        Job(
            "predict",
            ("predict", "section", "--fit", "out", "--spacing-um", "60", "--no-figures", "--out", "out"),
            (first,),
        ),
        Job("embed", ("embed", "section", "--upsample", "2", "--out", "out")),
        Job(
            "export", ("export", "out", "--to", "h5ad", "--conserve", "drawn", "--out", "made.h5ad"), (first,)
        ),
        Job("export of a folder", ("export", "out", "--to", "omezarr", "--out", "made.ome.zarr"), (first,)),
        Job("report", ("report", "out"), (first,)),
        Job(
            "evaluate",
            ("evaluate", "section", "--models", "ridge", "--seeds", "1", "--genes", "all", "--out", "out"),
        ),
        Job("benchmark", ("benchmark", "plan.toml", "--out", "out")),
        Job("domains", ("domains", "section", *DOMAINS, "--out", "out")),
        Job("download", (), call=partial(_download, address)),
    ]


def _download(address: str) -> None:
    remotes = (
        Remote(f"{address}/counts.bin", "counts.bin"),
        Remote(f"{address}/image.bin", "image.bin", image=True),
    )
    fetch(PublicDataset("test/section", "Test", 1, remotes, "none"), Path("out"))


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serve two files on this computer."""
    folder.mkdir()
    for name, size in (("counts.bin", 1 << 20), ("image.bin", 1 << 23)):
        (folder / name).write_bytes(random.Random(size).randbytes(size))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Print nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *about: object) -> None:
            """Print nothing of connections that a kill closed."""

    handler = partial(Handler, directory=str(folder))
    with Server(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def state(folder: Path) -> dict[str, str]:
    """Return a hash of each file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def begin(job: Job, words: tuple[str, ...], room: Path) -> int:
    """Start a command in a process of its own, in the folder ``room``; return the process."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        log = os.open(room.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        perform(job, words, room)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0) if not isinstance(error.code, str) else 98
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def perform(job: Job, words: tuple[str, ...], room: Path) -> None:
    """Run a command in this process."""
    os.chdir(room)
    if words:
        commands()(list(words), standalone_mode=False)
    elif job.call is not None:
        job.call()


def warm(job: Job, room: Path) -> None:
    """Run a job in this process, which loads all that the forked ones need; PyTorch cannot be forked after use."""
    if "--model" in job.words:
        return
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        perform(job, job.words, room)
    os.chdir("/")


def finish(job: Job, words: tuple[str, ...], room: Path) -> int:
    """Run a command to its end and return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(begin(job, words, room), 0)[1])


def prepared(job: Job, home: Path) -> Quiet:
    """Make the folder that a job starts from, and run the job twice without a kill."""
    start = home / "start"
    shutil.copytree(home.parent / "user", start)
    for words in job.before:
        if code := finish(job, words, start):
            raise RuntimeError(f"{words} ended with {code}: {(home / 'log').read_text()}")
    shutil.copytree(start, home / "warm")
    warm(job, home / "warm")
    ends, seconds = [], 0.0
    for number in range(2):
        room = home / f"quiet{number}"
        shutil.copytree(start, room)
        begun = time.monotonic()
        if code := finish(job, job.words, room):
            raise RuntimeError(f"{job.name} ended with {code}: {(home / 'log').read_text()}")
        seconds = time.monotonic() - begun
        ends.append(state(room))
        shutil.rmtree(room)
    # records hold times, and differ from one run to the next
    stable = {name for name in ends[0] if ends[0][name] == ends[1].get(name)}
    return Quiet(start, ends[0], stable, seconds)


def trial(job: Job, quiet: Quiet, room: Path, *, after: float) -> list[str]:
    """Kill a job after some seconds, run it again, and return what is wrong."""
    shutil.rmtree(room, ignore_errors=True)
    shutil.copytree(quiet.start, room)
    before = state(room)
    process = begin(job, job.words, room)
    time.sleep(after)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    wrong = [f"killed: {text}" for text in _unfinished(room, before, quiet)]
    code = finish(job, job.words, room)
    if code:
        return [*wrong, f"run again: exit {code}: {(room.parent / 'log').read_text()[-600:]}"]
    end = state(room)
    wrong += [f"left over: {name}" for name in sorted(set(end) - set(quiet.end))]
    wrong += [f"missing: {name}" for name in sorted(set(quiet.end) - set(end))]
    wrong += [
        f"different: {name}" for name in sorted(quiet.stable & set(end)) if end[name] != quiet.end[name]
    ]
    return wrong


def _unfinished(room: Path, before: Mapping[str, str], quiet: Quiet) -> list[str]:
    """Return files that are neither as before nor finished; drafts have names that begin with a point."""
    now = state(room)
    wrong = [
        f"{name} of the user is gone or changed"
        for name in before
        if name in USERS and now.get(name) != before[name]
    ]
    for name, content in now.items():
        draft = any(part.startswith(".") for part in Path(name).parts)
        known = content in (before.get(name), quiet.end.get(name)) or name not in quiet.stable
        if not draft and name in quiet.end and not known and not _whole_so_far(room / name):
            wrong.append(f"{name} is half written")
    return wrong


def _whole_so_far(path: Path) -> bool:
    """Whether a file that is written again after each download holds whole entries, the last ones missing."""
    if path.name != LOCK:
        return False
    content = json.loads(path.read_text())
    return all(address.startswith("http") and len(hash_) == 64 for address, hash_ in content.items())


USERS: set[str] = set()


def main() -> int:
    """Kill ``--count`` commands and print how many were survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=74)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    survived = 0
    with tempfile.TemporaryDirectory() as folder, server(Path(folder) / "served") as address:
        home = Path(folder)
        user = home / "user"
        write_spaceranger(synthetic(columns=8, rows=8, genes=16, seed=1).section, user / "section")
        (user / "plan.toml").write_text(PLAN)
        (user / "out").mkdir()
        (user / "out" / "notes.txt").write_text("the user's own")
        USERS.update(state(user))
        known: dict[str, Quiet] = {}
        choices = jobs(address)
        for number in range(options.count):
            job = choices[number % len(choices)]
            own = home / job.name.replace(" ", "_")
            if job.name not in known:
                own.mkdir()
                known[job.name] = prepared(job, own)
            quiet = known[job.name]
            after = rng.uniform(0, quiet.seconds)
            wrong = trial(job, quiet, own / "trial", after=after)
            survived += not wrong
            print(
                f"{number + 1}: {job.name}, killed after {after:.2f} of {quiet.seconds:.2f} s:",
                wrong or "survived",
                flush=True,
            )
    print(f"survived {survived} of {options.count}")
    return 0 if survived == options.count else 1


if __name__ == "__main__":
    raise SystemExit(main())
