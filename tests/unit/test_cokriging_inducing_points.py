"""Inducing points cover the section evenly."""

from __future__ import annotations

import numpy as np
from cokriging_samples import XY, N

from histosge.models.cokriging.inducing_points import evenly, farthest_points


def test_rows_are_in_even_steps() -> None:
    """First and last row are chosen, no row twice, and all rows where there are few."""
    assert evenly(100, 3).tolist() == [0, 50, 99]
    assert evenly(4, 9).tolist() == [0, 1, 2, 3]


def test_farthest_points_are_far_from_each_other() -> None:
    """Half of the spots are at most as near to each other as all spots, and any spot has one nearby."""
    rows = farthest_points(XY, N // 2)
    assert len(set(rows.tolist())) == N // 2
    assert (np.diff(rows) > 0).all()
    distance = np.linalg.norm(XY[:, None] - XY[rows][None], axis=2)
    assert distance.min(axis=1).max() < 2.1 * 100.0
