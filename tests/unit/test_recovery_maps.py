"""Recovery maps show the training spots, each method's prediction and the measured values."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from histosge.figures.recovery_maps import Recovery, recovery_maps


def test_a_row_has_training_spots_predictions_and_measured_values() -> None:
    """Each prediction has its correlation at the test spots above it; titles do not overlap."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 3, (30, 2))
    training = np.arange(30) % 2 == 0
    methods = ("stage (paper, epochs=300)", "histosge (corrected)")
    recovery = Recovery(
        rng.uniform(0, 900, (30, 2)),
        training,
        ["A", "B"],
        truth,
        dict.fromkeys(methods, truth + 0.1),
        {name: np.array([0.5, np.nan]) for name in methods},
    )
    figure = recovery_maps(recovery)
    figure.canvas.draw()
    row = figure.axes[:4]
    assert len(figure.axes) == 8
    assert len(row[0].collections[0].get_offsets()) == training.sum()
    assert len(row[3].collections[0].get_offsets()) == 30
    boxes = [panel.title.get_window_extent() for panel in row]
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))
    assert "0.50" in row[1].get_title()
