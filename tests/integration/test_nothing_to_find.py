"""Where there is nothing to find, cokriging says so: wrong images, exchanged expression, noise genes, damage."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histosge as hs
from histosge.section.tiles import tiles_of
from histosge.workflow.detection import calibrated

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script() -> Any:
    """Import the script of benchmarks/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        return importlib.import_module("nothing_to_find")


@pytest.fixture(scope="module")
def outcomes(script: Any) -> dict[str, Any]:
    """Fit half of a synthetic section in every condition."""
    tissue, other = (hs.synthetic(columns=12, rows=12, genes=120, seed=seed).section for seed in (1, 2))
    made = script.conditions(tissue, other.slide, 0)
    return {
        name: script.outcome(make(), genes="all", seed=0, compute=hs.Compute()) for name, make in made.items()
    }


def test_the_image_has_weight_where_it_helps(outcomes: dict[str, Any]) -> None:
    """The section's own image has weight, so that a weight of 0 elsewhere says something."""
    usual = outcomes["as it is"]
    assert usual.weight > 0
    assert usual.r > usual.r_without_image


@pytest.mark.parametrize(
    "name", ["other image", "shuffled image", "mirrored image", "uniform image", "exchanged expression"]
)
def test_a_wrong_image_has_no_weight(outcomes: dict[str, Any], name: str) -> None:
    """An image that does not belong to the expression is not used: the fit is the one without image."""
    assert outcomes[name].weight == 0
    assert outcomes[name].r == pytest.approx(outcomes[name].r_without_image, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["other image", "shuffled image", "mirrored image", "uniform image", "exchanged expression"]
)
def test_intervals_widen(outcomes: dict[str, Any], name: str) -> None:
    """With less to go by, intervals are wider."""
    assert outcomes[name].sd > outcomes["as it is"].sd


def test_exchanged_expression_has_no_grade(outcomes: dict[str, Any]) -> None:
    """Without any pattern no gene is strong or fair, where the section itself has many."""
    assert outcomes["as it is"].graded > 20
    assert outcomes["exchanged expression"].graded == 0


def test_noise_genes_have_no_grade(script: Any, outcomes: dict[str, Any]) -> None:
    """Of the genes called strong or fair, at most one in twenty is a noise gene."""
    noise = outcomes["noise genes"]
    assert noise.graded > 20
    assert noise.graded_noise <= 0.05 * (noise.graded + noise.graded_noise)


def test_intervals_hold_in_every_condition(outcomes: dict[str, Any]) -> None:
    """90 % intervals cover about 90 % of the other half, and hardly fewer where ink or a fold lies."""
    assert len(outcomes) == 10
    for name, part in outcomes.items():
        assert 0.87 < part.covered < 0.95, name
    # few spots lie there, and errors of their genes are alike
    usual = outcomes["as it is"].covered_damaged
    for name in ("ink", "fold"):
        assert outcomes[name].covered_damaged > usual - 0.08, name


def test_nothing_is_detected_that_positions_do_not_show(script: Any) -> None:
    """Exchanged expression: no tile, with an image; a wrong image: the tiles of the fit without image."""
    tissue = hs.synthetic(columns=12, rows=12, genes=24, seed=1).section
    made = script.conditions(tissue, tissue.slide, 0)
    exchanged, mirrored = (made[name]().section for name in ("exchanged expression", "mirrored image"))

    def p_values(section: hs.Section, recipe: hs.Recipe) -> Any:
        tiles = tiles_of(tissue, 100.0)
        tested = calibrated(hs.fit(section, recipe), section, section.genes, tiles, folds=2)
        detection = tested.detect("1x", 0.1)
        return detection.p, detection.detected.mean()

    whole, positions = hs.Recipe(genes="all"), hs.Recipe(preset="positions", genes="all")
    assert p_values(exchanged, whole)[1] < 0.005
    wrong, without = p_values(mirrored, whole), p_values(mirrored, positions)
    assert wrong[0] == pytest.approx(without[0], abs=1e-6)
    assert without[1] > 0.05


def test_conditions_change_what_they_say(script: Any) -> None:
    """Ink and folds change pixels of the band alone, a stain those right of the middle; mirroring twice is nothing."""
    section = hs.synthetic(columns=8, rows=8, genes=12).section
    made = script.conditions(section, section.slide, 0)
    image = script.pixels(section.slide)
    left, right = (round(end / section.slide.mpp) for end in script.band(section))
    changed = {
        name: np.flatnonzero((script.pixels(made[name]().section.slide) != image).any(axis=(0, 2)))
        for name in ("ink", "fold", "stain")
    }
    for name in ("ink", "fold"):
        assert changed[name].min() >= left, name
        assert changed[name].max() < right, name
    assert changed["stain"].min() >= (left + right) // 2
    assert (script.pixels(made["mirrored image"]().section.slide)[:, ::-1] == image).all()
