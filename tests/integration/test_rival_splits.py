"""The rivals in every split that suits them, and the sentence where a task does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import histosge as hs
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.fine_truth.pseudo_spots import Layout
from histosge.evaluation.fine_truth.seed_run import FinePlan
from histosge.evaluation.fine_truth.truth import FineTruth
from histosge.evaluation.plan import Plan, SectionSpec
from histosge.evaluation.plan_file import parse_recipe
from histosge.models import build_model

SMALL = (
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
)


@pytest.mark.slow
def test_rivals_are_audited_and_scored_in_every_split(tmp_path: Path) -> None:
    """Half of the spots, one of four, and a whole section from another: no leak, no skip, finite errors."""
    sections = [
        replace(hs.synthetic(columns=9, rows=9, genes=12, seed=seed).section, name=f"section {seed}")
        for seed in (0, 1)
    ]
    plan = Plan(
        [SectionSpec(section) for section in sections],
        [parse_recipe(options | {"epochs": 2}) for options in SMALL],
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
    assert len(trials) == 2 * 3 * 4
    assert trials.all()


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
