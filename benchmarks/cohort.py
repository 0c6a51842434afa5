"""What a cohort costs beside its sections.

python benchmarks/cohort.py schedule [--slides 1000] [--workers 64]
python benchmarks/cohort.py efficiency [--slides 24]
python benchmarks/cohort.py joint [--slides 20] [--spots 4000] [--genes 1000]
python benchmarks/cohort.py accuracy --sections PATH PATH … [--genes 300]
"""

from __future__ import annotations

import argparse
import os
import random
import resource
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
from histosge.section.multi_section import SectionGroup
from histosge.workflow.cohort.cohort import run_cohort
from histosge.workflow.cohort.coordinate import coordinate
from histosge.workflow.cohort.left_out import left_out_accuracy
from histosge.workflow.cohort.plan import CohortPlan, StageTask
from histosge.workflow.cohort.plan_file import PlanFile
from histosge.workflow.cohort.sheet import Sample, SampleSheet
from histosge.workflow.cohort.state import Outcome
from histosge.workflow.compute import Compute
from histosge.workflow.executors import DaskWorkers, Processes, WorkerLostError
from histosge.workflow.fit import FitPlan

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
        times, cpus = [], []
        for jobs in (1, 2):
            plan = CohortPlan(SampleSheet(samples), Path(folder) / f"out{jobs}", hs.Recipe(genes="all"))
            started, before = time.perf_counter(), _processor_s()
            with Processes(jobs) as executor:
                run_cohort(plan, executor)
            times.append(time.perf_counter() - started)
            # processes are counted once they have ended
            cpus.append(_processor_s() - before)
        print(f"load {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores")
        print(f"{slides} sections: {times[0]:.0f} s on one process, {times[1]:.0f} s on two")
        print(f"parallel efficiency {times[0] / times[1] / 2:.0%}")
        print(
            f"processor time: {cpus[0]:.0f} s on one process, {cpus[1]:.0f} s on two: {cpus[0] / cpus[1]:.0%}"
        )


def _processor_s() -> float:
    """Return the processor time of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


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


def accuracy(paths: list[str], genes: int) -> None:
    """Print how well sections are predicted by fits alone, with the others, jointly, and left out."""
    sections = [hs.read(path) for path in paths]
    group = SectionGroup.of(sections[0], sections[1:])
    # the same genes in every fit
    names = group.choose(f"hvg:{genes}").names
    recipe, compute = hs.Recipe(genes=names.tolist(), encoder="texture"), Compute()
    plan = FitPlan.of(sections[0], recipe, auxiliary=sections[1:], compute=compute)
    samples = plan.sections.gather(plan.panel.by_name(), plan.encoded(compute))
    diameters_um = [float(section.spots.diameter_um) for section in sections]
    jointly = list(plan.model.fit_sections(samples, diameters_um=diameters_um))
    print("| section | spots | alone | with the others | jointly | left out |\n|---|---|---|---|---|---|")
    for index, section in enumerate(sections):
        others = [*sections[:index], *sections[index + 1 :]]
        alone = hs.fit(section, recipe).predictor
        together = hs.fit(section, recipe, auxiliary=others).predictor
        table = left_out_accuracy(section, others, recipe)
        scores = [
            (fit.summary()["mean_r_loo"], fit.summary()["mean_r_loo_given_depth"])
            for fit in (alone, together, jointly[index])
        ]
        scores.append((float(table["r"].mean()), float(table["r_given_depth"].mean())))
        cells = " | ".join(f"{r:.3f} ({partial:.3f})" for r, partial in scores)
        print(f"| {section.name} | {len(section)} | {cells} |", flush=True)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("schedule", "efficiency", "joint", "accuracy"))
    parser.add_argument("--slides", type=int)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--spots", type=int, default=4000)
    parser.add_argument("--genes", type=int)
    parser.add_argument("--sections", nargs="+", help="of one tissue, the same kind of genes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.what == "schedule":
        schedule(options.slides or 1000, options.workers)
    elif options.what == "efficiency":
        efficiency(options.slides or 24)
    elif options.what == "accuracy":
        accuracy(options.sections, options.genes or 300)
    else:
        joint(options.slides or 20, options.spots, options.genes or 1000)


if __name__ == "__main__":
    main()
