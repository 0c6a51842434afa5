"""Ranges of position kernels by marginal likelihood."""

from __future__ import annotations

import numpy as np

from histosge.models.cokriging.block_covariance import matern
from histosge.models.cokriging.ranges import likely_ranges

XY_UM = 100.0 * np.stack(np.meshgrid(np.arange(16.0), np.arange(16.0)), axis=-1).reshape(-1, 2)


def drawn(range_um: float) -> np.ndarray:
    """Return 30 draws of a Gaussian process of one range, with noise."""
    rng = np.random.default_rng(0)
    distance = np.linalg.norm(XY_UM[:, None] - XY_UM[None], axis=2)
    root = np.linalg.cholesky(matern(distance, range_um) + 1e-6 * np.eye(len(XY_UM)))
    return root @ rng.normal(size=(len(XY_UM), 30)) + 0.3 * rng.normal(size=(len(XY_UM), 30))


def test_short_and_long_ranges_are_told_apart() -> None:
    """Expression that changes within a pitch has a shorter range than one that changes over many."""
    short, long = likely_ranges(XY_UM, drawn(100.0)), likely_ranges(XY_UM, drawn(1600.0))
    assert short[0] <= 1.0 < long[0]


def test_ranges_do_not_depend_on_the_order_of_spots_nor_on_the_unit_of_a_gene() -> None:
    """Genes are standardised, and spots are compared as a set; nothing shorter than the least is chosen."""
    values, order = drawn(150.0), np.random.default_rng(1).permutation(len(XY_UM))
    assert likely_ranges(XY_UM[order], 7 * values[order]) == likely_ranges(XY_UM, values)
    assert min(likely_ranges(XY_UM, values, least=1.75)) >= 1.75


def test_genes_without_change_have_the_usual_ranges() -> None:
    """Where the likelihood says nothing, ranges are 2 and 8 pitches."""
    assert likely_ranges(XY_UM, np.ones((len(XY_UM), 3))) == (2.0, 8.0)
