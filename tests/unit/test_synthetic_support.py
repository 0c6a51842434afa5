"""Spots of the synthetic section can be disks."""

from __future__ import annotations

import numpy as np

from histosge.datasets import synthetic
from histosge.section.expression import log_cp10k

TISSUE = synthetic(columns=14, rows=14, genes=36, seed=2)
XY = TISSUE.section.spots.xy


def test_the_truth_of_a_disk_is_its_mean_rate() -> None:
    """The truth of a disk is the mean rate over it; at diameter 0 it is that of the point."""
    rng = np.random.default_rng(0)
    assert np.array_equal(TISSUE.truth(XY, 0.0), TISSUE.truth(XY))
    radius, angle = 40 * np.sqrt(rng.random(4000)), 2 * np.pi * rng.random(4000)
    inside = XY[20] + np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    mean = np.log1p(np.expm1(TISSUE.truth(inside)).mean(axis=0))
    assert np.allclose(TISSUE.truth(XY[20:21], 80.0)[0], mean, atol=0.03)


def test_counts_of_disks_follow_the_truth_of_disks() -> None:
    """Of wide spots the counts are nearer to the truth of disks than to that of points; the truth stays the same."""
    wide = synthetic(columns=14, rows=14, genes=36, seed=2, support="disk", diameter_um=240.0)
    assert wide.section.spots.diameter_um == 240.0
    assert np.array_equal(wide.truth(XY), TISSUE.truth(XY))
    values = log_cp10k(wide.section.counts).toarray()
    nuclei = np.flatnonzero(np.arange(36) % 6 == 4)
    errors = [((values - wide.truth(XY, width))[:, nuclei] ** 2).mean() for width in (240.0, 0.0)]
    assert errors[0] < 0.8 * errors[1]
