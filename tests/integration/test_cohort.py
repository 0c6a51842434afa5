"""Cohorts: many sections with one command; stages are tasks that are done once, whoever is killed."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import histosge as hs
from histosge.cli.application import application
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.errors import UsageError
from histosge.workflow.cohort.cohort import run_cohort
from histosge.workflow.cohort.coordinate import coordinate
from histosge.workflow.cohort.plan import CohortPlan
from histosge.workflow.cohort.plan_file import PlanFile
from histosge.workflow.cohort.sheet import Sample, SampleSheet
from histosge.workflow.cohort.slurm import submit, write_scripts
from histosge.workflow.cohort.task import columns_named, run_stage
from histosge.workflow.executors import WorkerLostError

# of positions alone: what is tested here is who computes what, and when
RECIPE = hs.Recipe("kriging", genes="all")
WITH_IMAGE = hs.Recipe(genes="all")


class Here:
    """Compute at once, in this process; the first ``lost`` tasks lose their worker after they were computed or not."""

    workers = 1

    def __init__(self, lost: int = 0, *, computed: bool = False) -> None:
        self.lost, self.computed, self.submitted = lost, computed, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def submit(self, function, *arguments):
        future: Future = Future()
        self.submitted += 1
        if self.lost > 0:
            self.lost -= 1
            if self.computed:
                function(*arguments)
            future.set_exception(WorkerLostError("killed"))
        else:
            future.set_result(function(*arguments))
        return future


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Three small sections as Space Ranger folders."""
    folder = tmp_path_factory.mktemp("cohort")
    sections = [synthetic(columns=8, rows=8, genes=12, seed=seed).section for seed in range(3)]
    return [write_spaceranger(section, folder / f"outs {number}") for number, section in enumerate(sections)]


def plan_of(paths, out, **options) -> CohortPlan:
    samples = [
        Sample(f"S{number}", str(path), patient=f"P{number % 2}", group="tumour")
        for number, path in enumerate(paths)
    ]
    options = {
        "outputs": hs.Outputs(figures=False),
        "target": hs.Target(upsample=2),
        "recipe": RECIPE,
        **options,
    }
    return CohortPlan(SampleSheet(tuple(samples)), out, **options)


def test_a_cohort_equals_its_sections_run_one_by_one(paths, tmp_path):
    """Predictions are those of ``run`` on each section, the summary has a row for each, and one file has all."""
    plan = plan_of(paths, tmp_path / "out", recipe=WITH_IMAGE)
    result = run_cohort(plan, Here())
    assert result.table["state"].tolist() == ["done"] * 3
    alone = hs.run(
        hs.read(paths[1], name="S1"),
        WITH_IMAGE,
        out=tmp_path / "alone",
        target=plan.target,
        outputs=plan.outputs,
    )
    mean = anndata.read_h5ad(tmp_path / "out/sections/S1/prediction.h5ad").X
    assert np.array_equal(mean, anndata.read_h5ad(alone.prediction).X)
    every = anndata.read_h5ad(tmp_path / "out/cohort.h5ad")
    rows = every.obs["library_id"] == "S1"
    assert np.array_equal(every[rows].X, mean)
    assert every.obs_names.is_unique
    assert set(every.uns["spatial"]) == {"S0", "S1", "S2"}
    assert every.obs["patient"].astype(str).unique().tolist() == ["P0", "P1"]
    assert "3 sections" in (tmp_path / "out/cohort.html").read_text()
    assert pd.read_parquet(tmp_path / "out/cohort.parquet")["r_loo"].between(-1, 1).all()


def test_what_is_done_is_not_done_again_unless_something_changed(paths, tmp_path):
    """A second call computes nothing; a changed recipe, or a deleted prediction, what depends on it."""
    plan = plan_of(paths[:2], tmp_path)
    run_cohort(plan, Here())
    again = Here()
    run_cohort(plan, again)
    assert again.submitted == 0
    (tmp_path / "sections/S0/prediction.h5ad").unlink()
    run_cohort(plan, again)
    assert again.submitted == 1
    run_cohort(replace(plan, recipe=hs.Recipe("kriging", genes="all", seed=1)), again)
    assert again.submitted == 1 + 6


@pytest.mark.parametrize("computed", [False, True])
def test_lost_workers_cost_an_attempt_and_no_result(paths, tmp_path, computed):
    """A stage whose worker was lost is tried again; where it had finished, it is not."""
    plan = plan_of(paths[:2], tmp_path)
    executor = Here(lost=3, computed=computed)
    assert run_cohort(plan, executor).failed == ()
    assert executor.submitted == 6 + (0 if computed else 3)


def test_a_stage_that_is_lost_again_and_again_fails_with_its_reason(paths, tmp_path):
    """After the retries the section is failed with the reason, and stages that need it are not begun."""
    plan = plan_of(paths[:1], tmp_path)
    tasks = list(plan.tasks(plan.sheet.samples))
    ended = coordinate(plan, tasks, Here(lost=9), retries=2)
    assert {outcome.status for outcome in ended.values()} == {"failed"}
    assert "killed It was tried 3 times" in ended[("S0", "encode")].reason
    assert ended[("S0", "predict")].reason == ended[("S0", "encode")].reason
    # the next call tries again
    assert {outcome.status for outcome in coordinate(plan, tasks, Here()).values()} == {"done"}


def test_sections_that_cannot_be_read_are_all_named_before_anything_is_fitted(paths, tmp_path):
    """A missing section and a table are refused in one message; with ``skip_failed`` the others are done."""
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/counts.tsv.gz").write_bytes(b"")
    bad = [Sample("gone", str(tmp_path / "none")), Sample("damaged", str(tmp_path / "damaged"))]
    sheet = SampleSheet((Sample("S0", str(paths[0])), *bad))
    plan = replace(plan_of(paths, tmp_path / "out"), sheet=sheet)
    with pytest.raises(UsageError) as refusal:
        run_cohort(plan, Here())
    assert "gone: " in str(refusal.value)
    assert "damaged: " in str(refusal.value)
    assert "A table by itself is not read: of spots or cells give an h5ad" in str(refusal.value)
    assert not (tmp_path / "out/sections").exists()
    result = run_cohort(plan, Here(), skip_failed=True)
    assert result.table["state"].tolist() == ["done", "failed", "failed"]
    assert set(anndata.read_h5ad(tmp_path / "out/cohort.h5ad").obs["library_id"]) == {"S0"}


def test_a_sentence_names_the_column_of_the_sheet():
    """What a section lacks can be given in the sheet, for it alone."""
    assert columns_named("Give `mpp`, µm per pixel.") == " In the sheet: column mpp."
    assert columns_named("Use `image` or `mpp`.") == " In the sheet: columns image, mpp."
    assert columns_named("Choose fewer `genes`.") == ""
    assert columns_named("Unknown format. Readers: Visium HD: outs; `bin_um` chooses the bins.") == ""


@pytest.mark.slow
def test_fits_by_patient_and_joint_fits_use_the_other_sections(paths, tmp_path):
    """A fit by patient names the patient's other section, a joint fit all others; both have one row a section."""
    by_patient = run_cohort(plan_of(paths, tmp_path / "patient", fit="patient", recipe=WITH_IMAGE), Here())
    record = json.loads((tmp_path / "patient/sections/S0/run.json").read_text())
    assert [section["name"] for section in record["auxiliary"]] == ["S2"]
    assert by_patient.table["state"].tolist() == ["done"] * 3
    joint = run_cohort(
        plan_of(paths, tmp_path / "joint", fit="joint", leave_out="section", recipe=WITH_IMAGE), Here()
    )
    records = [json.loads((tmp_path / f"joint/sections/S{n}/run.json").read_text()) for n in range(3)]
    # factors are the same in all sections, statements are each section's own
    loadings = [
        anndata.read_h5ad(tmp_path / f"joint/sections/S{n}/factors.h5ad").varm["loadings"] for n in range(3)
    ]
    assert np.allclose(loadings[0], loadings[1])
    assert np.allclose(loadings[0], loadings[2])
    assert len({record["fit"]["mean_r_loo"] for record in records}) == 3
    assert len({record["total_counts"]["log_sd"] for record in records}) == 3
    assert [section["name"] for section in records[1]["auxiliary"]] == ["S0", "S2"]
    assert joint.table["r_left_out"].between(-1, 1).all()
    # each section is predicted as itself: near its own counts, not those of the first
    for number, path in enumerate(paths):
        section = hs.read(path)
        predicted = anndata.read_h5ad(tmp_path / f"joint/sections/S{number}/prediction.h5ad")
        spots = predicted[predicted.obs["observed"].astype(bool)]
        counts = section.counts.toarray()[
            [section.spots.ids.tolist().index(name) for name in spots.obs_names]
        ]
        genes = [predicted.var_names.tolist().index(name) for name in section.genes]
        level = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).mean(axis=0)
        assert np.corrcoef(level, np.asarray(spots.X)[:, genes].mean(axis=0))[0, 1] > 0.9


def test_a_worker_of_another_version_refuses(paths, tmp_path):
    """A stage sent by another version is not computed."""
    plan = plan_of(paths[:1], tmp_path)
    outcome = run_stage(PlanFile.write(plan), next(iter(plan.checks(plan.sheet.samples))), "0.0.1")
    assert outcome.status == "failed"
    assert "Install the same" in outcome.reason


def test_plans_that_cannot_be_are_refused(paths, tmp_path):
    """Fits by patient without patients, joint fits of one section, and leaving out all there is are refused."""
    one = SampleSheet((Sample("S0", str(paths[0])),))
    for options in ({"fit": "patient"}, {"fit": "joint"}, {"fit": "all"}, {"leave_out": "section"}):
        with pytest.raises(UsageError):
            CohortPlan(one, tmp_path, RECIPE, **options)


def test_slurm_scripts_name_every_sample_and_wait_for_the_array(paths, tmp_path, monkeypatch):
    """The array has a task a sample, and the summary comes after it, whatever became of it."""
    plan = plan_of(paths, tmp_path / "a b")
    array, summary = write_scripts(plan, ["histosge", "cohort", "my sheet.csv"])
    assert "--array=1-3" in array.read_text()
    assert "'my sheet.csv' --only" in array.read_text()
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\necho 17\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert submit(array, summary) == ("17", "17")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[1] == f"--parsable --dependency=afterany:17 {summary}"
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="no sbatch"):
        submit(array, summary)


def test_the_command_checks_estimates_and_reports_failures(paths, tmp_path):
    """``--dry-run`` prints sizes and estimates and fits nothing; a sheet with a missing section ends with its name."""
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(f"sample,path\nS0,{paths[0]}\n")
    arguments = ["cohort", str(sheet), "--genes", "all", "--out", str(tmp_path / "out"), "--device", "cpu"]
    dry = CliRunner().invoke(application(), [*arguments, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "64 spots" in dry.output
    assert not (tmp_path / "out/sections").exists()
    sheet.write_text(f"sample,path\nS0,{paths[0]}\nS1,{tmp_path / 'none'}\n")
    failed = CliRunner().invoke(application(), arguments)
    assert failed.exit_code == 2
    assert "S1: " in failed.output
    # the check ends as the run does, after its table
    checked = CliRunner().invoke(application(), [*arguments, "--dry-run"])
    assert checked.exit_code == 2
    assert "64 spots" in checked.output
    assert (
        "1 of 2 sections cannot be used: S1. Mend them, or leave them out with --skip-failed"
        in checked.output
    )
    checked = CliRunner().invoke(application(), [*arguments, "--dry-run", "--json"])
    content = json.loads(checked.stdout)
    assert checked.exit_code == content["exit_code"] == 2
    assert [section["status"] for section in content["sections"]] == ["done", "failed"]
    assert "cannot be used: S1" in content["error"]
    # with sections left out the run ends with 3; of the section asked for alone, with 0
    for further, code in (("--skip-failed",), 3), (("--only", "S0"), 0):
        checked = CliRunner().invoke(application(), [*arguments, "--dry-run", *further])
        assert checked.exit_code == code, checked.output
    # of the sections asked for, none failed
    alone = CliRunner().invoke(
        application(), [*arguments, "--model", "kriging", "--no-figures", "--only", "S0"]
    )
    assert alone.exit_code == 0, alone.output


def test_embed_takes_a_sheet_and_a_cohort_finds_its_features(paths, tmp_path):
    """``embed SHEET`` keeps the features of all sections; options of one section, and workers for one, are refused."""
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(f"sample,path\nS0,{paths[0]}\n")
    arguments = ["embed", str(sheet), "--out", str(tmp_path / "out"), "--device", "cpu", "--refine", "2"]
    done = CliRunner().invoke(application(), [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert content["sections"][0]["locations"] == 2 * 64
    assert any((tmp_path / "out/features").iterdir())
    refused = CliRunner().invoke(application(), [*arguments, "--image", str(sheet)])
    assert "column of the sheet" in refused.output
    alone = CliRunner().invoke(application(), ["embed", str(paths[0]), "--jobs", "2"])
    assert alone.exit_code == 2
    assert "this is one section" in " ".join(alone.output.split())
