"""Marker genes have spatial patterns and differ from one another."""

from __future__ import annotations

import numpy as np

from histosge.datasets import synthetic
from histosge.figures.markers import choose_markers, choose_predicted_markers
from histosge.prediction.prediction import Prediction
from histosge.section.locations import at_spots

SECTION = synthetic().section


def test_markers_have_patterns_and_differ() -> None:
    """Of a tissue with known drivers four different ones are chosen, and no gene without a pattern."""
    chosen = choose_markers(SECTION, SECTION.genes)
    drivers = {name.rstrip("0123456789") for name in chosen}
    assert len(chosen) == 4
    assert len(drivers) >= 3
    assert "FLAT" not in drivers


def test_predicted_markers_are_weighted_by_their_accuracy() -> None:
    """A gene that is predicted badly is not chosen; near copies of a chosen gene come last."""
    rng = np.random.default_rng(0)
    n = len(SECTION)
    pattern, other = rng.normal(size=n), rng.normal(size=n)
    mean = np.column_stack([3 * pattern, 2.9 * pattern, other, 5 * rng.normal(size=n)]).astype(np.float32)
    prediction = Prediction(at_spots(SECTION), SECTION.genes[:4], mean)
    chosen = choose_predicted_markers(prediction, 2, r_loo=np.array([0.9, 0.9, 0.9, 0.0]))
    assert chosen == (SECTION.genes[0], SECTION.genes[2])
