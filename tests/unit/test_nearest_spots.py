"""What inducing points leave is kriged from the nearest spots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cokriging_samples import SAMPLES

from histosge.errors import UsageError
from histosge.models import predict, saving
from histosge.models.cokriging.block_covariance import matern
from histosge.models.cokriging.model import Cokriging
from histosge.models.cokriging.nearest_spots import NearestSpots

SIDE = 20
XY = 8.0 * np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2)
N = len(XY)
SECTIONS = np.zeros(N, dtype=np.intp)
COVARIANCE = matern(np.linalg.norm(XY[:, None] - XY[None], axis=-1), 16.0)
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(N, 3))
SIGNAL = np.linalg.cholesky(COVARIANCE + 1e-9 * np.eye(N)) @ RNG.normal(size=(N, 3))


def fitted(residuals: np.ndarray, neighbours: int = 16) -> NearestSpots | None:
    """Return the process of residuals on a lattice of 8 µm."""
    return NearestSpots.fit(
        XY, SECTIONS, residuals, pitch_um=8.0, centres=np.array([0, 190, 399]), neighbours=neighbours
    )


def test_with_all_spots_it_is_kriging() -> None:
    """Conditioned on every spot the mean and variance are those of simple kriging."""
    nearest = fitted(SIGNAL + 0.5 * NOISE, neighbours=N)
    assert nearest is not None
    at = np.array([[37.0, 41.0], [80.0, 80.0]])
    mean, variance = nearest.at(at, SECTIONS[:2])
    covariance = matern(np.linalg.norm(XY[:, None] - XY[None], axis=-1), nearest.range_um)
    crossed = matern(np.linalg.norm(at[:, None] - XY[None], axis=-1), nearest.range_um)
    for factor, ratio in enumerate(nearest.noise_ratio):
        weights = np.linalg.solve(covariance + ratio * np.eye(N), crossed.T)
        assert np.allclose(mean[:, factor], weights.T @ nearest.residuals[:, factor], atol=1e-6)
        left = nearest.signal_variance[factor] * (1 - np.einsum("bn,nb->b", crossed, weights))
        assert np.allclose(variance[:, factor], left, atol=1e-6)


def test_sixteen_spots_are_enough_and_leave_the_spot_out() -> None:
    """Left-out predictions follow the signal, are worse at the edge of nothing, and do not change with the spot."""
    measured = SIGNAL + 0.5 * NOISE
    nearest = fitted(measured)
    assert nearest is not None
    mean, variance = nearest.left_out()
    assert np.mean([np.corrcoef(mean[:, k], SIGNAL[:, k])[0, 1] for k in range(3)]) > 0.75
    assert ((measured - mean) ** 2).mean() < measured.var()
    changed = measured.copy()
    changed[7] += 100.0
    other, _ = replace(nearest, residuals=changed).left_out()
    assert np.allclose(other[7], mean[7])
    assert (variance > 0).all()


def test_noise_has_no_short_range() -> None:
    """Residuals without structure are left alone."""
    assert fitted(NOISE) is None


def test_a_fit_with_nearest_spots_is_saved(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """A streamed fit with few inducing points has nearest spots, and a saved one predicts the same."""
    monkeypatch.setattr("histosge.models.cokriging.nearest_spots._LEAST_GAIN", -1e9)
    model = Cokriging(exact=1, inducing_points=20, streamed=1)
    predictor = model.fit(SAMPLES)
    assert predictor.nearest_spots is not None
    assert predictor.summary()["nearest_spots_range_um"] > 0
    saving.save(tmp_path / "fit", model, predictor)
    _, loaded = saving.load(tmp_path / "fit")
    left, right = predict(loaded, SAMPLES.inputs), predict(predictor, SAMPLES.inputs)
    assert np.array_equal(left.mean, right.mean)
    assert np.array_equal(left.sd, right.sd)  # type: ignore[arg-type]


def test_fewer_than_no_spots_are_refused() -> None:
    """A negative number of spots is refused."""
    with pytest.raises(UsageError, match="nearest_spots"):
        Cokriging(nearest_spots=-1)
