"""Cohorts where the disk of one worker is full: nothing is lost, and nothing half is left."""

from __future__ import annotations

import os

import anndata
import pytest

import histosge as hs
from histosge._runtime.hashing import fingerprint_file
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.workflow.cohort.cohort import run_cohort
from histosge.workflow.cohort.coordinate import coordinate
from histosge.workflow.cohort.lease import LEASE_S
from histosge.workflow.cohort.plan import CohortPlan
from histosge.workflow.cohort.plan_file import PlanFile
from histosge.workflow.cohort.sheet import Sample, SampleSheet
from histosge.workflow.cohort.task import run_stage
from histosge.workflow.executors import Processes

resource = pytest.importorskip("resource")
# bytes: states and leases can be written, predictions cannot
_SPACE = 16_384


def with_little_space(file: PlanFile, task, version: str, lease_s: float = LEASE_S):
    """Do a stage; the first worker that begins one has a full disk from then on."""
    try:
        os.close(os.open(file.path.parent / "full", os.O_CREAT | os.O_EXCL))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_SPACE, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    except FileExistsError:
        pass
    return run_stage(file, task, version, lease_s)


@pytest.mark.slow
def test_a_worker_whose_disk_is_full_loses_nothing(tmp_path):
    """Its sections are done elsewhere or failed with the sentence; the same command then does what is missing."""
    samples = []
    for seed in range(6):
        section = synthetic(columns=8, rows=8, genes=12, seed=seed).section
        samples.append(Sample(f"S{seed}", str(write_spaceranger(section, tmp_path / f"{seed}"))))
    plans = [
        CohortPlan(
            SampleSheet(tuple(samples)),
            tmp_path / name,
            hs.Recipe("kriging", genes="all"),
            target=hs.Target(upsample=2),
            outputs=hs.Outputs(figures=False),
        )
        for name in ("quiet", "full")
    ]
    with Processes(2) as executor:
        run_cohort(plans[0], executor)
    full = plans[1]
    full.out.mkdir()
    with Processes(2) as executor:
        ended = coordinate(full, list(full.tasks(samples)), executor, retries=2, work=with_little_space)
    predicted = {name: outcome for (name, stage), outcome in ended.items() if stage == "predict"}
    assert set(predicted) == {sample.sample for sample in samples}
    failed = {name for name, outcome in predicted.items() if outcome.status == "failed"}
    for sample in samples:
        path = full.folder(sample) / "prediction.h5ad"
        if sample.sample in failed:
            assert "The disk is full" in predicted[sample.sample].reason
            assert not path.exists()
        else:
            assert anndata.read_h5ad(path).n_vars == 12
    with Processes(1) as executor:
        assert run_cohort(full, executor).failed == ()
    hashes = [
        [fingerprint_file(plan.folder(sample) / "prediction.h5ad") for sample in samples] for plan in plans
    ]
    assert hashes[0] == hashes[1]
