"""Cohorts on real workers: killed, doubled, forgotten by their scheduler; the results are those of a quiet run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import anndata
import numpy as np
import psutil
import pytest

import histosge as hs
from histosge._runtime.hashing import fingerprint_file
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.errors import UsageError
from histosge.workflow.cohort.cohort import run_cohort
from histosge.workflow.cohort.plan import CohortPlan
from histosge.workflow.cohort.sheet import Sample, SampleSheet
from histosge.workflow.cohort.summary import table_of
from histosge.workflow.executors import DaskWorkers, Processes

SECTIONS = 24
KILLS = 25


@pytest.fixture(scope="module")
def sheet(tmp_path_factory) -> SampleSheet:
    """Many small sections as Space Ranger folders."""
    folder = tmp_path_factory.mktemp("sections")
    samples = []
    for seed in range(SECTIONS):
        section = synthetic(columns=8, rows=8, genes=12, seed=seed).section
        samples.append(Sample(f"S{seed}", str(write_spaceranger(section, folder / f"{seed}"))))
    return SampleSheet(tuple(samples))


@pytest.fixture(scope="module")
def quiet_plan(sheet, tmp_path_factory) -> CohortPlan:
    """A cohort that nothing disturbed."""
    plan = plan_of(sheet, tmp_path_factory.mktemp("quiet"))
    with Processes(2) as executor:
        run_cohort(plan, executor)
    return plan


@pytest.fixture(scope="module")
def quiet(quiet_plan) -> dict[str, str]:
    """Hashes of its predictions."""
    return hashes(quiet_plan)


def plan_of(sheet: SampleSheet, out: Path) -> CohortPlan:
    recipe = hs.Recipe("kriging", genes="all")
    return CohortPlan(sheet, out, recipe, target=hs.Target(upsample=2), outputs=hs.Outputs(figures=False))


def hashes(plan: CohortPlan) -> dict[str, str]:
    paths = {sample.sample: plan.folder(sample) / "prediction.h5ad" for sample in plan.sheet.samples}
    return {name: fingerprint_file(path) for name, path in paths.items()}


class Killer:
    """Kills workers at random while the block runs."""

    def __init__(self, victims, kills: int) -> None:
        self.victims, self.left, self.killed = victims, kills, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._kill)

    def _kill(self) -> None:
        draw = random.Random(0)
        while self.left and not self.ended.wait(draw.uniform(0.1, 1.0)):
            victims = self.victims()
            if victims:
                os.kill(draw.choice(victims), signal.SIGKILL)
                self.left -= 1
                self.killed += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.ended.set()
        self.thread.join()


def spawned(parent: int | None = None) -> list[int]:
    """Processes below a process, by default this one, that compute stages."""
    found = []
    for child in psutil.Process(parent).children(recursive=True):
        # one that ended between the two calls has no command line
        with contextlib.suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


class Dask:
    """A scheduler and two workers, each a process, as a user would start them."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "50"}
        command = [sys.executable, "-m", "distributed.cli"]
        scheduler = [f"{command[-1]}.dask_scheduler", "--port", str(self.port)]
        workers = [f"{command[-1]}.dask_worker", self.address, "--nworkers", "2", "--nthreads", "1"]
        self.processes = [
            subprocess.Popen(
                [*command[:-1], *words, "--no-dashboard"], env=environment, stderr=subprocess.DEVNULL
            )
            for words in (scheduler, workers)
        ]

    def victims(self) -> list[int]:
        """Processes that compute; each has a nanny that starts another when it is killed."""
        if self.processes[1].poll() is not None:
            return []
        return spawned(self.processes[1].pid)

    def end(self) -> None:
        for process in self.processes:
            # workers lose their scheduler, as when its machine is switched off
            for child in (
                psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            ):
                child.kill()
            process.kill()
            process.wait()


@pytest.mark.slow
def test_killed_processes_change_no_result(sheet, quiet, tmp_path):
    """Processes killed at random cost attempts; predictions are those of a quiet run to the last bit."""
    plan = plan_of(sheet, tmp_path)
    with Killer(spawned, KILLS) as killer, Processes(2) as executor:
        result = run_cohort(plan, executor, retries=100)
        while killer.left and killer.thread.is_alive():
            # what is left to kill is done on sections that are done again
            sample = plan.sheet.samples[killer.left % SECTIONS]
            (plan.folder(sample) / "prediction.h5ad").unlink(missing_ok=True)
            result = run_cohort(plan, executor, retries=100)
    assert killer.killed == KILLS
    assert result.failed == ()
    assert hashes(plan) == quiet


@pytest.mark.slow
def test_two_coordinators_divide_the_work(sheet, quiet, tmp_path):
    """Two calls on one folder at the same time compute each stage once."""
    plan = plan_of(sheet, tmp_path)
    code = (
        "import pickle, sys\nfrom histosge.workflow.cohort.cohort import run_cohort\n"
        "from histosge.workflow.executors import Processes\n"
        "if __name__ == '__main__':\n"
        "    plan = pickle.load(open(sys.argv[1], 'rb'))\n"
        "    with Processes(1) as executor:\n        run_cohort(plan, executor)\n"
    )
    import pickle

    (tmp_path / "plan.pickle").write_bytes(pickle.dumps(plan))
    (tmp_path / "coordinate.py").write_text(code)
    command = [sys.executable, str(tmp_path / "coordinate.py"), str(tmp_path / "plan.pickle")]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=900) for process in both] == [0, 0]
    assert hashes(plan) == quiet
    stages = [plan.state.read(sample.sample, "predict") for sample in sheet.samples]
    assert all(stage is not None and stage.attempts == 1 for stage in stages)


@pytest.mark.slow
def test_workers_of_dask_may_be_killed_and_their_scheduler_started_again(sheet, quiet_plan, tmp_path):
    """Workers killed at random and a scheduler started again lose no result, and predictions are the same."""
    dask = Dask()

    def started_again() -> None:
        time.sleep(20)
        dask.end()
        dask.start()

    plan = plan_of(sheet, tmp_path)
    disturbance = threading.Thread(target=started_again)
    disturbance.start()
    try:
        with Killer(dask.victims, 8), DaskWorkers(dask.address) as executor:
            result = run_cohort(plan, executor, retries=100)
    finally:
        disturbance.join()
        dask.end()
    assert result.failed == ()
    for sample in sheet.samples:
        both = [anndata.read_h5ad(one.folder(sample) / "prediction.h5ad").X for one in (plan, quiet_plan)]
        assert np.allclose(*both, rtol=0, atol=1e-6), sample.sample


def test_a_scheduler_that_does_not_answer_is_refused(monkeypatch):
    """An address without a scheduler is one sentence, before anything is computed."""
    monkeypatch.setattr("histosge.workflow.executors.dask_workers._TIMEOUT_S", 1)
    with pytest.raises(UsageError, match="No Dask scheduler answers"), DaskWorkers("tcp://127.0.0.1:9"):
        pass


@pytest.mark.slow
def test_a_terminated_command_ends_its_workers_and_goes_on_later(tmp_path):
    """After SIGTERM no worker computes, the state names the interrupted stage, and the same command does the rest."""
    section = synthetic(columns=24, rows=24, genes=40, seed=0).section
    path = write_spaceranger(section, tmp_path / "S0")
    (tmp_path / "sheet.csv").write_text(f"sample,path\nS0,{path}\n")
    out = tmp_path / "out"
    words = [sys.executable, "-m", "histosge", "cohort", str(tmp_path / "sheet.csv"), "--out", str(out)]
    words += ["--genes", "all", "--no-figures"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        started = time.monotonic()
        # a lease is there as long as its stage is at work
        while not (out / "state/S0/predict.lease").exists():
            assert process.poll() is None
            assert time.monotonic() - started < 300
            time.sleep(0.02)
        workers = spawned(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
        assert "Interrupted. The same command goes on where it stopped." in process.stderr.read()
    assert workers
    assert not any(psutil.pid_exists(worker) for worker in workers)
    plan = CohortPlan(SampleSheet.read(tmp_path / "sheet.csv"), out, hs.Recipe(genes="all"))
    outcome = plan.state.read("S0", "predict")
    assert outcome is not None
    assert (outcome.status, outcome.attempts) == ("interrupted", 1)
    assert table_of(plan, plan.sheet.samples).loc["S0", "state"] == "interrupted"
    subprocess.run(words, check=True, capture_output=True)
    done = plan.state.read("S0", "predict")
    assert done is not None
    assert (done.status, done.attempts) == ("done", 1)


@pytest.mark.slow
def test_workers_end_with_a_command_that_was_killed(tmp_path):
    """A process that computes ends within seconds of its parent, which had no time to end it."""
    code = (
        "import time\nfrom histosge.workflow.executors import Processes\n"
        "if __name__ == '__main__':\n    with Processes(1) as executor:\n"
        "        executor.submit(time.sleep, 600).result()\n"
    )
    (tmp_path / "parent.py").write_text(code)
    with subprocess.Popen([sys.executable, str(tmp_path / "parent.py")]) as parent:
        while not (workers := spawned(parent.pid)):
            time.sleep(0.1)
        time.sleep(5)
        parent.kill()
    end = time.monotonic() + 30
    while psutil.pid_exists(workers[0]) and time.monotonic() < end:
        time.sleep(0.1)
    assert not psutil.pid_exists(workers[0])
