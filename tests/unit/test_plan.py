"""Plans: which trials they hold, and in which order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from histosge.datasets import synthetic
from histosge.errors import UsageError
from histosge.evaluation.baselines import BASELINES
from histosge.evaluation.evaluate import seeds_of
from histosge.evaluation.plan import Plan, SectionSpec
from histosge.evaluation.plan_file import parse_plan, parse_recipe
from histosge.evaluation.planned_studies import panel_of, patients_of, study_of
from histosge.workflow.recipe import Recipe


def test_baselines_come_first_and_once() -> None:
    """A model that is also a baseline runs once, at the position of the baseline."""
    plan = Plan(["one"], ["kriging", "cokriging"])
    assert plan.recipes == (*BASELINES, Recipe("cokriging"))


def test_kriging_always_runs() -> None:
    """Without the baselines kriging stands beside the models, so that there is a skill score; one of them is needed."""
    plan = Plan(["one"], ["idw", "kriging", "mean"], baselines=False)
    assert [recipe.model for recipe in plan.recipes] == ["idw", "kriging", "mean"]
    assert Plan(["one"], ["mean"], baselines=False).recipes == (Recipe("mean"), Recipe("kriging"))
    with pytest.raises(UsageError, match="needs models, or its baselines"):
        Plan(["one"], baselines=False)


def test_only_models_of_the_image_are_crossed_with_encoders() -> None:
    """Two encoders double the trials of models that read image features, and of no others."""
    plan = Plan(["one"], ["kriging", "ridge"], seeds=(0,), encoders=("texture", "uni"), baselines=False)
    assert [(trial.recipe.model, trial.encoder) for trial in plan.trials()] == [
        ("kriging", ""),
        ("ridge", "texture"),
        ("ridge", "uni"),
    ]


def test_genes_and_seeds_of_a_plan_replace_those_of_recipes() -> None:
    """Every trial has the genes of the plan and one of its seeds."""
    plan = Plan(
        ["one"], [Recipe("mean", genes="all", seed=7)], seeds=(1, 2), genes=["A", "B"], baselines=False
    )
    recipes = [trial.recipe for trial in plan.trials()]
    assert [(recipe.model, recipe.seed) for recipe in recipes] == [
        ("mean", 1),
        ("kriging", 1),
        ("mean", 2),
        ("kriging", 2),
    ]
    assert {recipe.genes for recipe in recipes} == {"A,B"}


def test_auxiliary_is_a_suffix_of_splits_within_a_section() -> None:
    """``auxiliary`` adds the suffix once, and not to splits that predict whole sections."""
    plan = Plan(["one"], splits=("random:0.5", "random:0.5+auxiliary", "sections"), auxiliary=True)
    assert plan.split_names == ("random:0.5+auxiliary", "sections")
    with pytest.raises(UsageError, match="fits the others already"):
        Plan(["one"], splits=("sections+auxiliary",))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"seeds": (0, 1, 0)}, "each of `seeds` once, got '0' twice"),
        ({"splits": ("blocks:6", "blocks:6")}, "each of `splits` once, got 'blocks:6' twice"),
        ({"splits": ("random:0.5", "random:0.50")}, "'random:0.5' and 'random:0.50', which are the same"),
        ({"splits": ("blocks:6+auxiliary", "blocks:6:1+auxiliary")}, "which are the same"),
        ({"splits": ("random", "random:0.5+auxiliary"), "auxiliary": True}, "which are the same"),
        ({"splits": ("patients", "patients")}, "got 'patients' twice"),
        ({"encoders": ("texture", "texture")}, "each of `encoders` once, got 'texture' twice"),
        ({"encoders": ("texture+uni", "texture + uni")}, "which are the same"),
    ],
)
def test_entries_of_a_plan_differ(settings: dict[str, Any], sentence: str) -> None:
    """A plan that names a seed, a split or an encoder twice is refused before anything is read."""
    with pytest.raises(UsageError, match=re.escape(sentence)):
        Plan(["nowhere"], ["ridge"], baselines=False, **settings)


def test_a_split_and_the_same_with_auxiliary_sections_are_two() -> None:
    """What is fitted differs, and so do the scores."""
    splits = ("random:0.5", "random:0.5+auxiliary", "random:0.6", "sections", "patients")
    assert Plan(["one"], splits=splits).split_names == splits


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"encoders": ("textur",)}, "no encoder named 'textur'. Did you mean texture"),
        ({"encoders": ("texture+textur",)}, "no encoder named 'textur'"),
        ({"splits": ("randon:0.5",)}, "Expected `split` random:0.5"),
    ],
)
def test_unknown_words_of_a_plan_are_refused_at_once(settings: dict[str, Any], sentence: str) -> None:
    """An encoder or a split that there is not is refused before anything is read, also where no model needs it."""
    with pytest.raises(UsageError, match=re.escape(sentence)):
        Plan(["nowhere"], ["idw"], baselines=False, **settings)


def test_paths_of_a_plan_are_relative_to_its_file() -> None:
    """Sections and images are found from the folder of the plan."""
    content = {"sections": ["a", {"path": "b", "image": "b.tif", "patient": "P"}]}
    specs = parse_plan(content, Path("/plans")).specs
    assert specs == (
        SectionSpec(Path("/plans/a")),
        SectionSpec(Path("/plans/b"), image=Path("/plans/b.tif"), patient="P"),
    )


def test_lists_in_options_become_tuples() -> None:
    """TOML has lists where options have tuples."""
    recipe = parse_recipe({"model": "kriging", "ranges_pitches": [3.0, 12.0]})
    assert recipe == Recipe("kriging", options={"ranges_pitches": (3.0, 12.0)})


def test_a_number_of_seeds_counts_from_zero() -> None:
    """A number stands for the seeds 0, 1, 2 …; seeds stand for themselves."""
    assert seeds_of(2) == (0, 1)
    assert seeds_of([5, 9]) == (5, 9)
    with pytest.raises(UsageError, match="from 1 to 10000"):
        seeds_of(0)


def test_trials_of_one_division_share_their_study() -> None:
    """All models of a section, split and seed get the same training spots and genes."""
    section = synthetic(columns=8, rows=8, genes=12).section
    plan = Plan([section], ["mean"], seeds=(0, 1), genes="all", baselines=False)
    first, second, other = list(plan.trials())[:3]
    assert study_of(plan, first) is study_of(plan, second)
    assert panel_of(plan, first) is panel_of(plan, second)
    assert study_of(plan, other).training.tolist() != study_of(plan, first).training.tolist()


def test_patients_are_those_of_the_target_and_the_fitted_sections() -> None:
    """Sections of the target's patient are not fitted."""
    specs = [SectionSpec(Path(name), patient=name[0]) for name in ("A1", "A2", "B1")]
    plan = Plan(specs, ["kriging"], splits=("patients",), seeds=(0,), baselines=False)
    trials = list(plan.trials())
    assert [patients_of(plan, trial) for trial in trials] == [("A", "B"), ("A", "B"), ("B", "A", "A")]
