"""The rivals in every split that suits them, and the sentence where a task does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histosge as hs
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.fine_truth.pseudo_spots import Layout
from histosge.evaluation.fine_truth.seed_run import FinePlan
from histosge.evaluation.fine_truth.truth import FineTruth
from histosge.evaluation.plan import Plan, SectionSpec
from histosge.evaluation.plan_file import parse_recipe
from histosge.models import MODELS, build_model
from histosge.models.base import Task

SMALL: tuple[dict[str, Any], ...] = (
    {"model": "bleep", "width": 8, "nearest": 5},
    {"model": "mclstexp", "width": 8, "depth": 1, "heads": 1, "head_width": 4},
    {"model": "deepspot", "width": 8, "members": 2, "side": 1, "around": 2},
    {
        "model": "triplex",
        "width": 8,
        "depths": [1, 1, 1],
        "heads": [1, 1, 1],
        "target_side": 1,
        "neighbour_side": 3,
    },
    {"model": "istar", "superpixels": 2.0, "components": 3, "factors": 3},
    {"model": "stentrans", "patch": 2, "heads": 2, "depth": 1},
    {"model": "tesla"},
    {"model": "bayesspace:idw", "iterations": 20, "spot_iterations": 10},
)
# of those that are trained
EPOCHS: dict[str, dict[str, int]] = {"tesla": {}, "bayesspace:idw": {}}
# systems that the HisToSGE paper compares itself with, in the same folder
HISTOSGE_PAPER = {"deepspace", "histogene", "stage", "stnet", "thitogene"}
# the tasks of each: half of the spots, one of four, finer than spots, a section of which no spot is fitted
ANY = ("test_spots", "sublattice", "finer", "new_section")
TASKS: dict[str, tuple[Task, ...]] = {
    "bleep": ANY,
    "mclstexp": ANY,
    "triplex": ANY,
    "istar": ANY,
    "istar:spot": ANY,
    "deepspot": ("test_spots", "sublattice", "new_section"),
    "tesla": ANY[:3],
    "stentrans": ANY[:3],
    "stentrans:doubled": ("sublattice", "finer"),
    "bayesspace": ("finer",),
    "bayesspace:idw": ANY[:3],
}
# those that read the image alone, and predict whole sections from it
IMAGE_ALONE = {"bleep", "mclstexp", "deepspot", "triplex", "istar"}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_rivals_claim_the_tasks_that_suit_them(name: str) -> None:
    """A task that a system does not have is refused in a sentence, and no other one is."""
    reasons = {task: hs.Recipe.parse(name).build().reason_against(task) for task in ANY}
    assert tuple(task for task in ANY if not reasons[task]) == TASKS[name]
    assert all(reason.endswith(".") for reason in reasons.values() if reason)


def test_all_rivals_are_in_the_table() -> None:
    """A system that is added to those of the list is tested in its splits too."""
    rivals = {
        name for name in MODELS if MODELS[name].__module__.startswith("histosge.models.rivals.")
    } - HISTOSGE_PAPER
    assert rivals == {name.partition(":")[0] for name in TASKS}
    assert rivals == {str(options["model"]).partition(":")[0] for options in SMALL}


@pytest.mark.slow
def test_rivals_are_audited_and_scored_in_every_split(tmp_path: Path) -> None:
    """Half of the spots, one of four, and a whole section from another: no leak, finite errors, no skip but claimed."""
    sections = [
        replace(hs.synthetic(columns=9, rows=9, genes=12, seed=seed).section, name=f"section {seed}")
        for seed in (0, 1)
    ]
    plan = Plan(
        [SectionSpec(section) for section in sections],
        [parse_recipe(options | EPOCHS.get(str(options["model"]), {"epochs": 2})) for options in SMALL],
        splits=("random:0.5", "sublattice:4", "sections"),
        seeds=(0,),
        encoders=("colour",),
        genes="all",
        baselines=False,
    )
    result = benchmark(plan, out=tmp_path)
    scores = result.scores[(result.scores["metric"] == "mse") & (result.scores["set"] == "test")]
    # kriging runs in any case, and interpolates no whole section
    scores = scores[scores["model"] != "kriging"]
    trials = scores.groupby(["section", "split", "model"], observed=True)["value"].apply(
        lambda values: np.isfinite(values).all()
    )
    assert len(trials) == 2 * (2 * len(SMALL) + len(IMAGE_ALONE))
    assert trials.all()
    skipped = {trial.model for trial in result.skipped if trial.split == "sections"} - {"kriging"}
    assert skipped == {"tesla", "stentrans", "bayesspace"}


def test_deepspot_is_left_out_of_finer_truth() -> None:
    """Its sum over windows in a spot has no meaning for a bin, and the sentence says so."""
    assert "whole spots" in build_model("deepspot").reason_against("finer")
    assert not build_model("deepspot").reason_against("new_section")
    assert not any(
        build_model(name).reason_against("finer") for name in ("bleep", "mclstexp", "triplex", "ridge")
    )
    section = hs.synthetic(columns=6, rows=6, genes=8).section
    truth = FineTruth("bins", section.counts, section.genes, section.spots, slide=section.slide)
    recipes = (hs.Recipe("ridge"), hs.Recipe("deepspot"))
    plan = FinePlan(truth, recipes, layout=Layout.parse("visium"), scales=(10.0,), seeds=(0,))
    assert list(plan.skipped) == ["deepspot"]
