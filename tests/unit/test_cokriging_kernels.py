"""The covariance of cokriging: kernels of position, kernels of image features, the short-range kernel."""

from __future__ import annotations

import numpy as np
import pytest
from cokriging_samples import XY, N, kernel_inputs

from histosge.models.cokriging.block_covariance import matern
from histosge.models.cokriging.kernels import Covariance, KernelInputs


@pytest.mark.parametrize("image_weight", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("short_range_um", [None, 50.0])
def test_the_variance_is_the_diagonal_of_the_covariance(
    image_weight: float, short_range_um: float | None
) -> None:
    """With disks, image features and the short-range kernel, ``variance`` is the covariance with itself."""
    for diameter_um in (0.0, 80.0):
        spots = kernel_inputs(diameter_um)
        covariance = Covariance.of(
            spots, (200.0, 800.0), image_weight=image_weight, short_range_um=short_range_um
        )
        assert np.allclose(np.diag(covariance(spots, spots)), covariance.variance(spots), atol=1e-5)


def test_positions_of_different_sections_do_not_covary() -> None:
    """The covariance by position is 0 between sections, and within each that of the section alone."""
    sections = np.repeat(np.arange(3), N)
    spots = KernelInputs(np.tile(XY, (3, 1)), sections, 55.0)
    covariance = Covariance.of(spots, (150.0, 800.0), image_weight=0.0)
    single, double = (covariance(spots, spots, dtype) for dtype in (np.float32, np.float64))
    assert single.dtype == np.float32
    assert np.abs(single - double).max() < 2e-6
    alone = spots.take(np.arange(N))
    same = sections[:, None] == sections[None, :]
    assert np.allclose(double, np.where(same, np.tile(covariance(alone, alone), (3, 3)), 0.0), atol=1e-12)
    assert not double[~same].any()


def test_the_short_range_kernel_belongs_to_the_image() -> None:
    """At image weight 0 there is no short-range kernel; at 1 all variance of position is that kernel's."""
    spots = kernel_inputs(0.0)
    without, none, alone = (
        Covariance.of(spots, (200.0,), image_weight=weight, short_range_um=range_um)
        for weight, range_um in ((0.0, None), (0.0, 50.0), (1.0, 50.0))
    )
    assert np.array_equal(without(spots, spots), none(spots, spots))
    distance = np.linalg.norm(XY[:, None] - XY[None], axis=2)
    # one of seven parts: six of image kernels, one of this kernel
    assert np.allclose(alone.position(spots, spots), matern(distance, 50.0) / 7, atol=1e-6)
    assert np.allclose(np.diag(alone(spots, spots)).mean(), 1.0, atol=1e-5)


def test_image_kernels_are_rbf_and_linear() -> None:
    """The image part is the weighted sum of RBF and linear kernels, computed here from the definition."""
    spots = kernel_inputs(0.0)
    covariance = Covariance.of(spots, (200.0,), image_weight=1.0)
    expected = np.zeros((N, N))
    for kind, (rbf, linear) in {
        "components": (1, 1),
        "neighbourhood": (1, 1),
        "stacked": (2, 0),
    }.items():
        values = getattr(spots.image_features[0], kind)
        squares = ((values[:, None] - values[None]) ** 2).sum(axis=2)
        expected += rbf * np.exp(-squares / np.median(squares))
        expected += linear * values @ values.T / (values**2).sum(axis=1).mean()
    assert np.allclose(covariance.image(spots, spots), expected / 6, atol=1e-4)
