"""Structural similarity of maps whose pixels are spots."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.geometry.spacing import median_spacing_um

from .base import Comparison, Metric, MetricCard

__all__ = ["ENTRIES", "disk_neighbourhoods", "ssim"]

# K₁ and K₂ of Wang et al. 2004; they are multiplied by the range of the truth
_K1, _K2 = 0.01, 0.03
# holds 19 spots of a complete hexagonal lattice: the spot and its two rings
_RADIUS_PITCHES = 2.1
# a neighbourhood of fewer spots has no structure
_MINIMUM_SPOTS = 3


def ssim(
    truth: Float[np.ndarray, "n g"],
    prediction: Float[np.ndarray, "n g"],
    neighbourhoods: sparse.csr_matrix,
) -> Float[np.ndarray, " g"]:
    """Return the mean structural similarity (Wang et al. 2004) of each column; NaN for a constant truth.

    Parameters
    ----------
    truth, prediction
        Values at spots.
    neighbourhoods
        n × n weights: row i averages over the neighbourhood of spot i, as :func:`disk_neighbourhoods` returns them.
        On a full square grid with square neighbourhoods the result is the usual SSIM of images.

    Examples
    --------
    >>> import numpy as np
    >>> xy_um = np.array([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0]])
    >>> truth = np.array([[0.0], [1.0], [3.0]])
    >>> ssim(truth, truth, disk_neighbourhoods(xy_um, 100.0)).tolist()
    [1.0]
    """
    truth, prediction = truth.astype(np.float64), prediction.astype(np.float64)
    extent = np.ptp(truth, axis=0)
    c1, c2 = (_K1 * extent) ** 2, (_K2 * extent) ** 2
    mean_t, mean_p = neighbourhoods @ truth, neighbourhoods @ prediction
    variance_t = neighbourhoods @ truth**2 - mean_t**2
    variance_p = neighbourhoods @ prediction**2 - mean_p**2
    covariance = neighbourhoods @ (truth * prediction) - mean_t * mean_p
    # Wang et al. 2004, eq. 13
    numerator = (2 * mean_t * mean_p + c1) * (2 * covariance + c2)
    denominator = (mean_t**2 + mean_p**2 + c1) * (variance_t + variance_p + c2)
    similarity = np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
    return np.where(extent > 0, similarity.mean(axis=0), np.nan)


def disk_neighbourhoods(xy_um: Float[np.ndarray, "n 2"], radius_um: float) -> sparse.csr_matrix:
    """Return the n × n matrix that averages over all spots within ``radius_um`` of each spot, itself included."""
    from scipy.spatial import cKDTree

    tree = cKDTree(xy_um)
    distance = tree.sparse_distance_matrix(tree, radius_um, output_type="coo_matrix")
    # the distance of a spot to itself is stored as an explicit zero: every stored entry is a neighbour
    member = sparse.csr_matrix((np.ones(distance.nnz), (distance.row, distance.col)), shape=(len(xy_um),) * 2)
    return sparse.csr_matrix(member.multiply(1 / np.asarray(member.sum(axis=1))))


def _ssim(comparison: Comparison) -> Array | None:
    if comparison.xy_um is None or len(comparison.xy_um) < _MINIMUM_SPOTS:
        return None
    radius_um = _RADIUS_PITCHES * median_spacing_um(comparison.xy_um)
    neighbourhoods = disk_neighbourhoods(comparison.xy_um, radius_um)
    return ssim(comparison.truth, comparison.prediction, neighbourhoods)


ENTRIES = (
    Metric(
        MetricCard(
            "ssim",
            "Structural similarity over neighbourhoods of two pitches around each spot.",
            "higher",
            (-1.0, 1.0),
            citation="wang2004ssim",
            sets=("test",),
        ),
        _ssim,
    ),
)
