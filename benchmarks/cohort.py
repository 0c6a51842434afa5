"""What a cohort costs beside its sections.

python benchmarks/cohort.py schedule [--slides 1000] [--workers 64]
python benchmarks/cohort.py efficiency [--slides 24]
python benchmarks/cohort.py joint [--slides 20] [--spots 4000] [--genes 1000]
"""

from __future__ import annotations

import argparse
import random
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scale import random_bins

import histosge as hs
from histosge._runtime.provenance import peak_memory_bytes
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.models import build_model
from histosge.section.inputs import Samples, concatenated
from histosge.workflow.cohort.cohort import run_cohort
from histosge.workflow.cohort.coordinate import coordinate
from histosge.workflow.cohort.plan import CohortPlan, StageTask
from histosge.workflow.cohort.plan_file import PlanFile
from histosge.workflow.cohort.sheet import Sample, SampleSheet
from histosge.workflow.cohort.state import Outcome
from histosge.workflow.executors import DaskWorkers, Processes, WorkerLostError

# seconds of a stage, drawn as those of sections: a factor of two to either side
_MEDIAN_S, _LOG_SD = 0.5, 0.7
_LOST = 0.05


def sleep(plan: PlanFile, task: StageTask, version: str, lease_s: float) -> Outcome:
    """Take the time of a stage and compute nothing; one in twenty workers is lost."""
    plan.read()
    draw = random.Random(f"{task.id}{time.time_ns()}")
    seconds = _MEDIAN_S * float(np.exp(_LOG_SD * draw.gauss(0, 1)))
    time.sleep(seconds)
    if draw.random() < _LOST:
        raise WorkerLostError("lost as a simulated failure")
    return Outcome(task.sample, task.stage, task.key, "done", seconds=seconds)


def schedule(slides: int, workers: int) -> None:
    """Print what the coordinator costs on a real scheduler of Dask whose tasks sleep."""
    from distributed import LocalCluster

    with (
        TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=1, threads_per_worker=workers, processes=False, dashboard_address=None
        ) as cluster,
    ):
        path = Path(folder) / "section"
        path.mkdir()
        samples = tuple(Sample(f"S{number}", str(path)) for number in range(slides))
        plan = CohortPlan(SampleSheet(samples), Path(folder) / "out", hs.Recipe("kriging"))
        tasks = list(plan.tasks(samples))
        ended: list[Outcome] = []
        before, started, cpu = peak_memory_bytes() or 0, time.perf_counter(), time.process_time()
        with DaskWorkers(cluster.scheduler_address) as executor:
            coordinate(plan, tasks, executor, retries=50, report=ended.append, work=sleep)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        slept = sum(outcome.seconds for outcome in ended)
        ideal = slept / workers / (1 - _LOST)
        print(f"{len(tasks)} tasks, {workers} workers: {wall:.0f} s, {ideal:.0f} s without any cost")
        print(
            f"coordinator, scheduler and workers: {1000 * cpu / len(tasks):.1f} ms of processor time a task"
        )
        print(f"memory grew by {((peak_memory_bytes() or 0) - before) / 2**20:.0f} MB")


def efficiency(slides: int) -> None:
    """Print the time of a cohort on one process and on two."""
    with TemporaryDirectory() as folder:
        samples = tuple(
            Sample(
                f"S{seed}",
                str(
                    write_spaceranger(
                        synthetic(columns=20, rows=20, genes=200, seed=seed).section, Path(folder) / f"{seed}"
                    )
                ),
            )
            for seed in range(slides)
        )
        times = []
        for jobs in (1, 2):
            plan = CohortPlan(SampleSheet(samples), Path(folder) / f"out{jobs}", hs.Recipe(genes="all"))
            started = time.perf_counter()
            with Processes(jobs) as executor:
                run_cohort(plan, executor)
            times.append(time.perf_counter() - started)
        print(f"{slides} sections: {times[0]:.0f} s on one process, {times[1]:.0f} s on two")
        print(f"parallel efficiency {times[0] / times[1] / 2:.0%}")


def joint(slides: int, spots: int, genes: int) -> None:
    """Print time and memory of one fit to many sections."""
    parts = []
    for seed in range(slides):
        # the same factors and loadings in all sections would need one seed; another of each is the harder case
        parts.append(random_bins(spots, genes, seed))
    inputs = concatenated([part.inputs for part in parts])
    samples = Samples(
        inputs,
        np.concatenate([part.expression for part in parts]),
        parts[0].genes,
        np.concatenate([part.depth for part in parts]),
    )
    diameter_um = float(inputs.locations.points.diameter_um)
    del parts
    data, started = peak_memory_bytes() or 0, time.perf_counter()
    cpu, r = time.process_time(), []
    for predictor in build_model("cokriging").fit_sections(samples, diameters_um=[diameter_um] * slides):
        r.append(predictor.summary()["mean_r_loo"])
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"{slides} sections × {spots} spots × {genes} genes: {wall:.0f} s, {cpu:.0f} s of processor time")
    print(f"leave-one-out r of the sections {min(r):.3f} to {max(r):.3f}")
    print(f"peak {(peak_memory_bytes() or 0) / 2**30:.1f} GiB, of which data {data / 2**30:.1f} GiB")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("schedule", "efficiency", "joint"))
    parser.add_argument("--slides", type=int)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--spots", type=int, default=4000)
    parser.add_argument("--genes", type=int, default=1000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.what == "schedule":
        schedule(options.slides or 1000, options.workers)
    elif options.what == "efficiency":
        efficiency(options.slides or 24)
    else:
        joint(options.slides or 20, options.spots, options.genes)


if __name__ == "__main__":
    main()
